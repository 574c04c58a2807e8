"""Arrays whose operations are recorded: how a gradient's formula gets a gradient itself.

A node's `backward` is written on NumPy arrays, for speed. Given `Traced` arrays in their place, the
same lines run on tensors: NumPy hands every ufunc and function that meets a `Traced` over to the
tables below (its protocols `__array_ufunc__` and `__array_function__`). So one formula serves both
orders, and the first pays nothing for the second.

Comparisons and signs are flat and give plain arrays. What is not in the tables raises
NotImplementedError, and so does writing into a view or into a plain array: nothing is ever
differentiated silently wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from ddp.autograd.dtypes import Dtype
from ddp.autograd.node import Array
from ddp.autograd.ops import (
    arithmetic,
    arrange,
    elementwise,
    index,
    join,
    linalg,
    moments,
    reduce,
    select,
    shape,
    trigonometric,
)
from ddp.autograd.ops import matmul as products
from ddp.autograd.ops.activation import tanh
from ddp.autograd.ops.broadcast import to
from ddp.autograd.tensor import Tensor, wrap

Shape = tuple[int, ...]


class Traced(NDArrayOperatorsMixin):
    """A tensor that looks like the NumPy array it stands for.

    Writing into it (`x *= y`, `x[i] = y`, `out=x`) moves the box to a new tensor.
    """

    def __init__(self, tensor: Tensor, is_view: bool = False) -> None:
        self.tensor = tensor
        self.is_view = is_view

    @property
    def shape(self) -> Shape:
        return self.tensor.array.shape

    @property
    def dtype(self) -> Dtype:
        return self.tensor.array.dtype

    @property
    def ndim(self) -> int:
        return self.tensor.array.ndim

    @property
    def size(self) -> int:
        return self.tensor.array.size

    @property
    def itemsize(self) -> int:
        return self.tensor.array.itemsize

    @property
    def T(self) -> Traced:
        return Traced(shape.reverse_axes(self.tensor), is_view=True)

    def __len__(self) -> int:
        return len(self.tensor)

    def __iter__(self) -> Iterator[Traced]:
        return (self[i] for i in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        raise NotImplementedError("a formula needs the plain array of a recorded value")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        (out,) = options.pop("out", (None,))
        operation = UFUNCS.get((ufunc, method))
        if options or operation is None or not (out is None or isinstance(out, Traced)):
            raise NotImplementedError(f"np.{ufunc.__name__} of recorded values ({method})")
        answer = operation(*[_plain_or_tensor(x) for x in inputs])
        if not isinstance(answer, Tensor):
            return answer
        return Traced(answer) if out is None else out.become(answer)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function not in FUNCTIONS:
            raise NotImplementedError(f"np.{function.__name__} of recorded values")
        return FUNCTIONS[function](*args, **kwargs)

    def become(self, tensor: Tensor) -> Traced:
        """Take the value of `tensor`, in this one's dtype, as an array that is written to does."""
        if self.is_view:
            raise NotImplementedError("a formula writes into a view of a recorded value")
        self.tensor = to(tensor, self.dtype)
        return self

    def __getitem__(self, items: Any) -> Traced:
        is_basic = not any(isinstance(i, np.ndarray) for i in index.as_items(items))
        return Traced(self.tensor[items], is_view=is_basic)

    def __setitem__(self, items: Any, value: Any) -> None:
        written = self.tensor.clone()
        written[items] = value.tensor if isinstance(value, Traced) else value
        self.become(written)

    def reshape(self, *sizes: Any) -> Traced:
        return Traced(shape.reshape(self.tensor, *sizes), is_view=True)

    def transpose(self, *order: Any) -> Traced:
        return Traced(shape.permute(self.tensor, *order), is_view=True)

    def swapaxes(self, first: int, second: int) -> Traced:
        return Traced(shape.transpose(self.tensor, first, second), is_view=True)

    def sum(self, axis: Any = None, keepdims: bool = False) -> Traced:
        axes = None if axis is None else axis if isinstance(axis, int) else tuple(axis)
        if axes == ():  # means no axis to NumPy, all axes to PyTorch
            return self
        return Traced(reduce.sum(self.tensor, axes, keepdims))

    def dot(self, other: Any) -> Traced:
        return Traced(products.matmul(self.tensor, tensor_of(other)))

    def astype(self, dtype: Any, copy: bool = True) -> Traced:
        return Traced(to(self.tensor, dtype))

    def copy(self, order: str = "C") -> Traced:
        return Traced(self.tensor)


def tensor_of(value: Any) -> Tensor:
    """The tensor in a box, or one over a plain array."""
    return value.tensor if isinstance(value, Traced) else wrap(np.asarray(value))


def array_of(value: Any) -> Array:
    """The values of a box or an array, for results that have no gradient."""
    return value.tensor.array if isinstance(value, Traced) else np.asarray(value)


def _plain_or_tensor(value: Any) -> Any:
    """A ufunc's operand as the operations take it: numbers stay numbers."""
    if isinstance(value, (Traced, np.ndarray)):
        return tensor_of(value)
    return value.item() if isinstance(value, np.generic) else value


def _flat(ufunc: Any) -> Callable[..., Any]:
    """A ufunc whose result has no gradient."""
    return lambda *values: ufunc(*[v.array if isinstance(v, Tensor) else v for v in values])


def _outer(a: Tensor, b: Tensor) -> Tensor:
    return arithmetic.mul(shape.reshape(a, (*a.shape, *(1,) * b.ndim)), b)


OPERATIONS: dict[Any, Callable[..., Any]] = {
    np.add: arithmetic.add,
    np.subtract: arithmetic.sub,
    np.multiply: arithmetic.mul,
    np.true_divide: arithmetic.div,
    np.negative: arithmetic.neg,
    np.power: arithmetic.pow,
    np.square: arithmetic.square,
    np.reciprocal: arithmetic.reciprocal,
    np.absolute: arithmetic.abs,
    np.exp: elementwise.exp,
    np.log: elementwise.log,
    np.log1p: elementwise.log1p,
    np.sqrt: elementwise.sqrt,
    np.sin: elementwise.sin,
    np.cos: elementwise.cos,
    np.sinh: trigonometric.sinh,
    np.cosh: trigonometric.cosh,
    np.tanh: tanh,
    np.maximum: select.maximum,
    np.minimum: select.minimum,
    np.matmul: products.matmul,
}
FLAT = (
    np.equal,
    np.not_equal,
    np.less,
    np.less_equal,
    np.greater,
    np.greater_equal,
    np.logical_and,
    np.logical_or,
    np.logical_not,
    np.sign,
    np.floor,
    np.floor_divide,
    np.isnan,
    np.isinf,
    np.isfinite,
)
UFUNCS: dict[tuple[Any, str], Callable[..., Any]] = {
    (np.multiply, "outer"): _outer,
    **{(ufunc, "__call__"): operation for ufunc, operation in OPERATIONS.items()},
    **{(ufunc, "__call__"): _flat(ufunc) for ufunc in FLAT},
}


def _where(condition: Any, a: Any, b: Any) -> Traced:
    return Traced(select.where(wrap(array_of(condition)), tensor_of(a), tensor_of(b)))


def _broadcast_to(x: Traced, sizes: Any) -> Traced:
    return Traced(shape.expand(x.tensor, tuple(sizes)), is_view=True)


def _filled(value: float) -> Callable[..., Traced]:
    def like(x: Traced, dtype: Any = None, shape: Any = None) -> Traced:
        sizes = x.shape if shape is None else shape
        return Traced(wrap(np.full(sizes, value, x.dtype if dtype is None else dtype)))

    return like


def _moveaxis(x: Traced, source: Any, destination: Any) -> Traced:
    strides = tuple(range(1, x.ndim + 1))  # a view of one byte whose strides name its axes
    axes = np.ndarray((1,) * x.ndim, np.uint8, b"\0", 0, strides)
    return x.transpose([stride - 1 for stride in np.moveaxis(axes, source, destination).strides])


def _split(x: Traced, ends: Sequence[int], axis: int = 0) -> list[Traced]:
    starts, stops = [0, *ends], [*ends, x.shape[axis]]
    sizes = [stop - start for start, stop in zip(starts, stops, strict=True)]
    return [Traced(part, is_view=True) for part in join.split(x.tensor, sizes, axis)]


def _joined(join_them: Callable[..., Tensor]) -> Callable[..., Traced]:
    return lambda parts, axis=0: Traced(join_them([tensor_of(part) for part in parts], axis))


def _flip(x: Traced, axis: Any = None) -> Traced:
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    return Traced(shape.flip(x.tensor, tuple(axes)))


def _take_along_axis(x: Traced, indices: Array, axis: int) -> Traced:
    return Traced(index.gather(x.tensor, axis, wrap(indices)))


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.where: _where,
    np.broadcast_to: _broadcast_to,
    np.zeros_like: _filled(0),
    np.ones_like: _filled(1),
    np.empty_like: _filled(0),
    np.moveaxis: _moveaxis,
    np.split: _split,
    np.concatenate: _joined(join.cat),
    np.stack: _joined(join.stack),
    np.flip: _flip,
    np.roll: lambda x, shifts, axes: Traced(arrange.roll(x.tensor, shifts, axes)),
    np.linalg.solve: lambda a, b: Traced(linalg.solve(tensor_of(a), tensor_of(b))),
    np.cumsum: lambda x, axis: Traced(moments.cumsum(x.tensor, axis)),
    np.take_along_axis: _take_along_axis,
    np.tril: lambda x, k=0: Traced(select.tril(x.tensor, k)),
    np.triu: lambda x, k=0: Traced(select.triu(x.tensor, k)),
}
