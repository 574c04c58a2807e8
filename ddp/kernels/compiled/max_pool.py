"""The maxima of windows; reference: ddp.autograd.ops.max_pool.

Pixel by pixel of the outputs, its channels as vectors.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ddp.kernels.compiled.mathematics import F
from ddp.kernels.compiled.target import compiled
from ddp.kernels.compiled.vectors import (
    WIDTH,
    load_some,
    splat,
    store_some,
    where_equal,
    where_larger,
)


@compiled
def maxima(x: Any, window: Any, y: Any, places: Any) -> None:
    images, rows, columns, channels = y.shape
    _, height, width, _ = x.shape
    x, y = x.reshape(-1), y.reshape(-1)
    for row_of_all in range(images * rows):
        first = row_of_all // rows * height
        top = row_of_all % rows * window.stride[0] - window.padding[0][0]
        for pixel in range(columns):
            left = pixel * window.stride[1] - window.padding[1][0]
            out = (row_of_all * columns + pixel) * channels
            for c in range(0, channels, WIDTH):
                best, where = splat(F(-np.inf)), splat(F(0))
                place = window.kernel[0] * window.kernel[1]
                for u in range(window.kernel[0]):
                    row = top + u * window.dilation[0]
                    for v in range(window.kernel[1]):
                        column = left + v * window.dilation[1]
                        place -= 1
                        if 0 <= row < height and 0 <= column < width:
                            at = ((first + row) * width + column) * channels + c
                            value = load_some(x, at, channels - c)
                            where = where_larger(value, best, splat(F(place)), where)
                            best = where_larger(value, best, value, best)
                store_some(y, out + c, best, channels - c)
                if places is not None:
                    store_some(places.reshape(-1), out + c, where, channels - c)


@compiled
def give(dy: Any, places: Any, window: Any, dx: Any) -> None:
    images, rows, columns, channels = dy.shape
    _, height, width, _ = dx.shape
    is_disjoint = window.stride[0] > window.dilation[0] * (window.kernel[0] - 1) and window.stride[
        1
    ] > window.dilation[1] * (window.kernel[1] - 1)
    dy, places, dx = dy.reshape(-1), places.reshape(-1), dx.reshape(-1)
    for row_of_all in range(images * rows):
        first = row_of_all // rows * height
        top = row_of_all % rows * window.stride[0] - window.padding[0][0]
        for pixel in range(columns):
            left = pixel * window.stride[1] - window.padding[1][0]
            out = (row_of_all * columns + pixel) * channels
            for c in range(0, channels, WIDTH):
                share = load_some(dy, out + c, channels - c)
                where = load_some(places, out + c, channels - c)
                place = window.kernel[0] * window.kernel[1]
                for u in range(window.kernel[0]):
                    row = top + u * window.dilation[0]
                    for v in range(window.kernel[1]):
                        column = left + v * window.dilation[1]
                        place -= 1
                        if 0 <= row < height and 0 <= column < width:
                            at = ((first + row) * width + column) * channels + c
                            given = where_equal(where, splat(F(place)), share, splat(F(0)))
                            if not is_disjoint:
                                given = given + load_some(dx, at, channels - c)
                            store_some(dx, at, given, channels - c)
