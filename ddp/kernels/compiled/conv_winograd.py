"""The transforms of Winograd's tiles; reference: ddp.autograd.ops.conv_winograd.

They are sums of vectors, each of 16 channels; the last of them overlaps with the one before where
16 does not divide the channels. So there have to be at least 16. Rows of tiles go through the
matrix first, into lines that stay in the L1 cache, then columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ddp.kernels.compiled.target import compiled, inlined
from ddp.kernels.compiled.vectors import WIDTH, load, store, zeros


@compiled
def transform(x: Any, tiles: Any, block: Any, window: Any, memory: Any) -> None:
    _, height, columns, channels = x.shape
    images, rows, width = tiles.shape[2:5]
    (top, _), (left, _) = window.padding
    x, tiles, step = x.reshape(-1), tiles.reshape(-1), tiles.size // 16
    size, line = columns * channels, 2 * (width + 1) * channels
    lines = np.zeros(4 * line, np.float32)
    for row in range(images * rows):
        y = 2 * (block.top + row % rows) - top
        start = ((block.first + row // rows) * height + y) * size
        for i in range(0, size, WIDTH):
            at = min(i, size - WIDTH)
            d0 = load(x, start + at) if y >= 0 else zeros()
            d1 = load(x, start + at + size) if 0 <= y + 1 < height else zeros()
            d2 = load(x, start + at + 2 * size) if 0 <= y + 2 < height else zeros()
            d3 = load(x, start + at + 3 * size) if y + 3 < height else zeros()
            store_all(lines, left * channels + at, line, through_b(d0, d1, d2, d3))
        for r in range(4):
            place = 4 * r * step + row * width * channels
            for j in range(width):
                for i in range(0, channels, WIDTH):
                    c = j * channels + min(i, channels - WIDTH)
                    at = r * line + j * channels + c
                    d0, d1 = load(lines, at), load(lines, at + channels)
                    d2, d3 = load(lines, at + 2 * channels), load(lines, at + 3 * channels)
                    store_all(tiles, place + c, step, through_b(d0, d1, d2, d3))


@compiled
def spread(dy: Any, tiles: Any, block: Any) -> None:
    _, height, columns, channels = dy.shape
    images, rows, width = tiles.shape[2:5]
    dy, tiles, step = dy.reshape(-1), tiles.reshape(-1), tiles.size // 16
    size, line = columns * channels, 2 * width * channels
    lines = np.zeros(4 * line, np.float32)
    for row in range(images * rows):
        y = 2 * (block.top + row % rows)
        start = ((block.first + row // rows) * height + y) * size
        for i in range(0, size, WIDTH):
            at = min(i, size - WIDTH)
            d0 = load(dy, start + at)
            d1 = load(dy, start + at + size) if y + 1 < height else zeros()
            store_all(lines, at, line, through_a(d0, d1))
        for r in range(4):
            place = 4 * r * step + row * width * channels
            for j in range(width):
                for i in range(0, channels, WIDTH):
                    c = j * channels + min(i, channels - WIDTH)
                    at = r * line + j * channels + c
                    pair = through_a(load(lines, at), load(lines, at + channels))
                    store_all(tiles, place + c, step, pair)


@compiled
def collect(products: Any, y: Any, block: Any) -> None:
    _, height, columns, channels = y.shape
    step = products.size // 16
    products, y = products.reshape(-1), y.reshape(-1)
    tile = 0
    for image in range(block.first, block.last):
        for row in range(2 * block.top, 2 * block.bottom, 2):
            for column in range(0, columns, 2):
                place = ((image * height + row) * columns + column) * channels
                for i in range(0, channels, WIDTH):
                    c = min(i, channels - WIDTH)
                    at = tile * channels + c
                    a0, a1 = back_through_a(products, at, 4 * step)
                    b0, b1 = back_through_a(products, at + step, 4 * step)
                    c0, c1 = back_through_a(products, at + 2 * step, 4 * step)
                    d0, d1 = back_through_a(products, at + 3 * step, 4 * step)
                    store(y, place + c, a0 + b0 + c0)
                    if column + 1 < columns:
                        store(y, place + channels + c, b0 - c0 - d0)
                    if row + 1 < height:
                        store(y, place + columns * channels + c, a1 + b1 + c1)
                        if column + 1 < columns:
                            store(y, place + (columns + 1) * channels + c, b1 - c1 - d1)
                tile += 1


@inlined
def through_b(d0: Any, d1: Any, d2: Any, d3: Any) -> Any:
    """Bᵀ of four entries."""
    return d0 - d2, d1 + d2, d2 - d1, d1 - d3


@inlined
def through_a(d0: Any, d1: Any) -> Any:
    """A of two entries."""
    return d0, d0 + d1, d0 - d1, zeros() - d1


@inlined
def back_through_a(m: Any, at: Any, step: Any) -> Any:
    """Aᵀ of four entries."""
    m1, m2 = load(m, at + step), load(m, at + 2 * step)
    return load(m, at) + m1 + m2, m1 - m2 - load(m, at + 3 * step)


@inlined
def store_all(out: Any, place: Any, step: Any, four: Any) -> Any:
    store(out, place, four[0])
    store(out, place + step, four[1])
    store(out, place + 2 * step, four[2])
    store(out, place + 3 * step, four[3])
