"""Writing and adding at indices, without changing the operand; picking by masks and flat indices.

`scatter` and its kin take one index per element along one axis, `index_…` one index per entry of
the axis. `gather` and `index_select`, their counterparts, are in `index.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ddp.autograd.dtypes import message_name
from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.ops.arithmetic import div, floor_divide, mul
from ddp.autograd.ops.broadcast import Operand, to
from ddp.autograd.ops.index import IndexBackward0, OutOfRange, gather, getitem
from ddp.autograd.ops.reduce import as_axis
from ddp.autograd.ops.shape import expand, reshape
from ddp.autograd.tensor import Tensor, wrap

Index = tuple[Any, ...]


def _at_elements(x: Tensor, dim: int, index: Tensor) -> Index:
    """The NumPy index of x's elements that `index` names along `dim`."""
    if index.array.dtype.kind not in "iu":
        raise RuntimeError("scatter(): Expected dtype int64 for index")
    axis = as_axis(x, dim)
    length = x.array.shape[axis] if x.array.ndim else 1
    if index.array.size and not (index.array.min() >= 0 and index.array.max() < length):
        raise RuntimeError(
            f"index {int(index.array.max())} is out of bounds for dimension {dim} with size "
            f"{length}"
        )
    if index.array.size and max(index.array.ndim, 1) != max(x.array.ndim, 1):
        raise RuntimeError("Index tensor must have the same number of dimensions as self tensor")
    if x.array.ndim == 0:
        return ()
    grid: list[Array] = list(np.indices(index.array.shape, sparse=True))
    grid[axis] = index.array
    return tuple(grid)


def _at_entries(x: Tensor, dim: int, index: Tensor) -> Index:
    """The NumPy index of the entries of x's axis `dim` that `index` (1-D) names."""
    axis = as_axis(x, dim)
    if x.array.ndim == 0:
        if index.array.size and index.array.max() > 0:
            raise IndexError(f"index {int(index.array.max())} is out of bounds for a 0-d tensor")
        return ()
    if index.array.dtype.kind not in "iu":
        raise IndexError("index_add_(): Expected dtype int32/int64 for index")
    return (*(slice(None),) * axis, index.array.reshape(-1))


def _source(x: Tensor, value: Operand, shape: tuple[int, ...] | None) -> Tensor:
    """What is written, in x's dtype, cut to the extent of the index as PyTorch does."""
    if not isinstance(value, Tensor):
        return wrap(np.array(value, x.array.dtype))
    if value.dtype != x.dtype:
        raise RuntimeError("scatter(): Expected self.dtype to be equal to src.dtype")
    if shape is None or value.array.shape == shape or value.array.ndim == 0:
        return value
    return getitem(value, tuple([slice(n) for n in shape]))


def scatter(
    x: Tensor, dim: int, index: Tensor, src: Operand, *, reduce: str | None = None
) -> Tensor:
    """A copy of x with src[i][j] at [index[i][j]][j] for dim 0, and so on.

    `reduce` "add" or "multiply": joined with what is there.
    """
    if reduce in ("add", "multiply"):
        source = expand(_source(x, src, index.array.shape), index.shape)
        if reduce == "add":
            return scatter_add(x, dim, index, source)
        return scatter_reduce(x, dim, index, source, "prod")
    if reduce is not None:
        raise RuntimeError("reduce argument must be either add or multiply.")
    return _write(ScatterBackward0, x, _at_elements(x, dim, index), _source(x, src, index.shape))


def _write(node_class: type[ScatterBackward0], x: Tensor, index: Index, source: Tensor) -> Tensor:
    y_array = x.array.copy()
    y_array[index] = source.array
    y = wrap(y_array)
    if node := node_class.record(y, x, source):
        node.index, node.source_shape = index, source.array.shape
    return y


class ScatterBackward0(Node):
    """dx = dy with 0 at the indices,  dsrc = dy at the indices."""

    __slots__ = ("index", "source_shape")

    index: Index
    source_shape: tuple[int, ...]

    def backward(self, dy: Array) -> Gradients:
        dx = dsource = None
        if self.needs(0):
            kept = np.ones(dy.shape, np.bool_)
            kept[self.index] = False
            dx = np.where(kept, dy, dy.dtype.type(0))
        if self.needs(1):
            taken = dy[self.index]
            dsource = taken if taken.shape == self.source_shape else taken.sum()
            dsource = dsource.reshape(self.source_shape)
        return dx, dsource


class IndexCopyBackward0(ScatterBackward0):
    """The same for entries of an axis."""

    __slots__ = ()


class IndexFillBackward0(ScatterBackward0):
    """The same with one value for all."""

    __slots__ = ()


def scatter_add(x: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """x with src[i][j] added at [index[i][j]][j] for dim 0, and so on."""
    source = _source(x, src, index.array.shape)
    return _add(ScatterAddBackward0, x, _at_elements(x, dim, index), source)


def _add(node_class: type[ScatterAddBackward0], x: Tensor, index: Index, source: Tensor) -> Tensor:
    y_array = x.array.copy()
    np.add.at(y_array, index, source.array)
    y = wrap(y_array)
    if node := node_class.record(y, x, source):
        node.index = index
    return y


class ScatterAddBackward0(Node):
    """dx = dy,  dsrc = dy at the indices."""

    __slots__ = ("index",)

    index: Index

    def backward(self, dy: Array) -> Gradients:
        return dy, dy[self.index] if self.needs(1) else None


class IndexAddBackward0(ScatterAddBackward0):
    """The same for entries of an axis."""

    __slots__ = ()


def index_add(x: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    """x with the entries of `source` added to the entries `index` of the axis `dim`."""
    if x.ndim == 0 and index.numel() != 1:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    _require_one_each("index_add_", source, dim, index)
    _require_within(x, dim, index, OutOfRange)
    scaled = source if alpha == 1 else to(mul(source, alpha), source.dtype)
    where = _at_entries(x, dim, index)
    expected = x.array[where].shape
    if source.array.shape != expected and x.array.ndim:
        raise RuntimeError(
            f"index_add_(): source shape {list(source.shape)} must be {list(expected)}: x's shape "
            "with as many entries along dim as there are indices"
        )
    return _add(IndexAddBackward0, x, where, _source(x, scaled, None))


def _require_one_each(name: str, source: Tensor, dim: int, index: Tensor) -> None:
    axis = as_axis(source, dim)
    length = source.array.shape[axis] if source.array.ndim else 1
    if index.array.size != length:
        raise RuntimeError(
            f"{name}(): Number of indices ({index.array.size}) should be equal to "
            f"source.size(dim): ({length}), for dim: {axis}"
        )


def _require_within(x: Tensor, dim: int, index: Tensor, error: type[Exception]) -> None:
    """Raise `error` for an index beyond the axis; none counts backwards."""
    axis = as_axis(x, dim)
    length = x.array.shape[axis] if x.array.ndim else 1
    beyond = index.array[(index.array < 0) | (index.array >= length)]
    if beyond.size:
        raise error(
            f"index {beyond.flat[0]} is out of bounds for dimension {axis} with size {length}"
        )


def index_copy(x: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """A copy of x with the entries of `source` in the place of the entries `index`."""
    _require_within(x, dim, index, IndexError)
    return _write(IndexCopyBackward0, x, _at_entries(x, dim, index), _source(x, source, None))


def index_fill(x: Tensor, dim: int, index: Tensor, value: Operand) -> Tensor:
    """A copy of x with `value` in the entries `index` of the axis `dim`."""
    chosen = np.unique(index.array)
    if x.array.size == 0 and x.array.shape[as_axis(x, dim)]:
        chosen = chosen[:0]  # PyTorch does not look at indices where there is nothing to fill
    once = wrap(chosen)
    return _write(IndexFillBackward0, x, _at_entries(x, dim, once), _source(x, value, None))


def index_put(
    x: Tensor, indices: tuple[Tensor, ...], values: Tensor, accumulate: bool = False
) -> Tensor:
    """A copy of x with `values` at x[indices], or added there."""
    index = tuple([i.array for i in indices])
    source = to(values, x.dtype)
    spread = expand(source, x.array[index].shape)
    return (
        _add(IndexPutAddBackward0, x, index, spread)
        if accumulate
        else _write(IndexPutBackward0, x, index, spread)
    )


class IndexPutBackward0(ScatterBackward0):
    """The same for any index."""

    __slots__ = ()


class IndexPutAddBackward0(ScatterAddBackward0):
    """The same for any index, added."""

    __slots__ = ()

    def name(self) -> str:
        return "IndexPutBackward0"


def masked_select(x: Tensor, mask: Tensor) -> Tensor:
    """The elements where the mask holds (the two broadcast), as a 1-D tensor."""
    if mask.array.dtype.kind != "b":
        raise RuntimeError(f"masked_select: expected BoolTensor for mask, got {mask.dtype}")
    shape = np.broadcast_shapes(x.shape, mask.shape)
    shape = shape or (1,)
    where = np.nonzero(np.broadcast_to(mask.array, shape))
    return _read(MaskedSelectBackward0, expand(x, shape), where)


def _read(node_class: type[IndexBackward0], x: Tensor, index: Index) -> Tensor:
    y = wrap(x.array[index])
    if node := node_class.record(y, x):
        node.shape, node.index = x.array.shape, index
    return y


class MaskedSelectBackward0(IndexBackward0):
    """The same for a mask."""

    __slots__ = ()


def masked_scatter(x: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """A copy of x with the elements of `source`, in order, where the mask holds."""
    if mask.array.dtype.kind != "b":
        raise RuntimeError(
            "masked_scatter_ only supports boolean masks, but got mask with dtype "
            f"{message_name(mask.dtype)}"
        )
    if x.dtype != source.dtype:
        raise RuntimeError("masked_scatter: expected self and source to have same dtypes")
    shape = np.broadcast_shapes(x.shape, mask.shape)
    where = np.nonzero(np.broadcast_to(mask.array, shape))
    count = len(where[0]) if where else int(mask.array)
    if source.numel() < count:
        raise RuntimeError("masked_scatter: expected self to have at least as many source elements")
    return _write(
        MaskedScatterBackward0, expand(x, shape), where, getitem(reshape(source, -1), slice(count))
    )


class MaskedScatterBackward0(ScatterBackward0):
    """The same for a mask."""

    __slots__ = ()


def take(x: Tensor, index: Tensor) -> Tensor:
    """The elements of the flattened x at `index`, in the shape of `index`."""
    return _read(TakeBackward0, reshape(x, -1), (index.array,))


class TakeBackward0(IndexBackward0):
    """The same for flat indices."""

    __slots__ = ()


def take_along_dim(x: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """`gather`, with the other axes broadcast; without `dim`, `take`. Indices may be negative."""
    if dim is None:
        return take(x, reshape(indices, -1))
    axis = as_axis(x, dim)
    if x.ndim == 0:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    pairs = zip(x.shape, indices.shape, strict=True)
    common = [-1 if i == axis else max(m, n) for i, (m, n) in enumerate(pairs)]
    length = x.array.shape[axis]
    forward = wrap(np.where(indices.array < 0, indices.array + length, indices.array))
    return gather(expand(x, common), axis, expand(forward, common))


def scatter_reduce(
    x: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """x with src joined by 'sum', 'mean', 'amax', 'amin' or 'prod' at the indices."""
    where = _at_elements(x, dim, index)
    source = _source(x, src, index.array.shape)
    return _reduced(x, where, source, reduce, include_self)


_JOIN: dict[str, Any] = {
    "sum": np.add,
    "mean": np.add,
    "prod": np.multiply,
    "amax": np.maximum,
    "amin": np.minimum,
}


def _reduced(x: Tensor, where: Index, source: Tensor, reduce: str, include_self: bool) -> Tensor:
    if reduce not in _JOIN:
        raise RuntimeError(f"reduce must be one of sum, prod, mean, amax and amin, got {reduce}")
    touched = np.zeros(x.shape, np.int64)
    np.add.at(touched, where, 1)
    if reduce in ("sum", "mean"):
        start = x if include_self else mul(x, wrap((touched == 0).astype(x.array.dtype)))
        total = _add(ScatterReduceBackward0, start, where, source)
        if reduce == "sum":
            return total
        counts = np.maximum(touched + (1 if include_self else 0), 1)
        divide = div if x.is_floating_point() else floor_divide
        return divide(total, wrap(counts.astype(x.array.dtype)))
    join = _JOIN[reduce]
    result = x.array.copy()
    if not include_self:
        result[touched > 0] = _neutral(join, x.array.dtype)
    join.at(result, where, source.array)
    y = wrap(result)
    if reduce == "prod":
        if factors := ScatterProductBackward0.record(y, x, source):
            factors.index, factors.kept = where, np.asarray(include_self | (touched == 0))
            factors.save(x, source)
        return y
    if node := ScatterExtremeBackward0.record(y, x, source):
        node.index, node.kept = where, np.asarray(include_self | (touched == 0))
        node.save(x, source, y)
    return y


class ScatterExtremeBackward0(Node):
    """dy is shared equally by all, of x and of src, that equal the extreme."""

    __slots__ = ("index", "kept")

    index: Index
    kept: Array

    def backward(self, dy: Array) -> Gradients:
        x, source, y = self.saved
        of_x = np.asarray(x == y, dy.dtype)
        of_source = np.asarray(source == y[self.index], dy.dtype)
        sharers = of_x.copy()
        np.add.at(sharers, self.index, of_source)
        share = np.divide(dy, sharers, out=np.zeros_like(sharers), where=sharers > 0)
        return of_x * share * self.kept, of_source * share[self.index]

    def name(self) -> str:
        return "ScatterReduceBackward0"


class ScatterProductBackward0(Node):
    """dy · the product of the other factors: of those that are not 0, and 0 where another is."""

    __slots__ = ("index", "kept")

    index: Index
    kept: Array

    def backward(self, dy: Array) -> Gradients:
        x, source = self.saved
        x = np.where(self.kept, x, x.dtype.type(1))
        zeros = np.asarray(x == 0, np.int64)
        np.add.at(zeros, self.index, source == 0)
        product = np.where(x == 0, x.dtype.type(1), x)
        np.multiply.at(product, self.index, np.where(source == 0, source.dtype.type(1), source))
        dx = dy * _of_the_others(x, product, zeros) * self.kept
        dsource = _of_the_others(source, product[self.index], zeros[self.index])
        return dx, dy[self.index] * dsource

    def name(self) -> str:
        return "ScatterReduceBackward0"


def _of_the_others(factor: Array, product: Array, zeros: Array) -> Array:
    """`product` (of the factors that are not 0) without `factor`, 0 if another factor is 0."""
    own = factor == 0
    return np.where(own, product, product / np.where(own, 1, factor)) * (zeros == own)


class ScatterReduceBackward0(ScatterAddBackward0):
    """The same for sums."""

    __slots__ = ()


def _neutral(join: Any, dtype: Any) -> Any:
    """The value that changes nothing when joined."""
    if join is np.multiply:
        return 1
    if dtype.kind == "b":
        return join is np.minimum
    if dtype.kind == "f":
        return -np.inf if join is np.maximum else np.inf
    limits = np.iinfo(dtype)
    return limits.min if join is np.maximum else limits.max


def nonzero(x: Tensor, *, as_tuple: bool = False) -> Any:
    """The indices of the elements that are not 0: (count, axes), or a 1-D tensor per axis."""
    if as_tuple:
        return tuple([wrap(i) for i in np.nonzero(x.array if x.ndim else x.array.reshape(1))])
    return wrap(np.argwhere(x.array).astype(np.int64))


def argwhere(x: Tensor) -> Tensor:
    """The indices of the elements that are not 0, one per row."""
    return wrap(np.argwhere(x.array).astype(np.int64))
