"""Pooling as functions: arguments become a `Window`."""

from __future__ import annotations

from collections.abc import Sequence

from ddp.autograd.ops import adaptive_pool, pool
from ddp.autograd.ops.window import Window, window_on
from ddp.autograd.tensor import Tensor
from ddp.nn.functional.sizes import Size, along, image_size, pair, symmetric


def max_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """The maximum of each window: (N, C, H, W) or (C, H, W). `stride` is the kernel by default."""
    if input.ndim == 3:
        batch = input.reshape(1, *input.shape)
        return max_pool2d(batch, kernel_size, stride, padding, dilation, ceil_mode)[0]
    return pool.max_pool2d(
        input, _pool_window(input, kernel_size, stride, padding, dilation, ceil_mode)
    )


def avg_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window: (N, C, H, W) or (C, H, W). `stride` is the kernel by default."""
    if input.ndim == 3:
        batch = input.reshape(1, *input.shape)
        return avg_pool2d(batch, kernel_size, stride, padding, ceil_mode, count_include_pad)[0]
    window = _pool_window(input, kernel_size, stride, padding, 1, ceil_mode)
    counted = symmetric(pair(padding)) if count_include_pad else ((0, 0), (0, 0))
    divisor = pool.window_sizes(window, counted).astype(input.dtype)
    return pool.avg_pool2d(input, window, divisor)


def _pool_window(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    dilation: Size,
    ceil_mode: bool,
) -> Window:
    kernel, pads = pair(kernel_size), pair(padding)
    if any(2 * pad > size for pad, size in zip(pads, kernel, strict=True)):
        raise RuntimeError(
            f"pad should be at most half of effective kernel size, but got pad={max(pads)}, "
            f"kernel_size={max(kernel)} and dilation={dilation}"
        )
    strides = kernel if stride is None else pair(stride)
    window = window_on(
        image_size(input), kernel, strides, symmetric(pads), pair(dilation), ceil_mode
    )
    if min(window.output) < 1:
        raise RuntimeError(
            f"Given input size: {tuple(input.shape[1:])}. Calculated output size: "
            f"{(input.shape[1], *window.output)}. Output size is too small"
        )
    return window


def max_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """`max_pool2d` of (N, C, L) or (C, L) as images of height 1."""
    kernel, strides = along(kernel_size, 1), along(kernel_size if stride is None else stride, 1)
    sizes = (kernel, strides, along(padding), along(dilation, 1), ceil_mode)
    return max_pool2d(_as_images(input), *sizes).squeeze(-2)


def avg_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """`avg_pool2d` of (N, C, L) or (C, L) as images of height 1."""
    kernel, strides = along(kernel_size, 1), along(kernel_size if stride is None else stride, 1)
    sizes = (kernel, strides, along(padding), ceil_mode, count_include_pad)
    return avg_pool2d(_as_images(input), *sizes).squeeze(-2)


def adaptive_avg_pool2d(input: Tensor, output_size: int | Sequence[int | None]) -> Tensor:
    """The means of a grid of cells: (N, C, H, W) or (C, H, W) → (…, C, *output_size).

    None in `output_size` keeps the input's size.
    """
    if input.ndim == 3:
        return adaptive_avg_pool2d(input.unsqueeze(0), output_size)[0]
    image = image_size(input)
    wanted = (output_size,) * 2 if isinstance(output_size, int) else tuple(output_size)
    height, width = (n if w is None else w for n, w in zip(image, wanted, strict=True))
    if (height, width) == (1, 1):
        return input.mean((-1, -2), keepdim=True)
    return adaptive_pool.adaptive_avg_pool2d(input, (height, width))


def adaptive_avg_pool1d(input: Tensor, output_size: Size) -> Tensor:
    """The means of `output_size` parts of (N, C, L) or (C, L)."""
    return adaptive_avg_pool2d(_as_images(input), along(output_size, 1)).squeeze(-2)


def _as_images(input: Tensor) -> Tensor:
    if input.ndim not in (2, 3):
        raise RuntimeError(f"expected 2D or 3D (batched) input, but got shape {input.shape}")
    return input.unsqueeze(-2)
