"""Convolution as functions: arguments become a `Window`."""

from __future__ import annotations

from functools import lru_cache

from ddp.autograd.ops import conv, conv_variants
from ddp.autograd.ops.window import Pair, Window, window_on
from ddp.autograd.tensor import Tensor
from ddp.nn.functional.losses import dtype_name
from ddp.nn.functional.sizes import Size, along, by, image_size, pair, symmetric


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation: (N, C, H, W) or (C, H, W) with (O, C / groups, kh, kw) → (…, O, Ho, Wo).

    `padding` is a size, "valid" (none) or "same" (stride 1 only: the output has the input's size).
    """
    if input.array.ndim == 3:
        batch = input.reshape(1, *input.shape)
        return conv2d(batch, weight, bias, stride, padding, dilation, groups)[0]
    _check_channels(input, weight, groups)
    strides, dilations = pair(stride), pair(dilation)
    _check_bias_and_dilation(input, bias, dilations)
    pads = padding if isinstance(padding, str) else pair(padding)
    kernel = weight.array.shape[2:4]
    window = _window(image_size(input), kernel, strides, pads, dilations)
    return conv.conv2d(input, weight, bias, window, groups)


@lru_cache(1024)
def _window(
    image: Pair, kernel: Pair, strides: Pair, padding: Pair | str, dilations: Pair
) -> Window:
    """The windows on an image; RuntimeError if there are none."""
    frame = _frame(padding, kernel, strides, dilations)
    window = window_on(image, kernel, strides, frame, dilations)
    if min(window.output) < 1:
        raise RuntimeError(
            f"Calculated padded input size per channel: ({by(window.padded, ' x ')}). Kernel "
            f"size: ({by(kernel, ' x ')}). Kernel size can't be greater than actual input size"
        )
    return window


def _check_channels(input: Tensor, weight: Tensor, groups: int) -> None:
    x, w = input.array, weight.array
    if x.ndim != w.ndim:
        axes = w.ndim - 2
        raise RuntimeError(
            f"Expected {axes + 1}D (unbatched) or {axes + 2}D (batched) input to conv{axes}d, but "
            f"got input of size: {list(x.shape)}"
        )
    if x.dtype != w.dtype:
        raise RuntimeError(
            f"Input type ({dtype_name(input)}) and weight type ({dtype_name(weight)}) should be "
            "the same"
        )
    if x.shape[1] != w.shape[1] * groups:
        raise RuntimeError(
            f"Given groups={groups}, weight of size {list(w.shape)}, expected "
            f"input{list(x.shape)} to have {w.shape[1] * groups} channels, but got "
            f"{x.shape[1]} channels instead"
        )


def _check_bias_and_dilation(input: Tensor, bias: Tensor | None, dilation: Pair) -> None:
    if min(dilation) < 1:
        raise RuntimeError("dilation should be greater than zero")
    if bias is not None and bias.array.dtype != input.array.dtype:
        raise RuntimeError(
            f"Input type ({dtype_name(input)}) and bias type ({dtype_name(bias)}) should be the "
            "same"
        )


def _frame(padding: Size | str, kernel: Pair, stride: Pair, dilation: Pair) -> tuple[Pair, Pair]:
    """((top, bottom), (left, right)) of a padding argument."""
    if not isinstance(padding, str):
        return symmetric(pair(padding))
    check_padding(padding, stride)
    if padding == "valid":
        return symmetric((0, 0))
    vertical, horizontal = (d * (k - 1) for d, k in zip(dilation, kernel, strict=True))
    top, left = vertical // 2, horizontal // 2
    return (top, vertical - top), (left, horizontal - left)


def check_padding(padding: Size | str, stride: Size) -> None:
    """Raise ValueError for a padding word that is unknown or does not go with the stride."""
    if isinstance(padding, str) and padding not in ("same", "valid"):
        raise ValueError(
            f"Invalid padding string '{padding}', should be one of {{'same', 'valid'}}"
        )
    if padding == "same" and stride not in (1, (1,), (1, 1)):
        raise ValueError("padding='same' is not supported for strided convolutions")


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation: (N, C, L) or (C, L) with (O, C / groups, k) → (…, O, Lo)."""
    if input.ndim == 2:
        batch = input.reshape(1, *input.shape)
        return conv1d(batch, weight, bias, stride, padding, dilation, groups)[0]
    _check_channels(input, weight, groups)
    kernel, strides, dilations = (1, weight.shape[2]), along(stride, 1), along(dilation, 1)
    _check_bias_and_dilation(input, bias, dilations)
    frame = _frame(
        padding if isinstance(padding, str) else along(padding), kernel, strides, dilations
    )
    window = window_on((1, input.shape[2]), kernel, strides, frame, dilations)
    if window.output[1] < 1:
        raise RuntimeError(
            f"Calculated padded input size per channel: ({window.padded[1]}). Kernel size: "
            f"({kernel[1]}). Kernel size can't be greater than actual input size"
        )
    return conv_variants.conv1d(input, weight, bias, window, groups)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """The transpose of `conv2d`: (N, C, H, W) or (C, H, W) with (C, O / groups, kh, kw).

    Ho = (H - 1) · stride - 2 · padding + dilation · (kh - 1) + output_padding + 1, and Wo alike.
    """
    if input.ndim == 3:
        batch = input.reshape(1, *input.shape)
        return conv_transpose2d(
            batch, weight, bias, stride, padding, output_padding, groups, dilation
        )[0]
    _check_transposed_channels(input, weight, groups)
    kernel = (weight.shape[2], weight.shape[3])
    strides, dilations, pads, extra = map(pair, (stride, dilation, padding, output_padding))
    for more, step, dilated in zip(extra, strides, dilations, strict=True):
        if more >= max(step, dilated):
            raise RuntimeError(
                "output padding must be smaller than either stride or dilation, but got "
                f"output_padding: {extra} stride: {strides} dilation: {dilations}"
            )
    height, width = (
        (size - 1) * s - 2 * p + d * (k - 1) + more + 1
        for size, s, p, d, k, more in zip(
            image_size(input), strides, pads, dilations, kernel, extra, strict=True
        )
    )
    if min(height, width) < 1:
        raise RuntimeError(
            f"Given input size per channel: ({by(image_size(input), ' x ')}). Calculated output "
            f"size per channel: ({height} x {width}). Output size is too small"
        )
    frame = symmetric(pads)
    window = Window(kernel, strides, frame, dilations, (height, width), image_size(input))
    if window.is_pointwise and window.input != window.output:
        raise NotImplementedError(
            "conv_transpose2d: output_padding with a kernel of one pixel and stride 1 is not "
            "available"
        )
    return conv_variants.conv_transpose2d(input, weight, bias, window, groups)


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """The transpose of `conv1d`, computed on images of height 1."""
    sizes = (along(stride, 1), along(padding), along(output_padding), groups, along(dilation, 1))
    return conv_transpose2d(input.unsqueeze(-2), weight.unsqueeze(-2), bias, *sizes).squeeze(-2)


def _check_transposed_channels(input: Tensor, weight: Tensor, groups: int) -> None:
    if input.ndim != 4:
        raise RuntimeError(
            "Expected 3D (unbatched) or 4D (batched) input to conv_transpose2d, but got input of "
            f"size: {list(input.shape)}"
        )
    if input.dtype != weight.dtype:
        raise RuntimeError(
            f"Input type ({dtype_name(input)}) and weight type ({dtype_name(weight)}) should be "
            "the same"
        )
    if input.shape[1] != weight.shape[0]:
        raise RuntimeError(
            f"Given transposed=1, weight of size {list(weight.shape)}, expected input"
            f"{list(input.shape)} to have {weight.shape[0]} channels, but got {input.shape[1]} "
            "channels instead"
        )
