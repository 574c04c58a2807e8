"""The same elements in another shape: views where NumPy can give one, joins, splits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.ops.broadcast import unbroadcast
from ddp.autograd.tensor import Tensor, view_of, wrap

Shape = tuple[int, ...]


def as_shape(sizes: tuple[Any, ...]) -> Shape:
    """`f(2, 3)` and `f((2, 3))` mean the same."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        return tuple(sizes[0])
    return sizes


def as_axis(x: Tensor, dim: int) -> int:
    """The axis that `dim` names, counted from 0; a 0-d tensor counts as having one."""
    return axis_of(x.array.ndim or 1, dim)


def axis_of(rank: int, dim: int) -> int:
    """The axis that `dim` names among `rank` axes, counted from 0."""
    if not -rank <= dim < rank:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-rank}, {rank - 1}], "
            f"but got {dim})"
        )
    return dim % rank


def reshape(x: Tensor, *shape: Any) -> Tensor:
    """The elements in C order in a new shape, one entry of which may be -1. A view if possible."""
    target = as_shape(shape)
    try:
        array = x.array.reshape(target)
    except ValueError:
        raise RuntimeError(
            f"shape '{list(target)}' is invalid for input of size {x.array.size}"
        ) from None
    shared = array.size == 0 or _is_view_of(array, x.array)
    if shared or x._lie_in_order(array):
        y = view_of(x, array)
        node: _Reshape | None = ViewBackward0.record(y, x)
    else:
        y = wrap(array)
        node = UnsafeViewBackward0.record(y, x)
    if node:
        node.shape = x.array.shape
    return y


def _is_view_of(array: Array, of: Array) -> bool:
    """Whether `array`, which NumPy made of the other, is a view of it or of what that one views."""
    return array.base is of or (of.base is not None and array.base is of.base)


def unsafe_view(x: Tensor, shape: Shape) -> Tensor:
    """A result nobody else has seen, in another shape: no view, as far as versions go."""
    y = wrap(x.array.reshape(shape))
    if node := UnsafeViewBackward0.record(y, x):
        node.shape = x.array.shape
    return y


class _Reshape(Node):
    """dx = dy in x's shape."""

    __slots__ = ("shape",)

    shape: Shape

    def backward(self, dy: Array) -> Gradients:
        return (dy.reshape(self.shape),)


class ViewBackward0(_Reshape):
    """A reshape that shares memory."""

    __slots__ = ()


class UnsafeViewBackward0(_Reshape):
    """A reshape that had to copy."""

    __slots__ = ()


def view(x: Tensor, *shape: Any) -> Tensor:
    """`reshape`. Memory order is an inner matter of ours, so it copies where it cannot share.

    A convolution's output is channels-last in memory, but contiguous as far as PyTorch's rules
    go: a `view` of it must not fail. It shares memory, since the output itself is laid in C order
    when it is asked for, unless other views of it exist that would be left behind.
    """
    return reshape(x, *shape)


def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The axes from `start_dim` to `end_dim`, both included, as one."""
    if x.array.ndim == 0:
        return reshape(x, (1,))
    start, end = start_dim % x.array.ndim, end_dim % x.array.ndim
    if start > end:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if start == end:
        return x
    shape = x.array.shape
    length = math.prod(shape[start : end + 1])
    return reshape(x, (*shape[:start], length, *shape[end + 1 :]))


def transpose(x: Tensor, dim0: int, dim1: int) -> Tensor:
    """A view with two axes exchanged."""
    dims = as_axis(x, dim0), as_axis(x, dim1)
    y = view_of(x, x.array.swapaxes(*dims) if x.array.ndim else x.array)
    if node := TransposeBackward0.record(y, x):
        node.dims = dims
    return y


class TransposeBackward0(Node):
    """dx = dy with the axes exchanged back."""

    __slots__ = ("dims",)

    dims: tuple[int, int]

    def backward(self, dy: Array) -> Gradients:
        return (dy.swapaxes(*self.dims) if dy.ndim else dy,)


def t(x: Tensor) -> Tensor:
    """The transpose of a matrix; a vector or scalar as it is."""
    if x.array.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {x.ndim}D")
    y = view_of(x, x.array.T)
    TBackward0.record(y, x)
    return y


class TBackward0(Node):
    """dx = dyᵀ."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        return (dy.T,)


def permute(x: Tensor, *axes: Any, dims: Any = None) -> Tensor:
    """A view whose axis i is x's axis dims[i]."""
    order = as_shape(axes if dims is None else (dims,))
    if sorted(d % max(x.array.ndim, 1) for d in order) != list(range(x.array.ndim)):
        raise RuntimeError(f"permute: {list(order)} is no order of the axes of a {x.ndim}D tensor")
    y = view_of(x, x.array.transpose(order))
    if node := PermuteBackward0.record(y, x):
        node.inverse = tuple(np.argsort([d % x.array.ndim for d in order]).tolist())
    return y


class PermuteBackward0(Node):
    """dx = dy with the axes put back."""

    __slots__ = ("inverse",)

    inverse: tuple[int, ...]

    def backward(self, dy: Array) -> Gradients:
        return (dy.transpose(self.inverse),)


def matrix_transpose(x: Tensor) -> Tensor:
    """`x.mT`: the last two axes exchanged."""
    if x.array.ndim == 1:
        raise RuntimeError(
            "tensor.mT is only supported on matrices or batches of matrices. Got 1-D tensor."
        )
    return transpose(x, -2, -1) if x.array.ndim else x


def reverse_axes(x: Tensor) -> Tensor:
    """`x.T`: all axes in reverse order."""
    return permute(x, tuple(range(x.array.ndim))[::-1])


def expand(x: Tensor, *sizes: Any) -> Tensor:
    """A view in which axes of length 1 are repeated without copying; -1 keeps an axis."""
    target = as_shape(sizes)
    added = len(target) - x.array.ndim
    full = [x.array.shape[i - added] if n == -1 and i >= added else n for i, n in enumerate(target)]
    try:
        only_ones_added = tuple(full[added:]) == x.array.shape and set(full[:added]) <= {1}
        array = x.array.reshape(full) if only_ones_added else np.broadcast_to(x.array, full)
    except ValueError:
        raise RuntimeError(
            f"The expanded size of the tensor {list(target)} must match the existing size "
            f"{list(x.shape)} at axes that are not of length 1"
        ) from None
    y = view_of(x, array)
    if node := ExpandBackward0.record(y, x):
        node.shape = x.array.shape
    return y


class ExpandBackward0(Node):
    """dx = dy summed over the repeated axes."""

    __slots__ = ("shape",)

    shape: Shape

    def backward(self, dy: Array) -> Gradients:
        return (unbroadcast(dy, self.shape),)


def expand_as(x: Tensor, other: Tensor) -> Tensor:
    """`expand` to the shape of `other`."""
    return expand(x, other.shape)


def unsqueeze(x: Tensor, dim: int) -> Tensor:
    """A view with an axis of length 1 inserted at `dim`."""
    axis = axis_of(x.array.ndim + 1, dim)
    return _reshaped_view(x, np.expand_dims(x.array, axis), UnsqueezeBackward0)


def squeeze(x: Tensor, dim: int | tuple[int, ...] | None = None) -> Tensor:
    """A view without the axes of length 1, or without those of `dim` that have length 1."""
    if dim is None:
        return _reshaped_view(x, x.array.squeeze(), SqueezeBackward0)
    dims = [as_axis(x, d) for d in ((dim,) if isinstance(dim, int) else dim)]
    single = tuple([d for d in dims if x.array.ndim and x.array.shape[d] == 1])
    node_class = SqueezeBackward1 if isinstance(dim, int) else SqueezeBackward2
    return _reshaped_view(x, x.array.squeeze(single), node_class)


def _reshaped_view(x: Tensor, array: Array, node_class: type[_Reshape]) -> Tensor:
    y = view_of(x, array)
    if node := node_class.record(y, x):
        node.shape = x.array.shape
    return y


class UnsqueezeBackward0(_Reshape):
    """An axis inserted."""

    __slots__ = ()


class SqueezeBackward0(_Reshape):
    """All axes of length 1 left out."""

    __slots__ = ()


class SqueezeBackward1(_Reshape):
    """One axis left out."""

    __slots__ = ()


class SqueezeBackward2(_Reshape):
    """Some axes left out."""

    __slots__ = ()


def squeeze_row(x: Tensor) -> Tensor:
    """(1, N) → (N,): the end of a vector times a matrix."""
    y = wrap(x.array[0])
    if node := SqueezeBackward4.record(y, x):
        node.shape = x.array.shape
    return y


class SqueezeBackward4(_Reshape):
    """The row axis of a product left out."""

    __slots__ = ()


def flip(x: Tensor, *axes: Any, dims: Any = None) -> Tensor:
    """A copy with the order along `dims` reversed."""
    named = as_shape(axes if dims is None else (dims,))
    axes = tuple([as_axis(x, d) for d in named])
    y = wrap(np.flip(x.array, axes if x.array.ndim else ()).copy())
    if node := FlipBackward0.record(y, x):
        node.axes = axes
    return y


class FlipBackward0(Node):
    """dx = dy reversed again."""

    __slots__ = ("axes",)

    axes: Shape

    def backward(self, dy: Array) -> Gradients:
        return (np.flip(dy, self.axes) if dy.ndim else dy,)


def repeat(x: Tensor, *sizes: Any) -> Tensor:
    """A copy in which x is laid out `sizes` times along each axis."""
    times = as_shape(sizes)
    if len(times) < x.array.ndim:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of "
            f"tensor ({len(times)} < {x.array.ndim})"
        )
    if any(count < 0 for count in times):
        raise RuntimeError(f"repeat: expected counts of 0 or more, got {list(times)}")
    y = wrap(np.tile(x.array, times))
    if node := RepeatBackward0.record(y, x):
        node.times, node.shape = times, x.array.shape
    return y


class RepeatBackward0(Node):
    """dx = dy summed over the copies."""

    __slots__ = ("shape", "times")

    shape: Shape
    times: Shape

    def backward(self, dy: Array) -> Gradients:
        lengths = (1,) * (len(self.times) - len(self.shape)) + self.shape
        by_copy = dy.reshape([n for pair in zip(self.times, lengths, strict=True) for n in pair])
        return (by_copy.sum(axis=tuple(range(0, by_copy.ndim, 2))).reshape(self.shape),)
