"""Views in the graph: what a write through a view does to its base, and to the base's other views.

A view knows its base and the base's place in the graph when the view was made. A write to a view
gives the base a new place (`CopySlices`: the base with the view's elements replaced). A view whose
base has moved on reads from the base's new place (`AsStridedBackward0`) as soon as it is used.

A view is described by where it lies in the memory of its base, whatever the order of either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.lib.array_utils import byte_bounds

from ddp.autograd.node import Array, Gradients, Node

if TYPE_CHECKING:
    from ddp.autograd.tensor import Tensor

Shape = tuple[int, ...]


class Window(NamedTuple):
    """A view in the memory of its base; everything in bytes but the shapes."""

    size: int  # of the memory from the base's first element to its last
    base_offset: int
    base_shape: Shape
    base_strides: Shape
    offset: int
    shape: Shape
    strides: Shape

    def apply(self, base: Array) -> tuple[Array, Array]:
        """A copy of `base` laid out as the base is, and the view of that copy."""
        memory = np.empty(self.size, np.uint8)
        copy = np.ndarray(self.base_shape, base.dtype, memory, self.base_offset, self.base_strides)
        copy[...] = base
        return copy, np.ndarray(self.shape, base.dtype, memory, self.offset, self.strides)


def window_on(base: Array, view: Array) -> Window:
    """Where `view` lies in the memory of `base`, of which it is a view."""
    first, end = byte_bounds(base)
    return Window(
        end - first,
        base.ctypes.data - first,
        base.shape,
        base.strides,
        view.ctypes.data - first,
        view.shape,
        view.strides,
    )


class WriteWindow(Node):
    """y = x with the elements of a view replaced;  dx = dy with 0 there,  dvalue = dy there."""

    __slots__ = ("window",)

    window: Window

    def backward(self, dy: Array) -> Gradients:
        dx, region = self.window.apply(dy)
        dvalue = region.copy()
        region[...] = 0
        return (dx if self.needs(0) else None), dvalue

    def name(self) -> str:
        return "torch::autograd::CopySlices"


class AsStridedBackward0(Node):
    """y = a view of x;  dx = dy there, 0 elsewhere."""

    __slots__ = ("window",)

    window: Window

    def backward(self, dy: Array) -> Gradients:
        dx, region = self.window.apply(np.zeros((), dy.dtype))
        region[...] = dy
        return (dx,)


def read_from_base(view: Tensor, base: Tensor) -> None:
    """Give `view` its place in the graph as a view of what `base` is now."""
    if base._edge is not None:
        reader = AsStridedBackward0((base._edge,))
        reader.window = window_on(base.array, view.array)
        view._edge, view._requires_grad = (reader, 0), True
    else:
        view._edge, view._requires_grad = None, base._requires_grad
    view._base_edge = base._edge
    view._backward_hooks = None
