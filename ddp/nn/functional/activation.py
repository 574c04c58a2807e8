"""Activations and softmax as functions.

`inplace` is accepted everywhere; the result is new memory all the same. The functions whose names
end in _ do write into their input.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ddp.autograd.ops import activation, rectifiers
from ddp.autograd.ops import gelu as gelu_op
from ddp.autograd.ops import softmax as softmax_op
from ddp.autograd.ops.inplace_methods import in_place
from ddp.autograd.ops.sampling import exponential_
from ddp.autograd.ops.select import where
from ddp.autograd.tensor import Tensor
from ddp.nn.functional.losses import dtype_name

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


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


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, else negative_slope · x."""
    return _each(rectifiers.leaky_relu, input, negative_slope)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where x > 0, else weight · x; weight: (C,) for (N, C, ...), or one value."""
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.numel() not in (1, channels):
        raise RuntimeError(
            f"Mismatch of parameter numbers and input channel size. Found parameter numbers = "
            f"{weight.numel()} and channel size = {channels}."
        )
    return rectifiers.prelu(input, weight)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha · (exp(x) - 1)."""
    return _each(rectifiers.elu, input, alpha)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """A scaled `elu` that keeps mean 0 and variance 1 (arXiv:1706.02515)."""
    return _each(rectifiers.elu, input, SELU_ALPHA, SELU_SCALE)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha · (exp(x / alpha) - 1)."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return _each(rectifiers.elu, input, alpha, 1.0, 1.0 / alpha)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x · Φ(x); with `approximate="tanh"` by the formula with tanh."""
    if approximate not in ("none", "tanh"):
        raise RuntimeError("approximate argument must be either none or tanh.")
    return _each(gelu_op.gelu if approximate == "none" else gelu_op.gelu_tanh, input)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x · sigmoid(x)."""
    return _each(rectifiers.silu, input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x · tanh(softplus(x))."""
    return _each(rectifiers.mish, input)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta · x)) / beta; x where beta · x is over the threshold."""
    return _each(rectifiers.softplus, input, beta, threshold)


def logsigmoid(input: Tensor) -> Tensor:
    """The logarithm of sigmoid(x)."""
    return _each(rectifiers.log_sigmoid, input)


def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return input / (input.abs() + 1)


def tanhshrink(input: Tensor) -> Tensor:
    """x - tanh(x)."""
    return input - input.tanh()


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """x held within [min_val, max_val]."""
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    if input.dtype.kind in "iu":
        return input.clamp(int(min_val), int(max_val))
    return _each(rectifiers.hardtanh, input, min_val, max_val)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """x held within [0, 6]."""
    return hardtanh(input, 0.0, 6.0)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """(x + 3) / 6 held within [0, 1]."""
    return _each(rectifiers.hardsigmoid, input)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x · hardsigmoid(x)."""
    return _each(rectifiers.hardswish, input)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where x is over the threshold, else `value`."""
    return where(input <= threshold, Tensor(np.array(value, input.dtype)), input)


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x where |x| > lambd, else 0."""
    return input * _outside(input, lambd)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x, nearer to 0 by lambd, where |x| > lambd, else 0."""
    if lambd < 0:
        raise RuntimeError(f"lambda must be greater or equal to 0, but found to be {lambd}.")
    return (input - input.detach().sign() * lambd) * _outside(input, lambd)


def _outside(input: Tensor, lambd: float) -> Tensor:
    """1 where |x| > lambd, else 0."""
    if not input.is_floating_point():
        raise NotImplementedError(f"\"shrink\" not implemented for '{dtype_name(input)}'")
    return Tensor(np.asarray(np.abs(input.array) > lambd, input.dtype))


def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """A sample near a corner of the simplex, by the Gumbel trick (arXiv:1611.01144).

    The lower the temperature `tau`, the nearer. With `hard` the result is one-hot, and its
    gradient that of the soft sample.
    """
    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=2)
    noise = -exponential_(Tensor(np.empty(logits.shape, logits.dtype))).log()
    soft = softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    highest = soft.array.argmax(dim)
    corner = np.zeros_like(soft.array)
    np.put_along_axis(corner, np.expand_dims(highest, dim), 1, dim)
    return Tensor(corner) - soft.detach() + soft


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a · sigmoid(b), a and b being the halves of the input along `dim`."""
    if input.ndim == 0:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    size = input.shape[dim]
    if size % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {dim} is size {size}")
    a, b = input.chunk(2, dim)
    return a * b.sigmoid()


relu_ = in_place(relu)
leaky_relu_ = in_place(leaky_relu)
elu_ = in_place(elu)
selu_ = in_place(selu)
celu_ = in_place(celu)
hardtanh_ = in_place(hardtanh)
threshold_ = in_place(threshold)


def softmin(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """Softmax of -x along `dim`, computed in `dtype` if given."""
    return softmax_op.softmax(-input, dim, dtype)


def _each(operation: Callable[..., Tensor], input: Tensor, *numbers: float) -> Tensor:
    """An operation on every element, which takes floating tensors with axes."""
    if not input.is_floating_point():
        name = operation.__name__
        raise NotImplementedError(f"\"{name}\" not implemented for '{dtype_name(input)}'")
    if input.ndim == 0:
        return operation(input.reshape(1), *numbers).reshape(())
    return operation(input, *numbers)
