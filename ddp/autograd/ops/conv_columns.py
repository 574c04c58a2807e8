"""Convolution as a product with the column matrix (im2col): any kernel, stride and dilation.

The column matrix has a row per output pixel: the kh·kw·C inputs that its window sees (Chellapilla,
Puri and Simard, "High performance convolutional neural networks for document processing", 2006).
Where outputs are few, a row serves `tile` neighbouring pixels, and the kernel is repeated along a
band of the matrix it is multiplied with. For a kernel k of three pixels in a row and tile = 2:

                  k0  0
    [x0 x1 x2 x3] k1 k0   =  [y0 y1]
                  k2 k1
                   0 k2

That costs products with 0, but the product is wide enough for BLAS, and there are fewer columns.

Arrays are channels-last, (N, H, W, C); kernels come as PyTorch has them, (O, C, kh, kw), or as
`taps`, (kh, kw, C, O). A block of columns fills about half of the L2 cache. Where one is enough it
is kept for the backward pass; more are made again, as they are nine times the input for a 3x3
kernel. Blocks depend on shapes only, so equal inputs give equal bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np

from ddp.autograd.node import Array
from ddp.autograd.ops.blas import product, product_of_columns, right_operand
from ddp.autograd.ops.blocks import aligned_copy, aligned_empty
from ddp.autograd.ops.layout import run_of
from ddp.autograd.ops.window import Window
from ddp.kernels import kernel

# Half a core's L2 cache: best or next to it on seven shapes with 1 to 128 channels. It is part of
# the result's bits: weight gradients are summed block by block.
COLUMNS_BYTES = 512 << 10
# But no fewer rows than these, or BLAS is busy with rearranging the kernels of many channels.
ROWS = 256
# A product with n columns takes about as long as one with n + NARROW of them at full speed.
NARROW = 20
# As many products take as long as an addition of one number to where it belongs, and as the start
# of a run of such additions.
ADDITION = 48
RUN = 650

Blocks = Iterable[tuple[slice, Array]]  # of the column matrix: which rows, those rows


def correlate(x: Array, w: Array, window: Window, kept: Array | None = None) -> Array:
    """Y = X @ W: x (N, H, W, C), w (O, C, kh, kw) → (N, Ho, Wo, O). `kept`: see `only_block`."""
    blocks = blocks_of(x, len(w), window, kept)
    if not leaves_kernels(window, len(x), len(w)):
        return correlate_taps(x, taps_of(w), window, blocks)
    y = aligned_empty((len(x), *window.output, len(w)), x.dtype)
    rows, kernels = y.reshape(-1, len(w)), w.reshape(len(w), -1)
    for block, columns in blocks:
        rows[block] = (kernels @ columns.T).T  # the larger one first, as BLAS likes it
    return y


def correlate_taps(x: Array, taps: Array, window: Window, blocks: Blocks | None = None) -> Array:
    """The same with taps (kh, kw, C, O); `blocks` of columns, if they are there already."""
    outputs = taps.shape[3]
    tile = tile_width(window, outputs)
    matrix = right_operand(band_matrix(taps, window, tile))
    y = aligned_empty((len(x), *window.output, outputs), x.dtype)
    rows = y.reshape(-1, tile * outputs)
    for block, columns in column_blocks(x, window, tile) if blocks is None else blocks:
        product(columns, matrix, rows[block])
    return y


def weight_gradient(
    dy: Array, x: Array, window: Window, dw: Array, kept: Array | None = None
) -> None:
    """dW = dYᵀ @ X, written to a dense dw (O, C, kh, kw). `kept`: see `only_block`."""
    outputs, channels = dw.shape[:2]
    blocks = blocks_of(x, outputs, window, kept)
    if leaves_kernels(window, len(x), outputs):
        _sum_products(dy.reshape(-1, outputs), blocks, dw.reshape(outputs, -1))
        return
    tile = tile_width(window, outputs)
    kh, kw = window.kernel
    bands = np.empty((tile * outputs, kh * run_length(window, tile) * channels), x.dtype)
    _sum_products(dy.reshape(-1, tile * outputs), blocks, bands)
    bands = bands.reshape(tile, outputs, kh, -1, channels)
    step = window.stride[1]
    dw[...] = bands[0, :, :, :kw].transpose(0, 3, 1, 2)
    for place in range(1, tile):
        dw += bands[place, :, :, place * step : place * step + kw].transpose(0, 3, 1, 2)


def _sum_products(rows: Array, blocks: Blocks, total: Array) -> None:
    """rowsᵀ @ columns, block by block, into `total`."""
    part = None
    for block, columns in blocks:
        if part is None:
            product_of_columns(rows[block], columns, total)
            part = np.empty_like(total)
        else:
            product_of_columns(rows[block], columns, part)
            total += part
    if part is None:
        total[...] = 0


def scattered_gradient(dy: Array, w: Array, window: Window) -> Array:
    """dX = dY @ Wᵀ, each window's inputs added back where they belong → (N, H, W, C)."""
    outputs, channels = w.shape[:2]
    by_channel = leaves_kernels(window, len(dy), outputs)
    tile, _ = scatter_tile(window, channels, outputs)
    if tile > 0 and not by_channel:
        return _scattered_by_tiles(dy, taps_of(w), window, tile)
    matrix = w.reshape(outputs, -1) if by_channel else taps_of(w).reshape(-1, outputs).T
    dx = np.zeros((len(dy), *window.padded, channels), dy.dtype)
    for first, last in image_blocks(len(dy), window, channels * dy.itemsize):
        columns = dy[first:last].reshape(-1, outputs) @ matrix
        scatter(columns, dx[first:last], window, 0, by_channel)
    return window.interior(dx)


def _scattered_by_tiles(dy: Array, taps: Array, window: Window, tile: int) -> Array:
    """The same by tiles of neighbouring pixels, whose inputs are added back together."""
    matrix = band_matrix(taps, window, tile).T
    columns = dy.reshape(-1, len(matrix)) @ matrix
    dx = np.zeros((len(dy), *window.padded, taps.shape[2]), dy.dtype)
    scatter(columns, dx, window, tile, False)
    return window.interior(dx)


@kernel
def scatter(columns: Array, dx: Array, window: Window, tile: int, by_channel: bool) -> None:
    """Add rows of columns to the pixels of a framed dx (N, Hp, Wp, C) that they are made of.

    A row is of `tile` neighbouring pixels; of one, added place by place of the kernel, for 0.
    """
    images, _, _, channels = dx.shape
    if tile > 0:
        _scatter_runs(columns, dx.reshape(images, dx.shape[1], -1), window, tile, channels)
        return
    if by_channel:
        columns = columns.reshape(len(columns), channels, -1).transpose(0, 2, 1)
    columns = columns.reshape(images, *window.output, *window.kernel, channels)
    for row in range(window.kernel[0]):
        for column in range(window.kernel[1]):
            pixels = window.shifted(dx, row, column)
            pixels += columns[:, :, :, row, column]


def _scatter_runs(columns: Array, dx: Array, window: Window, tile: int, channels: int) -> None:
    """Add rows of kernels as wholes to dx (N, Hp, Wp · C)."""
    height, width = window.output[0], window.output[1] // tile
    reached, step = run_length(window, tile) * channels, tile * window.stride[1] * channels
    columns = columns.reshape(len(dx), height, width, window.kernel[0], reached)
    for place in range(width):
        for row in range(window.kernel[0]):
            top = row * window.dilation[0]
            rows = slice(top, top + (height - 1) * window.stride[0] + 1, window.stride[0])
            pixels = dx[:, rows, place * step : place * step + reached]
            pixels += columns[:, :, place, row]


def leaves_kernels(window: Window, images: int, outputs: int) -> bool:
    """Whether the kernels stay as they lie in memory, and columns take their order.

    The smaller of the two is rearranged: there is a row of columns per pixel, and of kernels per
    output.
    """
    return images * window.output[0] * window.output[1] <= outputs and not window.is_pointwise


@lru_cache(1024)
def scatter_tile(window: Window, channels: int, outputs: int) -> tuple[int, float]:
    """How many neighbouring pixels of dY to add back together, 0 for each place of the kernel by
    itself; and what that costs per pixel of dY and row of the kernel, counted in products."""
    products, added = channels * outputs, channels * ADDITION
    single = window.kernel[1] * (products + added + RUN)
    if window.dilation[1] > 1:
        return 0, single
    costs = {0: float(single)}
    for tile in divisors(window.output[1]):
        reached = run_length(window, tile)
        costs[tile] = reached * products + (reached * added + RUN) / tile
    best = min(costs, key=costs.__getitem__)
    return best, costs[best]


def gather_cost(window: Window, channels: int, outputs: int) -> float:
    """What `correlate` costs per pixel it makes and row of the kernel, counted in products."""
    tile = tile_width(window, outputs)
    return run_length(window, tile) * channels * (outputs + NARROW / tile)


def taps_of(w: Array) -> Array:
    """(O, C, kh, kw) → (kh, kw, C, O): a view of memory in the order (O, kh, kw, C)."""
    return np.ascontiguousarray(w.transpose(0, 2, 3, 1)).transpose(1, 2, 3, 0)


def mirrored_taps(w: Array) -> Array:
    """The taps that carry gradients back: (O, C, kh, kw) → (kh, kw, O, C), mirrored."""
    taps = np.ascontiguousarray(w.transpose(0, 2, 3, 1))  # in two steps: both go along the cache
    return np.ascontiguousarray(taps[:, ::-1, ::-1].transpose(1, 2, 0, 3))


@lru_cache(1024)
def tile_width(window: Window, outputs: int) -> int:
    """How many neighbouring output pixels a row serves: what costs least for `outputs` channels.

    A pixel costs run_length / tile products per channel, at the speed of a product of tile times
    `outputs` columns.
    """
    if window.dilation[1] > 1 or window.is_pointwise:
        return 1
    return min(
        divisors(window.output[1]),
        key=lambda tile: run_length(window, tile) * (1 + NARROW / (tile * outputs)),
    )


def divisors(number: int) -> list[int]:
    """From 1 to the number."""
    return [divisor for divisor in range(1, number + 1) if number % divisor == 0]


def run_length(window: Window, tile: int) -> int:
    """How many pixels of a row `tile` neighbouring windows see together."""
    return (tile - 1) * window.stride[1] + window.kernel[1]


def band_matrix(taps: Array, window: Window, tile: int) -> Array:
    """(kh, kw, C, O) → (kh · run_length · C, tile · O); a view for one pixel."""
    kh, kw, channels, outputs = taps.shape
    if tile == 1:
        return taps.reshape(-1, outputs)
    step = window.stride[1]
    bands = np.zeros((kh, run_length(window, tile), channels, tile, outputs), taps.dtype)
    for place in range(tile):
        bands[:, place * step : place * step + kw, :, place] = taps
    return bands.reshape(-1, tile * outputs)


def image_blocks(images: int, window: Window, pixel_bytes: int) -> Iterator[tuple[int, int]]:
    """First and last image of each block whose columns fill about COLUMNS_BYTES."""
    kh, kw = window.kernel
    area = window.output[0] * window.output[1]
    rows = max(ROWS, COLUMNS_BYTES // max(1, kh * kw * pixel_bytes))
    size = max(1, rows // area)
    for first in range(0, images, size):
        yield first, min(first + size, images)


def only_block(x: Array, outputs: int, window: Window) -> Array | None:
    """The column matrix of a dense (N, H, W, C), if it is small enough to be kept."""
    if window.is_pointwise:
        return None
    tile = 1 if leaves_kernels(window, len(x), outputs) else tile_width(window, outputs)
    depth = window.kernel[0] * run_length(window, tile) * x.shape[3]
    rows = len(x) * window.output[0] * window.output[1] // tile
    if not 0 < rows * depth * x.itemsize <= COLUMNS_BYTES:
        return None
    ((_, columns),) = blocks_of(x, outputs, window, None)
    return columns


def blocks_of(x: Array, outputs: int, window: Window, kept: Array | None) -> Blocks:
    """The column matrix as the kernels of so many outputs are multiplied with it."""
    if kept is not None:
        return [(slice(None), kept)]
    if leaves_kernels(window, len(x), outputs):
        return column_blocks(x, window, by_channel=True)
    return column_blocks(x, window, tile_width(window, outputs))


def column_blocks(
    x: Array, window: Window, tile: int = 1, by_channel: bool = False
) -> Iterator[tuple[slice, Array]]:
    """The column matrix of a dense (N, H, W, C) array, as (which rows, those rows).

    A row has the order (kh, kw, C), or `by_channel` (C, kh, kw). A block is a number of images, or
    some rows of one. Its memory is used again for the next.
    """
    images, _, _, channels = x.shape
    height, width = window.output[0], window.output[1] // tile
    if window.is_pointwise:
        yield slice(0, images * height * width), x.reshape(-1, channels)
        return
    depth = window.kernel[0] * run_length(window, tile) * channels
    rows = max(ROWS, COLUMNS_BYTES // max(1, depth * x.itemsize))
    group = max(1, min(images, rows // (height * width)))
    band = min(height, max(1, rows // width))
    memory = aligned_empty((group * band * width, depth), x.dtype)
    padded = np.zeros((group, *window.padded, channels), x.dtype) if window.is_padded else None
    for first in range(0, images, group):
        last = min(first + group, images)
        image = x[first:last]
        if padded is not None:
            window.interior(padded)[: last - first] = image
            image = padded[: last - first]
        runs = runs_of(image, window, tile)
        for top in range(0, height, band):
            bottom = min(top + band, height)
            columns = memory[: (last - first) * (bottom - top) * width]
            part = runs[:, top:bottom]
            columns.reshape(-1).view(runs.dtype).reshape(part.shape)[...] = part
            start = (first * height + top) * width
            if by_channel:
                columns = columns.reshape(len(columns), -1, channels)
                columns = aligned_copy(columns.transpose(0, 2, 1)).reshape(len(columns), depth)
            yield slice(start, start + len(columns)), columns


def runs_of(image: Array, window: Window, tile: int) -> Array:
    """What `tile` windows see in a padded, dense (N, Hp, Wp, C) array, as runs of its memory.

    A view (N, Ho, Wo / tile, kh, pieces) whose elements are whole runs: NumPy copies a run at once,
    in half the time that its numbers one after the other take. With dilation a row of a window is
    several pieces.
    """
    images, _, _, channels = image.shape
    per_image, per_row, per_pixel, _ = image.strides
    dilated = window.dilation[1] > 1
    pieces = window.kernel[1] if dilated else 1
    length = 1 if dilated else run_length(window, tile)
    return np.ndarray(
        (images, window.output[0], window.output[1] // tile, window.kernel[0], pieces),
        run_of(length * channels * image.itemsize),
        buffer=image,
        strides=(
            per_image,
            per_row * window.stride[0],
            per_pixel * window.stride[1] * tile,
            per_row * window.dilation[0],
            per_pixel * window.dilation[1],
        ),
    )
