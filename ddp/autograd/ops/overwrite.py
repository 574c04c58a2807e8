"""Operations that replace all values of a tensor: `zero_`, `fill_`, `copy_`, and random numbers.

What was there before does not matter any more, so no gradient flows to it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.ops.broadcast import Operand, unbroadcast
from ddp.autograd.ops.inplace import (
    check_and_see_whether_recorded,
    number_for,
    old_value,
    rebase,
    writing,
)
from ddp.autograd.tensor import Tensor, wrap


def zero_(x: Tensor) -> Tensor:
    """x = 0."""
    return overwrite(x, 0, ZeroBackward0)


def fill_(x: Tensor, value: Operand) -> Tensor:
    """x = value everywhere."""
    if not isinstance(value, Tensor):
        return overwrite(x, value, FillBackward2)
    if value.array.ndim:
        raise RuntimeError(
            "fill_ only supports 0-dimension value tensor but got tensor with "
            f"{value.array.ndim} dimensions."
        )
    return overwrite(x, value, FillBackward3)


def copy_(x: Tensor, source: Operand) -> Tensor:
    """x = source, broadcast and converted to x's dtype."""
    return overwrite(x, source, CopyBackwards)


def overwrite(x: Tensor, source: Operand | Array, node_class: type[Overwrite]) -> Tensor:
    """x = source, broadcast and converted, with a node of `node_class` where it is recorded."""
    given = (source,) if isinstance(source, Tensor) else ()
    recorded = check_and_see_whether_recorded(x, *given)
    values = source.array if isinstance(source, Tensor) else number_for(x, source)
    writing(x, lambda: x.array.__setitem__(..., values))
    if recorded and x.is_floating_point():
        written = wrap(x.array)
        node = node_class.record(written, old_value(x, x.array), *given)
        assert node is not None
        if given:
            node.source = given[0].array.shape, given[0].array.dtype
        rebase(x, written)
    return x


class Overwrite(Node):
    """y = the source, if there is one;  dx = 0,  dsource = dy, summed to its shape."""

    __slots__ = ("source",)

    source: tuple[tuple[int, ...], np.dtype[Any]]

    def backward(self, dy: Array) -> Gradients:
        dx = np.zeros_like(dy) if self.needs(0) else None
        if len(self.edges) == 1 or not self.needs(1):
            return dx, None
        shape, dtype = self.source
        return dx, unbroadcast(dy, shape).astype(dtype, copy=False)


class ZeroBackward0(Overwrite):
    """Filled with zeros."""

    __slots__ = ()


class FillBackward2(Overwrite):
    """Filled with a number."""

    __slots__ = ()


class FillBackward3(Overwrite):
    """Filled with a 0-d tensor."""

    __slots__ = ()


class CopyBackwards(Overwrite):
    """Copied from another tensor."""

    __slots__ = ()

    def name(self) -> str:
        return "torch::autograd::CopyBackwards"
