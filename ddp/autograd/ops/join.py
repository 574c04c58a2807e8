"""Several tensors into one, one into several: cat, stack, split, chunk, unbind."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ddp.autograd.dtypes import promote_types
from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.ops.blocks import aligned_empty
from ddp.autograd.ops.broadcast import to
from ddp.autograd.ops.index import getitem
from ddp.autograd.ops.reduce import as_axis
from ddp.autograd.ops.shape import axis_of
from ddp.autograd.tensor import Tensor, view_of, wrap


def require_list(name: str, tensors: Any, empty: type[Exception] = RuntimeError) -> None:
    """Raise unless `tensors` is a sequence of at least one tensor, and of tensors only."""
    if isinstance(tensors, Tensor):
        raise TypeError(
            f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor"
        )
    if not tensors:
        raise empty(f"{name} expects a non-empty TensorList")
    for place, tensor in enumerate(tensors):
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"expected Tensor as element {place} in argument 0, but got {type(tensor).__name__}"
            )


def _of_one_dtype(tensors: Sequence[Tensor]) -> list[Tensor]:
    dtype = functools.reduce(promote_types, [tensor.dtype for tensor in tensors])
    return [to(tensor, dtype) for tensor in tensors]


def _joined(join: Any, parts: Sequence[Tensor], axis: int) -> Array:
    try:
        return join([part.array for part in parts], axis)
    except ValueError as error:
        raise RuntimeError(
            f"Sizes of tensors must match except in dimension {axis}: {error}"
        ) from None


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors one after the other along `dim`; they agree in the other axes.

    Tensors of shape (0,) are left out, whatever the shape of the others.
    """
    require_list("cat", tensors, empty=ValueError)
    parts = _of_one_dtype(tensors)
    if any(part.array.ndim == 0 for part in parts):
        raise RuntimeError("zero-dimensional tensors cannot be concatenated: use stack")
    joined = parts
    if any(part.array.ndim > 1 for part in parts):
        joined = [part for part in parts if part.array.shape != (0,)]
    is_nothing = all(part.array.shape == (0,) for part in joined)
    axis = 0 if is_nothing else as_axis(joined[0], dim)
    y = wrap(_joined(np.concatenate, joined, axis))
    if node := CatBackward0.record(y, *parts):
        node.axis, node.has_gaps = axis, len(joined) < len(parts)
        lengths = [0 if part.array.shape == (0,) else part.array.shape[axis] for part in parts]
        node.ends = np.cumsum(lengths).tolist()[:-1]
    return y


class CatBackward0(Node):
    """Each dx is its own part of dy; of shape (0,) for a part that was left out."""

    __slots__ = ("axis", "ends", "has_gaps")

    axis: int
    ends: list[int]
    has_gaps: bool

    def backward(self, dy: Array) -> Gradients:
        parts = np.split(dy, self.ends, self.axis)
        if self.has_gaps:
            axis = self.axis
            return tuple([part if part.shape[axis] else np.zeros(0, dy.dtype) for part in parts])
        return tuple(parts)


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape side by side along a new axis `dim`."""
    require_list("stack", tensors)
    parts = _of_one_dtype(tensors)
    axis = axis_of(parts[0].array.ndim + 1, dim)
    y = wrap(_joined(np.stack, parts, axis))
    if node := StackBackward0.record(y, *parts):
        node.axis = axis
    return y


class StackBackward0(Node):
    """dxᵢ = dy at i of the new axis."""

    __slots__ = ("axis",)

    axis: int

    def backward(self, dy: Array) -> Gradients:
        return tuple(np.moveaxis(dy, self.axis, 0))


def split(x: Tensor, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of `split_size` entries each along `dim` (the last may be smaller), or of the sizes."""
    _require_axes(x, "split")
    axis = as_axis(x, dim)
    length = x.array.shape[axis]
    if isinstance(split_size, int):
        starts = range(0, max(length, 1), split_size)
        sizes = [min(split_size, length - start) for start in starts]
        return _split(x, sizes, axis, SplitBackward0)
    if sum(split_size) != length:
        raise RuntimeError(
            f"split_with_sizes expects split_sizes to sum exactly to {length} (input tensor's "
            f"size at dimension {dim}), but got split_sizes={list(split_size)}"
        )
    return _split(x, split_size, axis, SplitWithSizesBackward0)


def _split(
    x: Tensor, sizes: Sequence[int], axis: int, node_class: type[SplitBackward0]
) -> tuple[Tensor, ...]:
    ends = np.cumsum(sizes).tolist()
    parts = tuple([view_of(x, part) for part in np.split(x.array, ends[:-1], axis)])
    if node := node_class.record_several(parts, x):
        node.axis, node.shapes = axis, [part.array.shape for part in parts]
    return parts


class SplitBackward0(Node):
    """dx = the dys one after the other, zeros for a part nobody used."""

    __slots__ = ("axis", "shapes")

    axis: int
    shapes: list[tuple[int, ...]]

    def backward(self, *dys: Array | None) -> Gradients:
        parts = _without_gaps(dys, self.shapes)
        whole = _side_by_side(parts, self.axis)
        return (np.concatenate(parts, self.axis) if whole is None else whole,)


class SplitWithSizesBackward0(SplitBackward0):
    """The same for parts of given sizes."""

    __slots__ = ()


def _side_by_side(parts: Sequence[Array], axis: int) -> Array | None:
    """The parts as one array if they are views of one, in order along `axis`; else None."""
    first = parts[0]
    if not isinstance(first, np.ndarray) or first.base is None:
        return None
    end, length = address(first), 0
    for part in parts:
        if part.base is not first.base or part.strides != first.strides or address(part) != end:
            return None
        end += part.shape[axis] * part.strides[axis]
        length += part.shape[axis]
    shape = (*first.shape[:axis], length, *first.shape[axis + 1 :])
    return as_strided(first, shape, first.strides)


def empty_side_by_side(*parts: Array) -> list[Array]:
    """Uninitialised arrays in the shapes and memory orders of the parts.

    Where the parts lie side by side in one memory, as those of a `split` do, so do the arrays: the
    gradients that are written there need not be joined.
    """
    first = parts[0]
    step = address(parts[1]) - address(first)
    shape, strides = (len(parts), *first.shape), (step, *first.strides)
    are_alike = all(
        (x.shape, x.strides, x.dtype, address(x) - address(first))
        == (first.shape, first.strides, first.dtype, i * step)
        for i, x in enumerate(parts)
    )
    if not are_alike or not is_dense(shape, strides, first.itemsize):
        return [np.empty_like(x) for x in parts]
    memory = aligned_empty((len(parts) * first.size,), first.dtype)
    return list(as_strided(memory, shape, strides))


def address(x: Array) -> int:
    """Where the first element lies."""
    place: int = x.__array_interface__["data"][0]
    return place


def is_dense(shape: Sequence[int], strides: Sequence[int], itemsize: int) -> bool:
    """Whether an array of such strides fills its memory, in whatever order of axes."""
    for stride, length in sorted(zip(strides, shape, strict=True)):
        if length != 1:
            if stride != itemsize:
                return False
            itemsize *= length
    return True


def _without_gaps(dys: Sequence[Array | None], shapes: Sequence[tuple[int, ...]]) -> list[Array]:
    """The gradients, zeros for None."""
    dtype = next(dy.dtype for dy in dys if dy is not None)
    return [
        np.zeros(shape, dtype) if dy is None else dy for dy, shape in zip(dys, shapes, strict=True)
    ]


def chunk(x: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` views of equal size along `dim`; the last may be smaller."""
    _require_axes(x, "chunk")
    return split(x, max(-(-x.array.shape[as_axis(x, dim)] // chunks), 1), dim)


def _require_axes(x: Tensor, operation: str) -> None:
    if x.array.ndim == 0:
        raise RuntimeError(f"{operation} expects at least a 1-dimensional tensor")


def unbind(x: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """A view per entry of the axis `dim`, without it."""
    axis = as_axis(x, dim)
    rows = np.moveaxis(x.array, axis, 0)  # `...` keeps views of single elements views
    parts = tuple([view_of(x, rows[i, ...]) for i in range(len(rows))])
    if parts and (node := UnbindBackward0.record_several(parts, x)):
        node.axis, node.shapes = axis, [part.array.shape for part in parts]
    return parts


class UnbindBackward0(SplitBackward0):
    """dx = the dys side by side along the axis, zeros for an entry nobody used."""

    __slots__ = ()

    def backward(self, *dys: Array | None) -> Gradients:
        return (np.stack(_without_gaps(dys, self.shapes), self.axis),)


def narrow(x: Tensor, dim: int, start: int | Tensor, length: int) -> Tensor:
    """The view of `length` entries along `dim` from `start`."""
    if isinstance(start, Tensor):
        if start.array.ndim or start.array.dtype.kind not in "iu":
            raise RuntimeError("start must be an 0-dim integral Tensor.")
        start = int(start.array)
    if x.array.ndim == 0:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    axis = as_axis(x, dim)
    size = x.array.shape[axis]
    if not -size <= start <= size:
        raise IndexError(
            f"start out of range (expected to be in range of [{-size}, {size}], but got {start})"
        )
    start = start + size if start < 0 else start
    if length < 0 or start + length > size:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({size}).")
    before = (slice(None),) * axis
    return getitem(x, (*before, slice(start, start + length)))
