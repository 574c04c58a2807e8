"""Batch normalisation; reference: ddp.autograd.ops.norm.

Pixels are put side by side, as in the reference. Sums are taken in float32 over a few rows at a
time, and those in float64. The variance is that of values less the mean of all.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ddp.kernels.compiled.target import compiled, inlined

WIDTH = 512  # elements up to which pixels are put side by side
ROWS = 32  # whose sum is one of float32


@inlined
def width_of(x: Any) -> Any:
    """How many elements lie side by side: a multiple of the channels that divides all."""
    repeats = 1
    while x.shape[0] % (2 * repeats) == 0 and 2 * repeats * x.shape[1] <= WIDTH:
        repeats *= 2
    return repeats * x.shape[1]


@inlined
def repeated(values: Any, width: Any) -> Any:
    wide = np.empty((width // values.size, values.size), np.float32)
    wide[:] = values
    return wide.reshape(-1)


@inlined
def fold(part: Any, total: Any) -> Any:
    """Add sums of pixels side by side to those of the channels; begin anew."""
    for first in range(0, part.size, total.size):
        for c in range(total.size):
            total[c] += part[first + c]
    part[:] = 0


@compiled
def moments(x: Any, mean: Any, variance: Any) -> None:
    count, channels = x.shape
    width = width_of(x)
    wide = x.reshape(x.size // width, width)
    part, total = np.zeros(width, np.float32), np.zeros(channels)
    for i in range(len(wide)):
        row = wide[i]
        for j in range(width):
            part[j] += row[j]
        if i % ROWS == ROWS - 1 or i == len(wide) - 1:
            fold(part, total)
    mean[:] = total / count
    wide_mean, squares = repeated(mean, width), np.zeros(channels)
    for i in range(len(wide)):
        row = wide[i]
        for j in range(width):
            apart = row[j] - wide_mean[j]
            part[j] += apart * apart
        if i % ROWS == ROWS - 1 or i == len(wide) - 1:
            fold(part, squares)
    for c in range(channels):
        rounding = total[c] / count - mean[c]
        variance[c] = squares[c] / count - rounding * rounding


@compiled
def scaled(x: Any, scale: Any, offset: Any, y: Any) -> None:
    width = width_of(x)
    x, y = x.reshape(x.size // width, width), y.reshape(x.size // width, width)
    scale, offset = repeated(scale, width), repeated(offset, width)
    for i in range(len(x)):
        for j in range(width):
            y[i, j] = x[i, j] * scale[j] + offset[j]


@compiled
def gradient_sums(dy: Any, x: Any, mean: Any, db: Any, dots: Any) -> None:
    channels, width = x.shape[1], width_of(x)
    x, dy, mean = (
        x.reshape(x.size // width, width),
        dy.reshape(x.size // width, width),
        repeated(mean, width),
    )
    sums, products = np.zeros(width, np.float32), np.zeros(width, np.float32)
    all_sums, all_products = np.zeros(channels), np.zeros(channels)
    for i in range(len(x)):
        for j in range(width):
            sums[j] += dy[i, j]
            products[j] += dy[i, j] * (x[i, j] - mean[j])
        if i % ROWS == ROWS - 1 or i == len(x) - 1:
            fold(sums, all_sums)
            fold(products, all_products)
    db[:] = all_sums
    dots[:] = all_products


@compiled
def combination(dy: Any, x: Any, mean: Any, a: Any, b: Any, c: Any, dx: Any) -> None:
    width = width_of(x)
    dy, x, dx = (
        dy.reshape(x.size // width, width),
        x.reshape(x.size // width, width),
        dx.reshape(x.size // width, width),
    )
    mean, a = repeated(mean, width), repeated(a, width)
    b, c = repeated(b, width), repeated(c, width)
    for i in range(len(x)):
        for j in range(width):
            dx[i, j] = dy[i, j] * a[j] + (x[i, j] - mean[j]) * b[j] + c[j]
