"""Activations and softmax as functions."""

from __future__ import annotations

from ddp.autograd.ops import activation
from ddp.autograd.ops import softmax as softmax_op
from ddp.autograd.tensor import Tensor


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
