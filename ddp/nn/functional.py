"""The layers as functions, with PyTorch's names, arguments and errors.

Here arguments are checked and brought into the form that the operations in `ddp.autograd.ops`
take; formulas and gradients stand there.
"""

from __future__ import annotations

from ddp.autograd.ops import activation, conv, pool
from ddp.autograd.ops import dropout as dropout_op
from ddp.autograd.ops import softmax as softmax_op
from ddp.autograd.ops.linear import addmm
from ddp.autograd.ops.norm import batch_norm as normalise
from ddp.autograd.ops.window import Pair, Window, window_on
from ddp.autograd.random import RandomSource
from ddp.autograd.tensor import Tensor
from ddp.nn.losses import binary_cross_entropy_with_logits as binary_cross_entropy_with_logits
from ddp.nn.losses import cross_entropy as cross_entropy
from ddp.nn.losses import dtype_name
from ddp.nn.losses import mse_loss as mse_loss
from ddp.nn.losses import nll_loss as nll_loss

Size = int | tuple[int, ...]


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x @ weightᵀ + bias: (..., K), (M, K), (M,) → (..., M)."""
    if input.shape[-1:] != weight.shape[-1:]:
        rows = (input.numel() // max(input.shape[-1], 1), input.shape[-1]) if input.shape else ()
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({_by(rows)} and {_by(weight.shape[::-1])})"
        )
    if input.dtype != weight.dtype:
        raise RuntimeError(
            "mat1 and mat2 must have the same dtype, but got "
            f"{dtype_name(input)} and {dtype_name(weight)}"
        )
    if input.ndim != 2:
        rows_of = input.reshape(-1, input.shape[-1])
        return linear(rows_of, weight, bias).reshape(*input.shape[:-1], weight.shape[0])
    return input.mm(weight.t()) if bias is None else addmm(bias, input, weight.t())


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0). `inplace` is accepted; the result is new memory all the same."""
    return activation.relu(input)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return activation.sigmoid(input)


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return activation.tanh(input)


def softmax(input: Tensor, dim: int) -> Tensor:
    """Probabilities along `dim`."""
    return softmax_op.softmax(input, dim)


def log_softmax(input: Tensor, dim: int) -> Tensor:
    """Logarithms of the probabilities along `dim`."""
    return softmax_op.log_softmax(input, dim)


def check_dropout_probability(p: float) -> None:
    """Raise ValueError unless 0 ≤ p ≤ 1."""
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: RandomSource | None = None,
) -> Tensor:
    """Zero each element with probability `p` and scale the others by 1 / (1 - p).

    The mask is drawn from `generator`, by default the thread's `current_generator()`; nothing is
    drawn when `p` is 0 or 1 or outside of training. `inplace` is accepted and changes nothing.
    """
    check_dropout_probability(p)
    if not training or p == 0 or input.numel() == 0:
        return input
    return input * 0.0 if p == 1 else dropout_op.dropout(input, p, generator)


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
    window = window_on(_image(input), kernel, strides, frame, dilations)
    if min(window.output) < 1:
        raise RuntimeError(
            f"Calculated padded input size per channel: ({_by(window.padded, ' x ')}). Kernel "
            f"size: ({_by(kernel, ' x ')}). Kernel size can't be greater than actual input size"
        )
    return conv.conv2d(input, weight, bias, window, groups)


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


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise (N, C, ...) per channel, by the batch's statistics in training, else the running.

    In training the running statistics move by `momentum` towards the batch's (the variance towards
    the unbiased one), in place.
    """
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("expected running_mean and running_var when training=False")
        statistics = (running_mean.array, running_var.array)
        return normalise(input, weight, bias, statistics, eps)[0]
    values = input.numel() // max(input.shape[1], 1)
    if values <= 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {input.shape}"
        )
    output, mean, variance = normalise(input, weight, bias, None, eps)
    if running_mean is not None and running_var is not None:
        _move(running_mean, mean, momentum)
        _move(running_var, variance * (values / (values - 1)), momentum)
    return output


def _move(running: Tensor, value: object, momentum: float) -> None:
    running.array *= 1 - momentum
    running.array += momentum * value  # type: ignore[operator]
    running._version_cell[0] += 1


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
    window = window_on(_image(input), kernel, strides, symmetric(pads), pair(dilation), ceil_mode)
    if min(window.output) < 1:
        raise RuntimeError(
            f"Given input size: {tuple(input.shape[1:])}. Calculated output size: "
            f"{(input.shape[1], *window.output)}. Output size is too small"
        )
    return window


def pair(size: Size) -> Pair:
    """A size along both axes, from one number or two."""
    if isinstance(size, int):
        return size, size
    height, width = size
    return height, width


def symmetric(padding: Pair) -> tuple[Pair, Pair]:
    """The same padding before and after."""
    return (padding[0], padding[0]), (padding[1], padding[1])


def _image(input: Tensor) -> Pair:
    if input.ndim != 4:
        raise RuntimeError(f"expected 3D or 4D (batched) input, but got shape {input.shape}")
    return input.shape[2], input.shape[3]


def _by(sizes: tuple[int, ...], sign: str = "x") -> str:
    return sign.join(map(str, sizes))
