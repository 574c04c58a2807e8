"""Initial values, drawn in PyTorch's order from PyTorch's stream.

Each function fills a tensor in place and returns it. `generator=None` means `current_generator()`.
Bounds are computed as PyTorch computes them (float64), so the same seed gives the same bits.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from ddp.autograd.random import RandomSource, current_generator
from ddp.autograd.tensor import Tensor
from ddp.nn.parameter import overwrite

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
    generator = current_generator() if generator is None else generator
    return _fill(tensor, generator.uniform(tensor.shape, a, b))


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: RandomSource | None = None
) -> Tensor:
    """Values from N(mean, std²)."""
    generator = current_generator() if generator is None else generator
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


def default_weight_and_bias_(
    weight: Tensor, bias: Tensor | None, generator: RandomSource | None = None
) -> None:
    """What Linear and Conv2d start from: the weight first, then the bias, both U(±1/√fan in)."""
    kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
    if bias is not None:
        bound = 1 / math.sqrt(fans(weight)[0])
        uniform_(bias, -bound, bound, generator)
