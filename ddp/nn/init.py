"""Initial values, drawn in PyTorch's order from PyTorch's stream.

Each function fills a tensor in place and returns it. `generator=None` means `current_generator()`.
Bounds are computed as PyTorch computes them (float64), so the same seed gives the same bits.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
from numpy.typing import ArrayLike

from ddp.autograd.node import Array
from ddp.autograd.ops.sampling import draw_uniform
from ddp.autograd.random import RandomSource, current_generator
from ddp.autograd.tensor import Tensor
from ddp.nn.parameter import overwrite

Shape = tuple[int, ...]

_GAINS = {
    **dict.fromkeys(("linear", "conv1d", "conv2d", "conv3d", "sigmoid"), 1.0),
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    "selu": 3.0 / 4,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much a nonlinearity shrinks the standard deviation; `param`: the leaky slope."""
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else float(param)
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        raise ValueError(f"Unsupported nonlinearity {nonlinearity}")
    return _GAINS[nonlinearity]


def fans(tensor: Tensor) -> tuple[int, int]:
    """(fan in, fan out) of a weight (out, in, *kernel)."""
    if tensor.ndim < 2:
        raise ValueError(
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions"
        )
    receptive_field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * receptive_field, tensor.shape[0] * receptive_field


def _fill(tensor: Tensor, values: ArrayLike) -> Tensor:
    overwrite(tensor, values)
    return tensor


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: RandomSource | None = None
) -> Tensor:
    """Values from U(a, b)."""
    return _fill(tensor, draw_uniform(tensor.shape, tensor.dtype, generator, a, b))


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: RandomSource | None = None
) -> Tensor:
    """Values from N(mean, std²)."""
    generator = current_generator() if generator is None else generator
    if math.prod(tensor.shape) < 16 or tensor.dtype == np.float64:
        # Rounded once, when it is written, as in PyTorch.
        return _fill(tensor, generator.normal64(tensor.shape) * std + mean)
    return _fill(tensor, generator.normal(tensor.shape) * np.float32(std) + np.float32(mean))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """`val` everywhere."""
    return _fill(tensor, val)


def ones_(tensor: Tensor) -> Tensor:
    """1 everywhere."""
    return _fill(tensor, 1)


def zeros_(tensor: Tensor) -> Tensor:
    """0 everywhere."""
    return _fill(tensor, 0)


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: RandomSource | None = None
) -> Tensor:
    """U(±gain · sqrt(6 / (fan in + fan out))): Glorot and Bengio, 2010."""
    bound = math.sqrt(3.0) * gain * math.sqrt(2.0 / float(sum(fans(tensor))))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(
    tensor: Tensor, gain: float = 1.0, generator: RandomSource | None = None
) -> Tensor:
    """N(0, gain² · 2 / (fan in + fan out)): Glorot and Bengio, 2010."""
    std = gain * math.sqrt(2.0 / float(sum(fans(tensor))))
    return normal_(tensor, 0.0, std, generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: RandomSource | None = None,
) -> Tensor:
    """U(±gain · sqrt(3 / fan)): He et al., arXiv:1502.01852; `a` is the leaky slope."""
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: RandomSource | None = None,
) -> Tensor:
    """N(0, gain² / fan): He et al., arXiv:1502.01852; `a` is the leaky slope."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode.lower() not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    fan = fans(tensor)[0 if mode.lower() == "fan_in" else 1]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: RandomSource | None = None,
) -> Tensor:
    """N(mean, std²) within [a, b]: values outside are drawn again.

    Where less than 30 % would lie inside, uniform candidates are taken with the density's odds.
    """
    generator = current_generator() if generator is None else generator
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. The distribution of "
            "values may be incorrect.",
            stacklevel=2,
        )
    inside = _normal_cdf((b - mean) / std) - _normal_cdf((a - mean) / std)
    draw = _inside_of_normal if inside > 0.3 else _inside_of_uniform
    return _fill(tensor, draw(tensor.shape, mean, std, a, b, generator))


def _normal_cdf(x: float) -> float:
    return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0


def _inside_of_normal(
    shape: Shape, mean: float, std: float, a: float, b: float, generator: RandomSource
) -> Array:
    def draw() -> Array:
        return generator.normal(shape) * np.float32(std) + np.float32(mean)

    values = draw()
    while (outside := (values < np.float32(a)) | (values > np.float32(b))).any():
        values = np.where(outside, draw(), values)
    return values


def _inside_of_uniform(
    shape: Shape, mean: float, std: float, a: float, b: float, generator: RandomSource
) -> Array:
    highest = -0.5 * ((max(a, min(mean, b)) - mean) / std) ** 2

    def draw() -> tuple[Array, Array]:
        """Candidates, and which of them are refused."""
        candidates = generator.uniform(shape, a, b)
        log_density = ((candidates - np.float32(mean)) / np.float32(std)) ** 2 * np.float32(-0.5)
        with np.errstate(divide="ignore"):
            odds = np.log(generator.uniform(shape))
        return candidates, odds > log_density - np.float32(highest)

    values, pending = draw()
    while pending.any():
        candidates, refused = draw()
        values = np.where(pending, candidates, values)
        pending &= refused
    return values


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix; 2-D tensors only."""
    if tensor.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    return _fill(tensor, np.eye(*tensor.shape))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution's weight that hands its input channels on, as many as there are."""
    if tensor.ndim not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    if tensor.shape[0] % groups:
        raise ValueError("dim 0 must be divisible by groups")
    per_group = tensor.shape[0] // groups
    centre = tuple([size // 2 for size in tensor.shape[2:]])
    values = np.zeros(tensor.shape, tensor.dtype)
    for group in range(groups):
        for channel in range(min(per_group, tensor.shape[1])):
            values[(group * per_group + channel, channel, *centre)] = 1
    return _fill(tensor, values)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: RandomSource | None = None) -> Tensor:
    """A matrix (out, all the rest) with orthonormal rows or columns, times `gain`.

    Saxe et al., arXiv:1312.6120.
    """
    if tensor.ndim < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    if tensor.numel() == 0:
        return tensor
    generator = current_generator() if generator is None else generator
    rows, columns = tensor.shape[0], tensor.numel() // tensor.shape[0]
    flat = generator.normal((rows, columns))
    q, r = np.linalg.qr(flat.T if rows < columns else flat)
    q = q * np.sign(np.diag(r))
    return _fill(tensor, (q.T if rows < columns else q).reshape(tensor.shape) * np.float32(gain))


def sparse_(
    tensor: Tensor, sparsity: float, std: float = 0.01, generator: RandomSource | None = None
) -> Tensor:
    """N(0, std²) with the fraction `sparsity` of every column zero; 2-D tensors only."""
    if tensor.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    rows, columns = tensor.shape
    normal_(tensor, 0.0, std, generator)
    for column in range(columns):
        order = current_generator().permutation(rows)  # PyTorch's default, whatever was given
        tensor.array[order[: math.ceil(sparsity * rows)], column] = 0
    return tensor


def default_weight_and_bias_(
    weight: Tensor, bias: Tensor | None, generator: RandomSource | None = None
) -> None:
    """What Linear and Conv2d start from: the weight first, then the bias, both U(±1/√fan in)."""
    kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
    if bias is not None:
        bound = 1 / math.sqrt(fans(weight)[0])
        uniform_(bias, -bound, bound, generator)
