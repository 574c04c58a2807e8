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

Arrays are channels-last. Kernels go through G and Y through A as small matrix products; d goes
through Bᵀ by additions, on rows and columns that are kept apart by parity, so that each operand is
a few long runs of memory, and dY through A by additions too. Tiles are worked off in blocks that
stay in the L2 cache.

An input that is not finite makes NaN of all outputs of its tiles.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ddp.autograd.node import Array
from ddp.autograd.ops.blas import SMALL, fair_share, product, products_of_columns
from ddp.autograd.ops.blocks import aligned_empty, unbuffered
from ddp.autograd.ops.layout import runs
from ddp.autograd.ops.window import Pair, Window
from ddp.kernels import kernel

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


@unbuffered()
def correlate(x: Array, kernels: Array, window: Window) -> Array:
    """x (N, H, W, C) with transformed kernels (16, C, O) → (N, Ho, Wo, O)."""
    outputs = kernels.shape[2]
    y = aligned_empty((len(x), *window.output, outputs), x.dtype)
    for block, tiles in transformed_blocks(x, window):
        tiles = tiles.reshape(16, -1, x.shape[3])
        products = aligned_empty((*tiles.shape[:2], outputs), x.dtype)
        product(tiles, kernels, products)
        collect(products, y, block)
    return y


@unbuffered()
def weight_gradient(dy: Array, x: Array, window: Window, dw: Array) -> None:
    """Write the kernels' gradient to a dense dw (O, C, 3, 3): dy (N, Ho, Wo, O), x (N, H, W, C)."""
    outputs, channels = dy.shape[3], x.shape[3]
    total = None
    for block, tiles in transformed_blocks(x, window):
        gradients = aligned_empty((*tiles.shape[:5], outputs), x.dtype)
        spread(dy, gradients, block)
        part = aligned_empty((16, outputs, channels), x.dtype)
        products_of_columns(
            gradients.reshape(16, -1, outputs), tiles.reshape(16, -1, channels), part
        )
        total = part if total is None else np.add(total, part, out=total)
    if total is None:
        dw[...] = 0
        return
    from_kernel = FROM_KERNEL.astype(x.dtype, copy=False)
    np.matmul(total.reshape(16, -1).T, from_kernel, out=dw.reshape(-1, 9))


def transformed(w: Array) -> Array:
    """G g Gᵀ of kernels (O, C, 3, 3) → (16, C, O)."""
    swapped = np.ascontiguousarray(runs(w.reshape(*w.shape[:2], 9)).swapaxes(0, 1))
    kernels = aligned_empty((16, w.shape[1], w.shape[0]), w.dtype)
    from_kernel = FROM_KERNEL.astype(w.dtype, copy=False)
    np.matmul(from_kernel, swapped.view(w.dtype).reshape(-1, 9).T, out=kernels.reshape(16, -1))
    return kernels


def transformed_mirrored(w: Array) -> Array:
    """The same of the kernels that carry gradients back, mirrored and swapped → (16, O, C)."""
    kernels = aligned_empty((16, *w.shape[:2]), w.dtype)
    from_kernel = FROM_KERNEL[:, ::-1].astype(w.dtype)
    np.matmul(from_kernel, w.reshape(-1, 9).T, out=kernels.reshape(16, -1))
    return kernels


def transformed_blocks(x: Array, window: Window) -> Iterator[tuple[Block, Array]]:
    """Bᵀ d B of all tiles of x (N, H, W, C), block by block → (4, 4, images, rows, columns, C).

    The memory of a block is used again for the next.
    """
    height, width = tile_grid(window)
    images, _, _, channels = x.shape
    group = fair_share(images, TILES // (height * width))
    band = fair_share(height, TILES // width)
    memory = aligned_empty((16 * group * band * width * channels,), x.dtype)
    parts = aligned_empty((2, 2, group, height + 1, width + 1, channels), x.dtype)
    rows = aligned_empty((8 * group * (band + 1) * width * channels,), x.dtype)
    for first in range(0, images, group):
        last = min(first + group, images)
        for top in range(0, height, band):
            block = Block(first, last, top, min(top + band, height))
            shape = (4, 4, last - first, block.bottom - top, width, channels)
            tiles = memory[: math.prod(shape)].reshape(shape)
            transform(x, tiles, block, window, (parts, rows))
            yield block, tiles


def tile_grid(window: Window) -> Pair:
    """Rows and columns of tiles; a last one may hang over the edge."""
    return -(-window.output[0] // 2), -(-window.output[1] // 2)


@kernel
def transform(
    x: Array, tiles: Array, block: Block, window: Window, memory: tuple[Array, Array]
) -> None:
    """Bᵀ d B of x (N, H, W, C), first along the rows, then down the columns.

    Blocks come in order: in `memory` images lie parted, with a frame of zeros, from their first
    rows of tiles on.
    """
    parts, rows = memory
    if block.first == block.top == 0:
        parts[...] = 0
    parts = parts[:, :, : block.last - block.first]
    if block.top == 0:
        _part_by_parity(x[block.first : block.last], window, parts)
    parts = parts[:, :, :, block.top : block.bottom + 1]
    n, height, width, channels = tiles.shape[2:]
    along = (4, 2, n, height + 1, width, channels)
    d = rows[: math.prod(along)].reshape(along)
    _combine(parts[:, 0], parts[:, 1], 3, d)
    _combine(d[:, 0], d[:, 1], 2, tiles)


def _part_by_parity(x: Array, window: Window, parts: Array) -> None:
    """Put x (n, H, W, C) into (row parity, column parity, n, rows, columns, C) of its frame."""
    (top, _), (left, _) = window.padding
    for row in (0, 1):
        for column in (0, 1):
            pixels = x[:, (row - top) % 2 :: 2, (column - left) % 2 :: 2]
            i, j = (top + 1 - row) // 2, (left + 1 - column) // 2
            target = parts[row, column]
            target[:, i : i + pixels.shape[1], j : j + pixels.shape[2]] = pixels


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


@kernel
def collect(products: Array, y: Array, block: Block) -> None:
    """Aᵀ M A of products (16, tiles, O), put where it belongs in y (N, Ho, Wo, O)."""
    y = y[block.first : block.last]
    tiles = _times(TO_OUTPUT, products)
    tiles = tiles.reshape(2, 2, len(y), block.bottom - block.top, -1, y.shape[3])
    for row in (0, 1):
        for column in (0, 1):
            target = y[:, 2 * block.top + row : 2 * block.bottom : 2, column::2]
            target[...] = tiles[row, column, :, : target.shape[1], : target.shape[2]]


def _times(matrix: Array, columns: Array) -> Array:
    """matrix @ columns.reshape(places, -1), piece by piece."""
    columns = columns.reshape(len(columns), -1)
    matrix = matrix.astype(columns.dtype, copy=False)
    product = np.empty((len(matrix), columns.shape[1]), columns.dtype)
    for first in range(0, columns.shape[1], PIECE):
        piece = slice(first, first + PIECE)
        np.matmul(matrix, columns[:, piece], out=product[:, piece])
    return product


@kernel
def spread(dy: Array, tiles: Array, block: Block) -> None:
    """A dY Aᵀ of dY (N, Ho, Wo, O) to tiles (4, 4, images, rows, columns, O), rows first."""
    dy = _in_whole_tiles(dy[block.first : block.last, 2 * block.top : 2 * block.bottom])
    for row, along in ((0, tiles[0]), (1, tiles[3])):
        along[0] = dy[:, row::2, ::2]
        np.negative(dy[:, row::2, 1::2], out=along[3])
        np.subtract(along[0], along[3], out=along[1])
        np.add(along[0], along[3], out=along[2])
    np.add(tiles[0], tiles[3], out=tiles[1])
    np.subtract(tiles[0], tiles[3], out=tiles[2])
    np.negative(tiles[3], out=tiles[3])


def _in_whole_tiles(dy: Array) -> Array:
    """dY (n, Ho, Wo, O), with outputs of 0 where tiles hang over its edge."""
    images, height, width, outputs = dy.shape
    if height % 2 == width % 2 == 0:
        return dy
    whole = np.zeros((images, height + height % 2, width + width % 2, outputs), dy.dtype)
    whole[:, :height, :width] = dy
    return whole
