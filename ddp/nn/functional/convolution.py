"""Convolution as functions: arguments become a `Window`."""

from __future__ import annotations

from ddp.autograd.ops import conv
from ddp.autograd.ops.window import Pair, window_on
from ddp.autograd.tensor import Tensor
from ddp.nn.functional.losses import dtype_name
from ddp.nn.functional.sizes import Size, by, image_size, pair, symmetric


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
    if input.ndim == 3:
        batch = input.reshape(1, *input.shape)
        return conv2d(batch, weight, bias, stride, padding, dilation, groups)[0]
    _check_channels(input, weight, groups)
    kernel = (weight.shape[2], weight.shape[3])
    strides, dilations = pair(stride), pair(dilation)
    frame = _frame(padding, kernel, strides, dilations)
    window = window_on(image_size(input), kernel, strides, frame, dilations)
    if min(window.output) < 1:
        raise RuntimeError(
            f"Calculated padded input size per channel: ({by(window.padded, ' x ')}). Kernel "
            f"size: ({by(kernel, ' x ')}). Kernel size can't be greater than actual input size"
        )
    return conv.conv2d(input, weight, bias, window, groups)


def _check_channels(input: Tensor, weight: Tensor, groups: int) -> None:
    if input.ndim != 4:
        raise RuntimeError(
            "Expected 3D (unbatched) or 4D (batched) input to conv2d, but got input of size: "
            f"{list(input.shape)}"
        )
    if input.dtype != weight.dtype:
        raise RuntimeError(
            f"Input type ({dtype_name(input)}) and weight type ({dtype_name(weight)}) should be "
            "the same"
        )
    if input.shape[1] != weight.shape[1] * groups:
        raise RuntimeError(
            f"Given groups={groups}, weight of size {list(weight.shape)}, expected "
            f"input{list(input.shape)} to have {weight.shape[1] * groups} channels, but got "
            f"{input.shape[1]} channels instead"
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


def check_padding(padding: Size | str, stride: Pair) -> None:
    """Raise ValueError for a padding word that is unknown or does not go with the stride."""
    if isinstance(padding, str) and padding not in ("same", "valid"):
        raise ValueError(
            f"Invalid padding string '{padding}', should be one of {{'same', 'valid'}}"
        )
    if padding == "same" and stride != (1, 1):
        raise ValueError("padding='same' is not supported for strided convolutions")
