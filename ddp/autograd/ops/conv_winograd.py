"""Winograd convolution F(2x2, 3x3): 16 products per 2x2 outputs in place of 36.

Lavin and Gray, arXiv:1509.09308, section 4.1. A tile of outputs Y (2, 2) comes from the 4x4 inputs
d that its windows see and a kernel g (3, 3):

    Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A

         1  0 -1  0          1   0   0          1  0
    Bᵀ = 0  1  1  0      G = ½   ½   ½      A = 1  1
         0 -1  1  0          ½  -½   ½          1 -1
         0  1  0 -1          0   0   1          0 -1

Summed over channels, the element-wise product becomes, for each of the 16 places of a transformed
tile, one matrix product over all tiles. What is linear in g has as its gradient the transpose of
these steps: dg = Gᵀ [Σ over tiles (A dY Aᵀ) ⊙ (Bᵀ d B)] G. Against the direct sum the relative
error is below 1e-6, as the direct sum's own.

Arrays are channels-last. Kernels go through G and dY and Y through A as small matrix products; d
goes through Bᵀ by additions, on rows and columns that are kept apart by parity, so that each
operand is a few long runs of memory. Tiles are worked off in blocks that stay in the L2 cache.

An input that is not finite makes NaN of all outputs of its tiles.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ddp.autograd.node import Array
from ddp.autograd.ops.blas import SMALL, product
from ddp.autograd.ops.layout import runs
from ddp.autograd.ops.window import Pair, Window

# Tiles per block, for 64 channels 1 MiB transformed. More amortise the kernels' way through the
# cache better where channels are many, fewer stay nearer where they are few.
TILES = 240
# Longer matrices are multiplied by A in pieces, three times as fast (`blas.py`).
PIECE = SMALL // (4 * 16)

_A = np.array([[1, 0], [1, 1], [1, -1], [0, -1]])
_G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
TO_OUTPUT = np.kron(_A, _A).T.astype(np.float32)  # (4, 16): Aᵀ · A of a tile as a vector
FROM_KERNEL = np.kron(_G, _G).astype(np.float32)  # (16, 9): G · Gᵀ of a kernel as a vector


class Block(NamedTuple):
    """Images `first` to `last` and of their tiles the rows `top` to `bottom`."""

    first: int
    last: int
    top: int
    bottom: int


def correlate(x: Array, kernels: Array, window: Window) -> Array:
    """x (N, H, W, C) with transformed kernels (16, C, O) → (N, Ho, Wo, O)."""
    outputs = kernels.shape[2]
    y = np.empty((len(x), *window.output, outputs), x.dtype)
    for block, tiles in transformed_blocks(x, window):
        tiles = tiles.reshape(16, -1, x.shape[3])
        products = np.empty((*tiles.shape[:2], outputs), x.dtype)
        product(tiles, kernels, products)
        _store(_times(TO_OUTPUT, products), y[block.first : block.last], block)
    return y


def weight_gradient(dy: Array, x: Array, window: Window, dw: Array) -> None:
    """Write the kernels' gradient to a dense dw (O, C, 3, 3): dy (N, Ho, Wo, O), x (N, H, W, C)."""
    outputs, channels = dy.shape[3], x.shape[3]
    total = None
    for block, tiles in transformed_blocks(x, window):
        gradients = _times(TO_OUTPUT.T, _load(dy[block.first : block.last], block))
        gradients = gradients.reshape(16, -1, outputs).transpose(0, 2, 1)
        part = gradients @ tiles.reshape(16, -1, channels)
        total = part if total is None else np.add(total, part, out=total)
    if total is None:
        dw[...] = 0
        return
    from_kernel = FROM_KERNEL.astype(x.dtype, copy=False)
    np.matmul(total.reshape(16, -1).T, from_kernel, out=dw.reshape(-1, 9))


def transformed(w: Array) -> Array:
    """G g Gᵀ of kernels (O, C, 3, 3) → (16, C, O)."""
    swapped = np.ascontiguousarray(runs(w.reshape(*w.shape[:2], 9)).swapaxes(0, 1))
    kernels = FROM_KERNEL.astype(w.dtype, copy=False) @ swapped.view(w.dtype).reshape(-1, 9).T
    return kernels.reshape(16, w.shape[1], w.shape[0])


def transformed_mirrored(w: Array) -> Array:
    """The same of the kernels that carry gradients back, mirrored and swapped → (16, O, C)."""
    kernels = FROM_KERNEL[:, ::-1].astype(w.dtype) @ w.reshape(-1, 9).T
    return kernels.reshape(16, *w.shape[:2])


def transformed_blocks(x: Array, window: Window) -> Iterator[tuple[Block, Array]]:
    """Bᵀ d B of all tiles of x (N, H, W, C), block by block → (4, 4, images, rows, columns, C).

    The memory of a block is used again for the next.
    """
    height, width = tile_grid(window)
    images, _, _, channels = x.shape
    group = max(1, TILES // (height * width))
    band = min(height, max(1, TILES // width))
    by_parity = np.zeros((2, 2, min(group, images), height + 1, width + 1, channels), x.dtype)
    pixels = min(group, images) * width * channels
    rows = np.empty(8 * pixels * (band + 1), x.dtype)
    tiles = np.empty(16 * pixels * band, x.dtype)
    for first in range(0, images, group):
        last = min(first + group, images)
        parts = by_parity[:, :, : last - first]
        _part_by_parity(x[first:last], window, parts)
        for top in range(0, height, band):
            bottom = min(top + band, height)
            shape = (last - first, bottom - top, width, channels)
            yield (
                Block(first, last, top, bottom),
                _transform(parts[:, :, :, top : bottom + 1], rows, tiles, shape),
            )


def tile_grid(window: Window) -> Pair:
    """Rows and columns of tiles; a last one may hang over the edge."""
    return -(-window.output[0] // 2), -(-window.output[1] // 2)


def _part_by_parity(x: Array, window: Window, parts: Array) -> None:
    """Put x (n, H, W, C) into (row parity, column parity, n, rows, columns, C) of its frame."""
    (top, _), (left, _) = window.padding
    for row in (0, 1):
        for column in (0, 1):
            pixels = x[:, (row - top) % 2 :: 2, (column - left) % 2 :: 2]
            i, j = (top + 1 - row) // 2, (left + 1 - column) // 2
            target = parts[row, column]
            target[:, i : i + pixels.shape[1], j : j + pixels.shape[2]] = pixels


def _transform(parts: Array, rows: Array, tiles: Array, shape: tuple[int, ...]) -> Array:
    """Bᵀ d B, first along the rows, then down the columns; `rows` and `tiles` are memory."""
    n, height, width, channels = shape
    along = (4, 2, n, height + 1, width, channels)
    d = rows[: math.prod(along)].reshape(along)
    _combine(parts[:, 0], parts[:, 1], 3, d)
    out = tiles[: 16 * math.prod(shape)].reshape(4, 4, *shape)
    _combine(d[:, 0], d[:, 1], 2, out)
    return out


def _combine(even: Array, odd: Array, axis: int, out: Array) -> None:
    """Bᵀ along one axis: d0 - d2, d1 + d2, d2 - d1, d1 - d3 of each tile's four entries."""
    last, following = [slice(None)] * even.ndim, [slice(None)] * even.ndim
    last[axis], following[axis] = slice(-1), slice(1, None)
    d0, d1 = even[tuple(last)], odd[tuple(last)]
    d2, d3 = even[tuple(following)], odd[tuple(following)]
    np.subtract(d0, d2, out=out[0])
    np.add(d1, d2, out=out[1])
    np.subtract(d2, d1, out=out[2])
    np.subtract(d1, d3, out=out[3])


def _times(matrix: Array, columns: Array) -> Array:
    """matrix @ columns.reshape(places, -1), piece by piece."""
    columns = columns.reshape(len(columns), -1)
    matrix = matrix.astype(columns.dtype, copy=False)
    product = np.empty((len(matrix), columns.shape[1]), columns.dtype)
    for first in range(0, columns.shape[1], PIECE):
        piece = slice(first, first + PIECE)
        np.matmul(matrix, columns[:, piece], out=product[:, piece])
    return product


def _store(tiles: Array, y: Array, block: Block) -> None:
    """Put tiles of outputs (4, n · rows · columns · O) where they belong in y (n, Ho, Wo, O)."""
    tiles = tiles.reshape(2, 2, len(y), block.bottom - block.top, -1, y.shape[3])
    for row in (0, 1):
        for column in (0, 1):
            target = y[:, 2 * block.top + row : 2 * block.bottom : 2, column::2]
            target[...] = tiles[row, column, :, : target.shape[1], : target.shape[2]]


def _load(dy: Array, block: Block) -> Array:
    """The reverse of `_store`; outputs that hang over the edge are 0."""
    grid = (block.bottom - block.top, -(-dy.shape[2] // 2))
    tiles = np.zeros((2, 2, len(dy), *grid, dy.shape[3]), dy.dtype)
    for row in (0, 1):
        for column in (0, 1):
            pixels = dy[:, 2 * block.top + row : 2 * block.bottom : 2, column::2]
            tiles[row, column, :, : pixels.shape[1], : pixels.shape[2]] = pixels
    return tiles.reshape(4, -1)
