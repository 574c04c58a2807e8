"""How a function of one real variable is written when its gradient is dy times a slope.

The function names its node class and its NumPy function; the class says the slope, as a function
of the input (`OfInput`) or of the output (`OfOutput`), whichever is cheaper. `flat` is for
functions that are constant between jumps: PyTorch records them and sends zeros back.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ddp.autograd.dtypes import to_floating
from ddp.autograd.node import RESULT, Array, Gradients, Node, Saves
from ddp.autograd.ops.broadcast import quietly, to
from ddp.autograd.tensor import Tensor, wrap

ArrayFunction = Callable[[Array], Array]


def floating(x: Tensor) -> Tensor:
    """`x`, integers as float32: what functions of real numbers are computed on."""
    return x if x.array.dtype.kind == "f" else to(x, to_floating(x.array.dtype))


class OfInput(Node):
    """dx = dy · slope(x)."""

    __slots__ = ()
    saves = Saves(self=0)

    def backward(self, dy: Array) -> Gradients:
        (x,) = self.saved
        return (dy * self.slope(x),)

    def slope(self, x: Array) -> Array:
        raise NotImplementedError


class OfOutput(Node):
    """dx = dy · slope(y)."""

    __slots__ = ()
    saves = Saves(result=RESULT)

    def backward(self, dy: Array) -> Gradients:
        (y,) = self.saved
        return (dy * self.slope(y),)

    def slope(self, y: Array) -> Array:
        raise NotImplementedError


class Flat(Node):
    """dx = 0."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        return (np.zeros_like(dy),)


@quietly
def pointwise(node_class: type[OfInput] | type[OfOutput], f: ArrayFunction, x: Tensor) -> Tensor:
    """y = f(x), integers as floats, recorded with what `node_class` takes the slope of."""
    x = floating(x)
    y = wrap(f(x.array))
    if node := node_class.record(y, x):
        node.save(y if issubclass(node_class, OfOutput) else x)
    return y


def flat(node_class: type[Flat], f: ArrayFunction, x: Tensor) -> Tensor:
    """y = f(x) in x's dtype; integers, on which rounding does nothing, are copied."""
    y = wrap(f(x.array) if x.array.dtype.kind == "f" else x.array.copy())
    node_class.record(y, x)
    return y
