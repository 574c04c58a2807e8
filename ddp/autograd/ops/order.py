"""Sorting and what follows from it: ranks, medians, distinct values, counts.

Sorts are stable: of equal elements the first stays first. NaN counts as the largest. PyTorch
promises neither order for its `topk` and `median`, so indices of equal elements may differ there.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ddp.autograd.dtypes import DEFAULT_FLOAT, message_name
from ddp.autograd.node import Array
from ddp.autograd.ops.broadcast import refuse_bools
from ddp.autograd.ops.index import SelectBackward0
from ddp.autograd.ops.reduce import as_axis
from ddp.autograd.ops.shape import flatten
from ddp.autograd.tensor import Tensor, wrap


class Sorted(NamedTuple):
    """Values and the indices they had."""

    values: Tensor
    indices: Tensor


class SortBackward0(SelectBackward0):
    """Every element, in order."""

    __slots__ = ()


class TopkBackward0(SelectBackward0):
    """The k extreme elements."""

    __slots__ = ()


class KthvalueBackward0(SelectBackward0):
    """The k-th smallest element."""

    __slots__ = ()


class MedianBackward1(SelectBackward0):
    """The median along an axis."""

    __slots__ = ()


class ModeBackward0(SelectBackward0):
    """The most frequent element."""

    __slots__ = ()


def _picked(
    node_class: type[SelectBackward0], x: Tensor, where: Array, axis: int, keepdim: bool = True
) -> Sorted:
    """x's elements at `where`, whose axis is left out of the results unless `keepdim`."""
    where = np.asarray(where, np.int64)
    index: tuple[Array, ...] = ()
    if x.array.ndim == 0:
        where = where.reshape(())
    else:
        grid: list[Array] = list(np.indices(where.shape, sparse=True))
        grid[axis] = where
        index = tuple(grid)
        if not keepdim:
            where = where.squeeze(axis)
            index = tuple([places.squeeze(axis) for places in grid])
    y = wrap(x.array[index])
    if node := node_class.record(y, x):
        node.shape, node.index = x.array.shape, index
    return Sorted(y, wrap(where))


def _order(x: Array, axis: int, descending: bool) -> Array:
    """The stable order; descending keeps the first of equals first, too."""
    if x.ndim == 0:
        return np.zeros(1, np.int64)
    if not descending:
        return np.argsort(x, axis, kind="stable")
    backwards = np.argsort(np.flip(x, axis), axis, kind="stable")
    return x.shape[axis] - 1 - np.flip(backwards, axis)


def sort(x: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Sorted:
    """(values, indices) in ascending order along `dim`. Always stable."""
    axis = as_axis(x, dim)
    return _picked(SortBackward0, x, _order(x.array, axis, descending), axis)


def argsort(x: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The indices that sort x along `dim`."""
    return sort(x.detach(), dim, descending).indices


def msort(x: Tensor) -> Tensor:
    """The values sorted along the first axis."""
    return sort(x, 0).values


def topk(x: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Sorted:
    """(values, indices) of the k largest (or smallest) elements along `dim`, best first."""
    if x.array.dtype.kind == "b":
        raise RuntimeError("topk does not support bool dtypes on CPU")
    axis = as_axis(x, dim)
    if not 0 <= k <= (x.array.shape[axis] if x.array.ndim else 1):
        raise RuntimeError("selected index k out of range")
    order = _order(x.array, axis, largest)
    return _picked(TopkBackward0, x, order.take(range(k), 0 if x.ndim == 0 else axis), axis)


def kthvalue(x: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Sorted:
    """(values, indices) of the k-th smallest element along `dim`, k counted from 1."""
    refuse_bools("kthvalue_cpu", x)
    axis = as_axis(x, dim)
    if not 1 <= k <= (x.array.shape[axis] if x.array.ndim else 1):
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {dim}")
    where = _order(x.array, axis, False).take([k - 1], 0 if x.ndim == 0 else axis)
    return _picked(KthvalueBackward0, x, where, axis, keepdim)


def median(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element, the lower of two; over `dim`, (values, indices). NaN wins."""
    if dim is None:
        if x.array.size == 0 and x.is_floating_point():
            return x.sum() * float("nan")
        if x.array.size == 0:
            with np.errstate(invalid="ignore"):
                return wrap(np.array(np.nan).astype(x.array.dtype))
        return median(flatten(x), 0).values
    axis = as_axis(x, dim)
    if x.array.ndim and not x.array.shape[axis]:
        raise IndexError(f"median(): Expected reduction dim {dim} to have non-zero size.")
    refuse_bools("median_cpu", x)
    order = _order(x.array, axis, False)
    along = 0 if x.array.ndim == 0 else axis
    where = order.take([(order.shape[along] - 1) // 2], along)
    if x.array.dtype.kind == "f" and x.array.ndim:
        missing = np.isnan(x.array)
        first = np.expand_dims(missing.argmax(axis), axis)
        where = np.where(missing.any(axis, keepdims=True), first, where)
    return _picked(MedianBackward1, x, where, axis, keepdim)


def mode(x: Tensor, dim: int = -1, keepdim: bool = False) -> Sorted:
    """(values, indices) of the most frequent element along `dim`: the smallest of several, last."""
    axis = as_axis(x, dim)
    if x.array.ndim == 0:
        return _picked(ModeBackward0, x, np.zeros(1, np.int64), axis, keepdim)
    where = np.apply_along_axis(_last_of_the_most_frequent, axis, x.array)
    return _picked(ModeBackward0, x, np.expand_dims(where, axis), axis, keepdim)


def _last_of_the_most_frequent(row: Array) -> int:
    values, counts = np.unique(row, return_counts=True)
    return int(np.nonzero(row == values[counts.argmax()])[0][-1])


def unique(
    x: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements (or entries of the axis `dim`) in ascending order."""
    values, inverse, counts = np.unique(x.array, return_inverse=True, return_counts=True, axis=dim)
    wanted = [wrap(values)]
    if return_inverse:
        wanted.append(wrap(inverse.reshape(x.array.shape if dim is None else -1).astype(np.int64)))
    if return_counts:
        wanted.append(wrap(counts.astype(np.int64)))
    return wanted[0] if len(wanted) == 1 else tuple(wanted)


def unique_consecutive(
    x: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The flattened elements, or the slices along `dim`, unlike the one before them."""
    if dim is not None:
        return _unique_slices(x.array, dim, return_inverse, return_counts)
    flat = x.array.reshape(-1)
    starts = np.flatnonzero(np.r_[True, flat[1:] != flat[:-1]]) if flat.size else np.arange(0)
    wanted = [wrap(flat[starts])]
    if return_inverse:
        inverse = np.searchsorted(starts, np.arange(flat.size), "right") - 1
        wanted.append(wrap(inverse.reshape(x.array.shape)))
    if return_counts:
        wanted.append(wrap(np.diff(np.r_[starts, flat.size])))
    return wanted[0] if len(wanted) == 1 else tuple(wanted)


def _unique_slices(x: Array, dim: int, return_inverse: bool, return_counts: bool) -> Any:
    rows = np.moveaxis(x, dim, 0)
    if rows.size == 0 and len(rows) != 0:
        raise RuntimeError("There are 0 sized dimensions, and they aren't selected by `dim`")
    flat = rows.reshape(len(rows), -1) if len(rows) else rows.reshape(0, 0)
    fresh = np.r_[True, (flat[1:] != flat[:-1]).any(1)][: len(rows)]
    starts = np.flatnonzero(fresh)
    wanted = [wrap(np.moveaxis(rows[starts], 0, dim).copy())]
    if return_inverse:
        wanted.append(wrap(np.cumsum(fresh) - 1))
    if return_counts:
        wanted.append(wrap(np.diff(np.r_[starts, len(rows)])))
    return wanted[0] if len(wanted) == 1 else tuple(wanted)


def bincount(x: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each of 0, 1, 2 … occurs in a 1-D tensor of integers, or the sum of its weights."""
    if x.array.dtype.kind not in "ui":
        raise NotImplementedError(f'"bincount_cpu" not implemented for {x.dtype}')
    if x.array.ndim != 1 or (x.array < 0).any():
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if weights is None:
        return wrap(np.bincount(x.array, None, minlength).astype(np.int64))
    counts = np.bincount(x.array, weights.array, minlength)
    return wrap(counts.astype(np.float32 if weights.dtype == np.float32 else np.float64))


def histc(x: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements lie in each of `bins` equal parts of [min, max], by default all."""
    if x.array.dtype.kind != "f":
        raise NotImplementedError(f'"histogram_cpu" not implemented for {message_name(x.dtype)}')
    values = x.array
    if min == max == 0 and values.size:
        min, max = float(values.min()), float(values.max())
    if min == max:
        min, max = min - 1, max + 1
    inside = values[(values >= min) & (values <= max)].astype(np.float64)
    places = np.minimum(((inside - min) / (max - min) * bins).astype(np.int64), bins - 1)
    return wrap(np.bincount(places, minlength=bins).astype(x.array.dtype))


def searchsorted(
    sorted_sequence: Tensor,
    values: Any,
    *,
    right: bool = False,
    out_int32: bool = False,
    side: Any = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """Where each value would be inserted, into the innermost rows of `sorted_sequence`.

    `sorter` holds the indices that sort rows which are not sorted.
    """
    if sorter is not None:
        ordered = np.take_along_axis(sorted_sequence.array, sorter.array, -1)
        return searchsorted(wrap(ordered), values, right=right, out_int32=out_int32, side=side)
    side = side or ("right" if right else "left")
    wanted = values.array if isinstance(values, Tensor) else np.asarray(values, DEFAULT_FLOAT)
    dtype = np.int32 if out_int32 else np.int64
    rows = sorted_sequence.array
    if rows.ndim == 1:
        return wrap(np.searchsorted(rows, wanted, side).astype(dtype))
    if wanted.size == 0:
        return wrap(np.empty(wanted.shape, dtype))
    sought = wanted.reshape(-1, wanted.shape[-1])
    flat = rows.reshape(len(sought), -1)
    places = [np.searchsorted(row, v, side) for row, v in zip(flat, sought, strict=True)]
    return wrap(np.array(places, dtype).reshape(wanted.shape))


def bucketize(
    values: Any, boundaries: Tensor, *, right: bool = False, out_int32: bool = False
) -> Tensor:
    """The number of the bucket each value lies in."""
    if boundaries.ndim != 1:
        raise RuntimeError(f"boundaries tensor must be 1 dimension, but got dim({boundaries.ndim})")
    return searchsorted(boundaries, values, right=right, out_int32=out_int32)
