"""Reading and writing parts of a tensor: `x[index]`, `x[index] = value`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.ops.shape import as_axis
from ddp.autograd.tensor import Tensor, view_of, wrap


def getitem(x: Tensor, index: Any) -> Tensor:
    """y = x[index]. Integers, slices, None and `...` give a view; arrays and masks a copy."""
    items = as_items(index)
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


def as_items(index: Any) -> tuple[Any, ...]:
    """The entries of an index, each in NumPy's form."""
    items = index if isinstance(index, tuple) else (index,)
    return tuple([as_item(item) for item in items])


def as_item(item: Any) -> Any:
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


def scatter(x: Tensor, index: tuple[Any, ...], shape: tuple[int, ...]) -> Tensor:
    """y[index] += x on zeros of `shape`: the gradient of reading, as an operation."""
    array = np.zeros(shape, x.array.dtype)
    np.add.at(array, index, x.array)
    y = wrap(array)
    if node := IndexPutBackward0.record(y, x):
        node.index = index
    return y


class IndexPutBackward0(Node):
    """dx = dy at the index."""

    __slots__ = ("index",)

    index: tuple[Any, ...]

    def backward(self, dy: Array) -> Gradients:
        return (dy[self.index],)


def gather(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """y[i][j] = x[index[i][j]][j] for dim 0, x[i][index[i][j]] for dim 1, and so on."""
    if x.array.ndim == 0:
        return gather(getitem(x, None), dim, index)
    where = _gather_indices(x, dim, index)
    y = wrap(x.array[where].reshape(index.array.shape))
    if node := GatherBackward0.record(y, x):
        node.shape, node.index = x.array.shape, where
    return y


def _gather_indices(x: Tensor, dim: int, index: Tensor) -> tuple[Array, ...]:
    axis = as_axis(x, dim)
    length = x.array.shape[axis] if x.array.ndim else 1
    if not _within(index.array, length):
        raise RuntimeError(
            f"gather(): an index is out of bounds for dimension {dim} with size {length}"
        )
    if index.array.size == 0:
        return (index.array.astype(np.int64),) * x.array.ndim
    if index.array.ndim == 0 and x.array.ndim == 1:
        return (index.array,)
    if max(index.array.ndim, 1) != x.array.ndim:
        raise RuntimeError(
            "Index tensor must have the same number of dimensions as input tensor: gather() got "
            f"an index of {index.array.ndim} and an input of {x.array.ndim}"
        )
    grid: list[Array] = list(np.indices(index.array.shape, sparse=True))
    grid[axis] = index.array
    return tuple(grid)


class GatherBackward0(IndexBackward0):
    """The same for one index per element."""

    __slots__ = ()


def _within(index: Array, length: int) -> bool:
    """Whether every index is 0 … length - 1: negative ones do not count from the end here."""
    return not index.size or (index.min() >= 0 and index.max() < length)


class OutOfRange(IndexError, RuntimeError):
    """An index beyond its axis: PyTorch raises the one or the other, by how the memory lies."""


def index_select(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """The entries `index` (1-D) of the axis `dim`."""
    axis = as_axis(x, dim)
    length = x.array.shape[axis] if x.array.ndim else 1
    if x.array.ndim == 0 and index.array.size != 1:
        raise RuntimeError("index_select(): a 0-d tensor has one entry to select")
    if not _within(index.array, length):
        raise OutOfRange(f"index_select(): index out of range for a dimension of {length}")
    items: tuple[Any, ...] = (*(slice(None),) * axis, index.array) if x.array.ndim else ()
    y = wrap(x.array[items])
    if node := IndexSelectBackward0.record(y, x):
        node.shape, node.index = x.array.shape, items
    return y


class IndexSelectBackward0(IndexBackward0):
    """The same for entries of one axis."""

    __slots__ = ()
