"""Variance, standard deviation, vector norms, products: reductions with a steeper gradient."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from ddp.autograd.dtypes import message_name
from ddp.autograd.node import RESULT, Array, Gradients, Node, Saves
from ddp.autograd.ops.broadcast import quietly, to
from ddp.autograd.ops.reduce import Dim, Reduction, as_axes, as_axis
from ddp.autograd.tensor import Tensor, wrap


@quietly
def var(
    x: Tensor,
    dim: Dim = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """y = Σ (x - mean)² / (n - correction) over `dim`; the correction is 1 by default."""
    if isinstance(dim, bool):  # PyTorch's older order of arguments: `unbiased` alone
        unbiased = dim
        dim = None
    correction = float(unbiased) if correction is None else float(correction)
    axes = _axes_of_floats(x, dim)
    _, y_array = _mean_and_variance(x.array, axes, correction, "var")
    y = wrap(y_array if keepdim else y_array.squeeze(axes))
    if node := VarBackward0.record(y, x):
        node.over(x, axes)
        node.correction = correction
        node.save(x)
    return y


def _axes_of_floats(x: Tensor, dim: Dim) -> tuple[int, ...]:
    if x.array.dtype.kind != "f":
        raise RuntimeError("std and var only support floating point and complex dtypes")
    return as_axes(x, dim)


def _mean_and_variance(
    x: Array, axes: tuple[int, ...], correction: float, name: str
) -> tuple[Array, Array]:
    """Both with the reduced axes kept."""
    n = math.prod([x.shape[i] for i in axes])
    if n - correction <= 0:
        warnings.warn(
            f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than the "
            "reduction factor (input numel divided by output numel).",
            stacklevel=3,
        )
    mean = x.sum(axis=axes, keepdims=True) / x.dtype.type(n)
    deviation = x - mean
    squares = np.square(deviation).sum(axis=axes, keepdims=True)
    return mean, squares / x.dtype.type(max(n - correction, 0.0))


class VarBackward0(Reduction):
    """dx = dy · 2 (x - mean) / (n - correction)."""

    __slots__ = ("correction",)
    saves = Saves(self=0)

    correction: float

    def backward(self, dy: Array) -> Gradients:
        (x,) = self.saved
        return (self.kept(dy) * self.slope(x),)

    def slope(self, x: Array) -> Array:
        """dy/dx of the variance."""
        mean = x.sum(axis=self.axes, keepdims=True) / x.dtype.type(self.count())
        return (x - mean) * x.dtype.type(2.0) / x.dtype.type(self.count() - self.correction)


@quietly
def std(
    x: Tensor,
    dim: Dim = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """y = √var over `dim`."""
    if isinstance(dim, bool):  # PyTorch's older order of arguments: `unbiased` alone
        unbiased = dim
        dim = None
    correction = float(unbiased) if correction is None else float(correction)
    axes = _axes_of_floats(x, dim)
    y_array = np.sqrt(_mean_and_variance(x.array, axes, correction, "std")[1])
    y = wrap(y_array if keepdim else y_array.squeeze(axes))
    if node := StdBackward0.record(y, x):
        node.over(x, axes)
        node.correction = correction
        node.save(x, y)
    return y


class StdBackward0(VarBackward0):
    """dx = dy / 2y · dvar/dx; 0 where y is 0."""

    __slots__ = ()
    saves = Saves(self=0, result=RESULT)

    def backward(self, dy: Array) -> Gradients:
        x, y = self.saved
        y = self.kept(y)
        scale = np.where(y == 0, y.dtype.type(0), self.kept(dy) / (y + y))
        return (scale * self.slope(x),)


@quietly
def norm(x: Tensor, p: float | str = 2.0, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """y = (Σ |x|ᵖ)^(1/p) over `dim`: 'fro' is 2, ±inf the extremes, 0 counts the non-zeros."""
    if x.array.dtype.kind != "f":
        raise RuntimeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
            f"{message_name(x.array.dtype)}"
        )
    order = 2.0 if p == "fro" else float(p)
    axes = as_axes(x, dim)
    y = wrap(_norm(x.array, order, axes, keepdim))
    if node := LinalgVectorNormBackward0.record(y, x):
        node.over(x, axes)
        node.order = order
        node.save(x, y)
    return y


def _norm(x: Array, order: float, axes: tuple[int, ...], keepdim: bool) -> Array:
    if x.dtype == np.float16:  # its squares soon overflow
        wide = _norm(x.astype(np.float32), order, axes, keepdim)
        return np.asarray(wide, np.float16)
    if order == 2:
        return np.sqrt(np.square(x).sum(axis=axes, keepdims=keepdim))
    if order == 0:
        return (x != 0).sum(axis=axes, keepdims=keepdim).astype(x.dtype)
    size = np.abs(x)
    if math.isinf(order):
        return (size.max if order > 0 else size.min)(axis=axes, keepdims=keepdim)
    if order == 1:
        return size.sum(axis=axes, keepdims=keepdim)
    total = np.power(size, x.dtype.type(order)).sum(axis=axes, keepdims=keepdim)
    return np.power(total, x.dtype.type(1 / order))


class LinalgVectorNormBackward0(Reduction):
    """dx = dy · sign x · (|x| / y)ᵖ⁻¹; 0 where y is 0; equal shares to the extremes for ±inf."""

    __slots__ = ("order",)
    saves = Saves(self=0, result=RESULT)

    order: float

    def backward(self, dy: Array) -> Gradients:
        x, y = self.saved
        dy, y, zero = self.kept(dy), self.kept(y), x.dtype.type(0)
        if self.order == 0:
            return (None,)
        if self.order == 2:
            return (np.where(y == 0, zero, x * (dy / y)),)
        if self.order == 1:
            return (dy * np.sign(x),)
        if math.isinf(self.order):
            taken = np.abs(x) == y
            shares = taken.sum(axis=self.axes, keepdims=True).astype(x.dtype)
            return (np.sign(x) * taken * (dy / shares),)
        slope = np.sign(x) * np.power(np.abs(x) / y, x.dtype.type(self.order - 1))
        return (dy * np.where((y == 0) | (x == 0), zero, slope),)


def prod(x: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """y = Π x over all axes or `dim`, in `dtype` if given. Integers are multiplied as int64."""
    x, dtype = accumulating(x, dtype)
    y = wrap(_product(x.array, axes := as_axes(x, dim), dtype, None, keepdim))
    if node := (ProdBackward0 if dim is None else ProdBackward1).record(y, x):
        node.over(x, axes)
        node.save(x)
    return y


def accumulating(x: Tensor, dtype: Any) -> tuple[Tensor, Any]:
    """x, in `dtype` if given, and the dtype of its sums and products: int64 of whole numbers."""
    if dtype is not None:
        x = to(x, dtype)
    whole = dtype is None and x.array.dtype.kind != "f"
    return x, np.int64 if whole else x.array.dtype


_product: Any = np.multiply.reduce


class ProdBackward0(Reduction):
    """dx = dy · the product of the other elements, right with zeros too."""

    __slots__ = ()
    saves = Saves(self=0)

    def backward(self, dy: Array) -> Gradients:
        (x,) = self.saved
        rows = np.moveaxis(x, self.axes, range(-len(self.axes), 0)) if self.axes else x
        if x.size == 0:
            return (np.zeros_like(x),)
        flat = rows.reshape(-1, self.count())
        before = np.cumprod(np.c_[np.ones_like(flat[:, :1]), flat[:, :-1]], axis=1)
        after = np.cumprod(np.c_[np.ones_like(flat[:, :1]), flat[:, :0:-1]], axis=1)[:, ::-1]
        others = (before * after).reshape(rows.shape)
        if self.axes:
            others = np.moveaxis(others, range(-len(self.axes), 0), self.axes)
        return (self.kept(dy) * others,)


class ProdBackward1(ProdBackward0):
    """The same over one axis."""

    __slots__ = ()


def cumsum(x: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """yᵢ = x₀ + … + xᵢ along `dim`, in `dtype` if given; whole numbers as int64."""
    axis = as_axis(x, dim)
    x, dtype = accumulating(x, dtype)
    y = wrap(x.array.reshape(x.shape or 1).cumsum(axis, dtype).reshape(x.shape))
    if node := CumsumBackward0.record(y, x):
        node.axis = axis
    return y


class CumsumBackward0(Node):
    """dxᵢ = dyᵢ + … + dyₙ."""

    __slots__ = ("axis",)

    axis: int

    def backward(self, dy: Array) -> Gradients:
        axis = self.axis
        if dy.ndim == 0:
            return (dy,)
        return (np.flip(np.cumsum(np.flip(dy, axis), axis=axis), axis),)
