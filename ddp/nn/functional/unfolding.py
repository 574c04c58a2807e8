"""Images as columns of windows, and back."""

from __future__ import annotations

import math

import numpy as np

from ddp.autograd.node import Array
from ddp.autograd.ops.index import scatter
from ddp.autograd.ops.window import Pair
from ddp.autograd.tensor import Tensor
from ddp.nn.functional.padding import pad
from ddp.nn.functional.sizes import Size, pair


def unfold(
    input: Tensor, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1
) -> Tensor:
    """The pixels of every window as a column: (N, C, H, W) → (N, C · kh · kw, windows).

    (C, H, W) likewise without N. Raises RuntimeError where there is no window.
    """
    if input.ndim == 3:
        return unfold(input.unsqueeze(0), kernel_size, dilation, padding, stride)[0]
    if input.ndim != 4 or 0 in input.shape[1:]:
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero "
            f"dimensions for input, but got: {list(input.shape)}"
        )
    kernel, (vertical, horizontal) = pair(kernel_size), pair(padding)
    padded = pad(input, (horizontal, horizontal, vertical, vertical))
    image = (padded.shape[2], padded.shape[3])
    rows, columns = _places(image, kernel, pair(dilation), pair(stride))
    if 0 in (rows.size, columns.size):
        raise RuntimeError(
            f"Given input with spatial size {tuple(input.shape[2:])}, kernel_size={kernel}, "
            f"dilation={pair(dilation)}, padding={pair(padding)}, there is no sliding block: its "
            "components must be at least one."
        )
    windows = padded[:, :, rows, columns]
    images, channels, *_, down, across = windows.shape
    return windows.reshape(images, channels * math.prod(kernel), down * across)


def fold(
    input: Tensor,
    output_size: Size,
    kernel_size: Size,
    dilation: Size = 1,
    padding: Size = 0,
    stride: Size = 1,
) -> Tensor:
    """The sums of what columns say of each pixel: (N, C · kh · kw, windows) → (N, C, H, W).

    (C · kh · kw, windows) likewise without N. Raises RuntimeError for sizes that do not fit.
    """
    if input.ndim == 2:
        return fold(input.unsqueeze(0), output_size, kernel_size, dilation, padding, stride)[0]
    if input.ndim != 3:
        raise RuntimeError(f"Expected 2D or 3D input, but got: {list(input.shape)}")
    (height, width), kernel, pads = pair(output_size), pair(kernel_size), pair(padding)
    pixels = math.prod(kernel)
    if input.shape[1] % pixels:
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, "
            f"but got input.size(1)={input.shape[1]} and kernel_size={kernel}."
        )
    padded = (height + 2 * pads[0], width + 2 * pads[1])
    rows, columns = _places(padded, kernel, pair(dilation), pair(stride))
    down, across = rows.shape[2], columns.shape[3]
    if input.shape[2] != down * across or not down * across:
        raise RuntimeError(
            f"Given output_size={(height, width)}, kernel_size={kernel}, dilation={pair(dilation)},"
            f" padding={pads}, stride={pair(stride)}, expected size of input's dimension 2 to match"
            f" the calculated number of sliding blocks {down} * {across} = {down * across}, but got"
            f" input.size(2)={input.shape[2]}."
        )
    images, channels = len(input), input.shape[1] // pixels
    windows = input.reshape(images, channels, *kernel, down, across)
    every = (slice(None), slice(None), rows, columns)
    summed = scatter(windows, every, (images, channels, *padded))
    return summed[:, :, pads[0] : pads[0] + height, pads[1] : pads[1] + width]


def _places(image: Pair, kernel: Pair, dilation: Pair, stride: Pair) -> tuple[Array, Array]:
    """The rows (kh, 1, down, 1) and columns (1, kw, 1, across) of all windows."""
    for name, sizes in (("kernel size", kernel), ("dilation", dilation), ("stride", stride)):
        if min(sizes) < 1:
            raise RuntimeError(f"{name} should be greater than zero, but got {sizes}")
    (rows, columns) = (
        np.arange(k)[:, None] * d + np.arange(0, max(n - d * (k - 1), 0), s)
        for n, k, d, s in zip(image, kernel, dilation, stride, strict=True)
    )
    return rows[:, None, :, None], columns[None, :, None, :]
