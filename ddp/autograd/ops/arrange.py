"""Rearranging a tensor: rolled, tiled, repeated, diagonals, windows. Plain reshapes: `shape.py`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.ops.index import IndexPutBackward0, SelectBackward0, getitem
from ddp.autograd.ops.join import narrow
from ddp.autograd.ops.reduce import as_axis
from ddp.autograd.ops.shape import (
    as_shape,
    axis_of,
    expand,
    flip,
    permute,
    repeat,
    reshape,
    transpose,
)
from ddp.autograd.tensor import Tensor, view_of, wrap

Shape = tuple[int, ...]
Ints = int | Sequence[int]


def _ints(value: Ints) -> Shape:
    return (value,) if isinstance(value, int) else tuple(value)


def roll(x: Tensor, shifts: Ints, dims: Ints | None = None) -> Tensor:
    """The elements moved on by `shifts` along `dims`, what falls off coming in again in front."""
    if dims is None:
        return reshape(roll(reshape(x, -1), shifts, 0), x.shape)
    if len(_ints(shifts)) != len(_ints(dims)):
        raise RuntimeError(
            f"shifts and dimensions must align. shifts: {len(_ints(shifts))}, "
            f"dims:{len(_ints(dims))}"
        )
    axes = tuple([as_axis(x, d) for d in _ints(dims)])
    y = wrap(np.roll(x.array, _ints(shifts), axes))
    if node := RollBackward0.record(y, x):
        node.shifts, node.axes = _ints(shifts), axes
    return y


class RollBackward0(Node):
    """dx = dy moved back."""

    __slots__ = ("axes", "shifts")

    axes: Shape
    shifts: Shape

    def backward(self, dy: Array) -> Gradients:
        return (np.roll(dy, [-shift for shift in self.shifts], self.axes),)


def tile(x: Tensor, *dims: Any) -> Tensor:
    """`repeat`, with axes of `dims` that are missing in front counted as 1."""
    times = as_shape(dims)
    return repeat(x, (1,) * (x.ndim - len(times)) + times)


def repeat_interleave(
    x: Tensor, repeats: int | Tensor, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Every entry of the axis `dim` (of the flattened tensor) repeated, one after the other."""
    if dim is None:
        return repeat_interleave(reshape(x, -1), repeats, 0)
    axis = as_axis(x, dim)
    times = np.asarray(repeats.array if isinstance(repeats, Tensor) else repeats)
    if times.size not in (1, x.shape[axis]):
        raise RuntimeError(
            "repeats must have the same size as input along dim, but got repeats.size(0) = "
            f"{times.size} and input.size({axis}) = {x.shape[axis]}"
        )
    if (times < 0).any():
        raise RuntimeError("repeats can not be negative")
    chosen = np.repeat(np.arange(x.shape[axis]), times.reshape(-1) if times.size > 1 else times)
    return getitem(x, (*(slice(None),) * axis, chosen))


def swapaxes(x: Tensor, axis0: int, axis1: int) -> Tensor:
    """`transpose`, by NumPy's name."""
    return transpose(x, axis0, axis1)


def movedim(x: Tensor, source: Ints, destination: Ints) -> Tensor:
    """A view with axes moved to other places, the rest in their old order."""
    sources = [as_axis(x, d) for d in _ints(source)]
    places = [as_axis(x, d) for d in _ints(destination)]
    if len(sources) != len(places):
        raise RuntimeError(
            "movedim: Invalid source or destination dims: source "
            f"({list(_ints(source))} dims) should contain the same number of dims as destination "
            f"({list(_ints(destination))} dims)"
        )
    for name, axes, given in (
        ("source", sources, source),
        ("destination", places, destination),
    ):
        if len(set(axes)) < len(axes):
            raise RuntimeError(f"movedim: repeated dim in `{name}` ({list(_ints(given))})")
    rest = iter([axis for axis in range(x.ndim) if axis not in sources])
    to_place = dict(zip(places, sources, strict=True))
    return permute(x, [to_place[i] if i in to_place else next(rest) for i in range(x.ndim)])


def unflatten(x: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """The axis `dim` as several, one of whose lengths may be -1."""
    axis = as_axis(x, dim)
    known = -math.prod(sizes)
    lengths = [x.shape[axis] // known if n == -1 and known else n for n in sizes]
    if math.prod(lengths) != x.shape[axis]:
        raise RuntimeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {dim} "
            f"({x.shape[axis]}) in the input tensor"
        )
    return reshape(x, (*x.shape[:axis], *lengths, *x.shape[axis + 1 :]))


def ravel(x: Tensor) -> Tensor:
    """All elements as one axis."""
    return reshape(x, -1)


def view_as(x: Tensor, other: Tensor) -> Tensor:
    """`view` in the shape of `other`."""
    return reshape(x, other.shape)


def broadcast_to(x: Tensor, size: Sequence[int]) -> Tensor:
    """`expand`, by NumPy's name."""
    return expand(x, tuple(size))


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors expanded to their common shape."""
    shape = broadcast_shapes(*[tensor.shape for tensor in tensors])
    return tuple([expand(tensor, shape) for tensor in tensors])


def broadcast_shapes(*shapes: Any) -> Shape:
    """The shape that tensors of these shapes have in common."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError as error:
        raise RuntimeError(f"Shape mismatch: objects cannot be broadcast: {error}") from None


def select(x: Tensor, dim: int, index: int) -> Tensor:
    """The view of one entry of the axis `dim`, without it."""
    if x.ndim == 0:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    axis = as_axis(x, dim)
    if not -x.shape[axis] <= index < x.shape[axis]:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(x.shape)} at "
            f"dimension {dim}"
        )
    return getitem(x, (*(slice(None),) * axis, index))


def fliplr(x: Tensor) -> Tensor:
    """Left and right exchanged: the second axis reversed."""
    if x.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(x, 1)


def flipud(x: Tensor) -> Tensor:
    """Up and down exchanged: the first axis reversed."""
    if x.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(x, 0)


def rot90(x: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Turned by k quarters from the first of `dims` towards the second."""
    first, second = _plane(x, dims)
    match k % 4:
        case 1:
            return transpose(flip(x, second), first, second)
        case 2:
            return flip(x, first, second)
        case 3:
            return transpose(flip(x, first), first, second)
    return x.clone()


def _plane(x: Tensor, dims: Sequence[int]) -> tuple[int, int]:
    """The two axes in which x is turned."""
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if x.ndim < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {x.ndim}")
    first, second = (as_axis(x, d) for d in dims)
    if first == second:
        raise RuntimeError(
            f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}"
        )
    return first, second


def diagonal(x: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The view of the diagonal of two axes, as the last axis."""
    axes = _two_axes(dim1, dim2, as_axis(x, dim1), as_axis(x, dim2))
    array = x.array.diagonal(offset, *axes)
    array.flags.writeable = x.array.flags.writeable
    y = view_of(x, array)
    if node := DiagonalBackward0.record(y, x):
        node.shape, node.index = x.array.shape, _on_the_diagonal(array.shape, offset, *axes)
    return y


def _two_axes(dim1: int, dim2: int, axis1: int, axis2: int) -> tuple[int, int]:
    if axis1 == axis2:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return axis1, axis2


def _on_the_diagonal(shape: Shape, offset: int, axis1: int, axis2: int) -> tuple[Array, ...]:
    """The index by which a tensor has `shape`, the last axis of which is its diagonal."""
    *rest, along = np.indices(shape, sparse=True)
    index = {axis1: along + max(-offset, 0), axis2: along + max(offset, 0)}
    others = iter(rest)
    return tuple([index[i] if i in index else next(others) for i in range(len(shape) + 1)])


class DiagonalBackward0(SelectBackward0):
    """dx = dy on the diagonal, 0 elsewhere."""

    __slots__ = ()


def diag_embed(x: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Square matrices with x's last axis on the diagonal, 0 elsewhere."""
    rank = x.ndim + 1
    axes = _two_axes(dim1, dim2, axis_of(rank, dim1), axis_of(rank, dim2))
    shape = list(x.array.shape[:-1])
    for axis in sorted(axes):
        shape.insert(axis, x.array.shape[-1] + abs(offset))
    index = _on_the_diagonal(x.array.shape, offset, *axes)
    y_array = np.zeros(shape, x.array.dtype)
    y_array[index] = x.array
    y = wrap(y_array)
    if node := DiagEmbedBackward0.record(y, x):
        node.index = index
    return y


class DiagEmbedBackward0(IndexPutBackward0):
    """dx = the diagonal of dy."""

    __slots__ = ()


def diag(x: Tensor, diagonal: int = 0) -> Tensor:
    """A vector's diagonal matrix; a matrix's diagonal, copied."""
    if x.ndim not in (1, 2):
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {x.ndim}D")
    return diag_embed(x, diagonal) if x.ndim == 1 else _copied_diagonal(x, diagonal)


def _copied_diagonal(x: Tensor, offset: int) -> Tensor:
    return diagonal(x, offset).clone()


def trace(x: Tensor) -> Tensor:
    """The sum of a matrix's diagonal."""
    if x.ndim != 2:
        raise RuntimeError("trace: expected a matrix, but got a tensor with dim " + str(x.ndim))
    return diagonal(x).sum()


def unfold(x: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """The view of all windows of `size` along an axis, `step` apart, in a new last axis."""
    axis = as_axis(x, dimension)
    length = x.shape[axis] if x.ndim else 1
    if size > length:
        raise RuntimeError(
            f"maximum size for tensor at dimension {axis} is {length} but size is {size}"
        )
    if x.ndim == 0:
        return reshape(x, size)
    windows = np.lib.stride_tricks.sliding_window_view(x.array, size, axis, writeable=True)
    every = (*(slice(None),) * axis, slice(None, None, step))
    y = view_of(x, windows[every])
    if node := UnfoldBackward0.record(y, x):
        node.shape, node.window = x.array.shape, (axis, size, step)
    return y


class UnfoldBackward0(Node):
    """dx = for every element the dys of all windows it is in, added."""

    __slots__ = ("shape", "window")

    shape: Shape
    window: tuple[int, int, int]

    def backward(self, dy: Array) -> Gradients:
        axis, size, step = self.window
        dx = np.zeros(self.shape, dy.dtype)
        reach = (dy.shape[axis] - 1) * step + 1
        for i in range(size):
            dx[(*(slice(None),) * axis, slice(i, i + reach, step))] += dy[..., i]
        return (dx,)


def _split_points(x: Tensor, indices_or_sections: Ints, axis: int) -> list[tuple[int, int]]:
    """Where each part starts and how long it is."""
    length = x.shape[axis]
    if isinstance(indices_or_sections, int):
        n = indices_or_sections
        sizes = [length // n + (i < length % n) for i in range(n)]
        return [(sum(sizes[:i]), size) for i, size in enumerate(sizes)]
    ends = [0, *[min(i % length if i < 0 else i, length) for i in indices_or_sections], length]
    return [(a, max(b - a, 0)) for a, b in itertools.pairwise(ends)]


def tensor_split(x: Tensor, indices_or_sections: Ints | Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of nearly equal size along `dim`, or cut at the given places."""
    places = indices_or_sections
    axis = as_axis(x, dim)
    parts = _split_points(x, places.tolist() if isinstance(places, Tensor) else places, axis)
    return tuple([narrow(x, axis, start, size) for start, size in parts])


def hsplit(x: Tensor, indices_or_sections: Ints) -> tuple[Tensor, ...]:
    """Views of equal size along the second axis (the only one of a vector), or cut at places."""
    return _split_evenly("hsplit", x, indices_or_sections, 0 if x.ndim == 1 else 1, 1)


def vsplit(x: Tensor, indices_or_sections: Ints) -> tuple[Tensor, ...]:
    """Views of equal size along the first axis, or cut at places."""
    return _split_evenly("vsplit", x, indices_or_sections, 0, 2)


def _split_evenly(
    name: str, x: Tensor, indices_or_sections: Ints, axis: int, least_rank: int
) -> tuple[Tensor, ...]:
    if x.ndim < least_rank:
        raise RuntimeError(
            f"torch.{name} requires a tensor with at least {least_rank} dimension, "
            f"but got a tensor with {x.ndim} dimensions!"
        )
    n = indices_or_sections
    if isinstance(n, int) and (n <= 0 or x.shape[axis] % n):
        raise RuntimeError(
            f"torch.{name} attempted to split along dimension {axis}, but the size of the "
            f"dimension {x.shape[axis]} is not divisible by the split_size {n}!"
        )
    return tensor_split(x, n, axis)
