"""Convolution of few channels to few, as in the first layer of a small net, without columns.

Rows of pixels are multiplied where they lie, which takes loops that NumPy does not have: in NumPy
it is the column matrix all the same (`conv_columns.py`). So this way is taken only where its
kernels are compiled, and then for half the time.
"""

from __future__ import annotations

import numpy as np

from ddp.autograd.node import Array
from ddp.autograd.ops import conv_columns
from ddp.autograd.ops.layout import pixels
from ddp.autograd.ops.window import Window
from ddp.kernels import kernel, stand_in

MOST_OUTPUTS = 12
LEAST_RUN, LONGEST_RUN = 12, 16  # numbers that a window sees in a row


def suits(window: Window, outputs: int, channels: int, dtype: np.dtype[np.generic]) -> bool:
    """Whether this way is the faster one, by what was measured of nine shapes."""
    return (
        stand_in(correlate) is not None
        and dtype == np.float32
        and outputs <= MOST_OUTPUTS
        and LEAST_RUN <= channels * window.kernel[1] <= LONGEST_RUN
        and window.stride == window.dilation == (1, 1)
    )


@kernel
def correlate(x: Array, w: Array, window: Window, y: Array) -> None:
    """Write to y (N, Ho, Wo, O): x (N, C, H, W), w (O, C, kh, kw)."""
    y[...] = conv_columns.correlate(pixels(x), w, window)


@kernel
def weight_gradient(dy: Array, x: Array, window: Window, dw: Array) -> None:
    """Write to dw (O, C, kh, kw): dy (N, Ho, Wo, O), x (N, C, H, W)."""
    conv_columns.weight_gradient(dy, pixels(x), window, dw)
