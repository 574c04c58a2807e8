"""Convolution of few channels, without columns; reference: ddp.autograd.ops.conv_few."""

from __future__ import annotations

from typing import Any

from numpy.lib.stride_tricks import as_strided

from ddp.kernels.compiled.target import compiled, inlined
from ddp.kernels.compiled.tiles import WIDTH, aligned, tile_product
from ddp.kernels.compiled.vectors import WIDTH as LANES
from ddp.kernels.compiled.vectors import load_some, store_some

ROWS = 6
VECTORS = 2
COLUMNS = VECTORS * WIDTH

multiply_tile = tile_product(ROWS, VECTORS)
multiply_narrow_tile = tile_product(ROWS, 1)


@inlined
def rounded(number: Any, step: Any) -> Any:
    """The next multiple of `step`."""
    return (number + step - 1) // step * step


@inlined
def cleared(rows: Any, columns: Any) -> Any:
    matrix = aligned(rows, columns)
    matrix[:] = 0
    return matrix


@compiled
def correlate(x: Any, w: Any, window: Any, y: Any) -> None:
    """A row of outputs is one product with rows of the image, each shifted to each column of w."""
    images, channels, height, width = x.shape
    outputs, _, kh, kw = w.shape
    _, rows, columns, _ = y.shape
    (top, bottom), (left, _) = window.padding
    down, right = window.stride
    kernels = cleared(rounded(outputs, ROWS), kh * channels * kw)
    for o in range(outputs):
        for c in range(channels):
            for u in range(kh):
                for v in range(kw):
                    kernels[o, (u * channels + c) * kw + v] = w[o, c, u, v]
    shifted = cleared((height + top + bottom) * channels * kw, rounded(columns, COLUMNS))
    out = cleared(kernels.shape[0], shifted.shape[1])
    nothing = cleared(kernels.shape[0], shifted.shape[1])
    flat, lines = x.reshape(-1), shifted.reshape(-1)
    for n in range(images):
        for row in range(height):
            for c in range(channels):
                for v in range(kw):
                    place = (((row + top) * channels + c) * kw + v) * shifted.shape[1]
                    first = max(0, (left - v + right - 1) // right)
                    last = min(columns, (width - 1 + left - v) // right + 1)
                    start = ((n * channels + c) * height + row) * width + v - left
                    if right == 1:
                        for j in range(first, last, LANES):
                            some = load_some(flat, start + j, last - j)
                            store_some(lines, place + j, some, last - j)
                    else:
                        for j in range(first, last):
                            lines[place + j] = flat[start + j * right]
        for i in range(rows):
            seen = shifted[i * down * channels * kw :]
            for o in range(0, outputs, ROWS):
                for j in range(0, columns, COLUMNS):
                    multiply_tile(kernels, o, seen, j, 0, kernels.shape[1], nothing, out, o, j)
            for o in range(outputs):
                for j in range(columns):
                    y[n, i, j, o] = out[o, j]


@compiled
def weight_gradient(dy: Any, x: Any, window: Any, dw: Any) -> None:
    """Of each image: a row of dy times a row of x, seen as overlapping windows."""
    images, channels, height, width = x.shape
    outputs, _, kh, kw = dw.shape
    _, rows, columns, _ = dy.shape
    (top, bottom), (left, after) = window.padding
    down, right = window.stride
    length = (left + width + after) * channels
    taps, high = rounded(kw * channels, WIDTH), rounded(outputs, ROWS)
    frame = cleared(height + top + bottom + 1, length + taps)
    total, part = cleared(kh * high, taps), cleared(kh * high, taps)
    dy_row = cleared(high, columns)
    for n in range(images):
        for row in range(height):
            for c in range(channels):
                for j in range(width):
                    frame[row + top, (j + left) * channels + c] = x[n, c, row, j]
        part[:] = 0
        for i in range(rows):
            for j in range(columns):
                for o in range(outputs):
                    dy_row[o, j] = dy[n, i, j, o]
            for u in range(kh):
                line = frame[i * down + u]
                windows = as_strided(line, (columns, taps), (4 * right * channels, 4))
                for o in range(0, outputs, ROWS):
                    at = u * high + o
                    for k in range(0, taps, WIDTH):
                        multiply_narrow_tile(dy_row, o, windows, k, 0, columns, part, part, at, k)
        for k in range(total.shape[0]):
            for t in range(taps):
                total[k, t] += part[k, t]
    for o in range(outputs):
        for c in range(channels):
            for u in range(kh):
                for v in range(kw):
                    dw[o, c, u, v] = total[u * high + o, v * channels + c]
