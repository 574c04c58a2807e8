"""Reading and writing parts of a tensor: `x[index]`, `x[index] = value`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.tensor import Tensor, view_of, wrap


def getitem(x: Tensor, index: Any) -> Tensor:
    """y = x[index]. Integers, slices, None and `...` give a view; arrays and masks a copy."""
    items = _as_items(index)
    if not _is_basic(items):
        y = wrap(x.array[items])
        if advanced := IndexBackward0.record(y, x):
            advanced.shape, advanced.index = x.array.shape, items
        return y
    if not any(item is Ellipsis for item in items):
        items = (*items, Ellipsis)  # with it NumPy gives a view even of a single element
    y = view_of(x, x.array[items])
    node_class = SliceBackward0 if any(isinstance(i, slice) for i in items) else SelectBackward0
    if basic := node_class.record(y, x):
        basic.shape, basic.index = x.array.shape, items
    return y


def _as_items(index: Any) -> tuple[Any, ...]:
    items = index if isinstance(index, tuple) else (index,)
    return tuple([_as_item(item) for item in items])


def _as_item(item: Any) -> Any:
    """NumPy's form of one index. Unlike NumPy, slices go forward only, as in PyTorch."""
    if isinstance(item, slice) and item.step is not None and item.step < 0:
        raise ValueError("step must be greater than zero")
    if isinstance(item, Tensor):
        return item.item() if item.ndim == 0 and item.dtype.kind in "iu" else item.array
    return np.asarray(item) if isinstance(item, list) else item


def _is_basic(items: tuple[Any, ...]) -> bool:
    return all(
        item is None
        or item is Ellipsis
        or isinstance(item, (slice, np.integer))
        or (isinstance(item, int) and not isinstance(item, bool))
        for item in items
    )


class SelectBackward0(Node):
    """dx = dy at the index, zero elsewhere."""

    __slots__ = ("index", "shape")

    index: tuple[Any, ...]
    shape: tuple[int, ...]

    def backward(self, dy: Array) -> Gradients:
        dx = np.zeros(self.shape, dy.dtype)
        dx[self.index] = dy
        return (dx,)


class SliceBackward0(SelectBackward0):
    """The same for a range."""

    __slots__ = ()


class IndexBackward0(SelectBackward0):
    """dx = dy added up at the indices: an element read twice gets two gradients."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        dx = np.zeros(self.shape, dy.dtype)
        np.add.at(dx, self.index, dy)
        return (dx,)
