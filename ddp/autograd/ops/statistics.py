"""Reductions and running results beyond `reduce.py` and `moments.py`."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ddp.autograd.node import RESULT, Array, Gradients, Node, Saves
from ddp.autograd.ops import moments
from ddp.autograd.ops.arrange import diagonal, select
from ddp.autograd.ops.blend import lerp
from ddp.autograd.ops.broadcast import quietly, refuse_bools, require_floats, to
from ddp.autograd.ops.elementwise import exp, isnan, log, sqrt
from ddp.autograd.ops.index import getitem
from ddp.autograd.ops.join import cat, narrow
from ddp.autograd.ops.logic import logical_xor
from ddp.autograd.ops.moments import norm, std, var
from ddp.autograd.ops.order import Sorted, sort
from ddp.autograd.ops.pointwise import floating
from ddp.autograd.ops.reduce import Dim, Reduction, amax, amin, as_axes, as_axis, mean
from ddp.autograd.ops.reduce import sum as total
from ddp.autograd.ops.select import clamp, masked_fill, where
from ddp.autograd.ops.shape import reshape, squeeze
from ddp.autograd.tensor import Tensor, wrap


@quietly
def logsumexp(x: Tensor, dim: Dim, keepdim: bool = False) -> Tensor:
    """y = ln Σ eˣ over `dim`, without overflow."""
    x = floating(x)
    axes = as_axes(x, dim)
    top = x.array.max(axis=axes, keepdims=True) if x.array.size else x.array.dtype.type(0)
    top = np.where(np.isfinite(top), top, x.array.dtype.type(0))
    sums = np.exp(x.array - top).sum(axis=axes, keepdims=True)
    y_array = np.log(sums) + top
    y = wrap(y_array if keepdim else y_array.squeeze(axes))
    if node := LogsumexpBackward0.record(y, x):
        node.over(x, axes)
        node.save(x, y)
    return y


class LogsumexpBackward0(Reduction):
    """dx = dy · exp(x - y): the softmax of x."""

    __slots__ = ()
    saves = Saves(self=0, result=RESULT)

    def backward(self, dy: Array) -> Gradients:
        x, y = self.saved
        y = self.kept(y)
        return (self.kept(dy) * np.exp(x - y * np.isfinite(y)),)


def cumprod(x: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """yᵢ = x₀ · … · xᵢ along `dim`."""
    axis = as_axis(x, dim)
    x, dtype = moments.accumulating(x, dtype)
    y = wrap(x.array.reshape(x.shape or 1).cumprod(axis, dtype).reshape(x.shape))
    if node := CumprodBackward0.record(y, x):
        node.axis = axis
        node.save(x)
    return y


class CumprodBackward0(Node):
    """dxᵢ = Σ over k ≥ i of dyₖ · the product of x₀ … xₖ without xᵢ; right with zeros too."""

    __slots__ = ("axis",)

    axis: int

    def backward(self, dy: Array) -> Gradients:
        (x,) = self.saved
        if x.ndim == 0:
            return (dy,)
        rows, dys = np.moveaxis(x, self.axis, -1), np.moveaxis(dy, self.axis, -1)
        dx = np.zeros_like(rows)
        before = np.ones_like(rows[..., :1])
        for i in range(rows.shape[-1]):
            others = np.concatenate([before, rows[..., i + 1 :]], -1).cumprod(-1)
            dx[..., i] = (others * dys[..., i:]).sum(-1)
            before = before * rows[..., i : i + 1]
        return (np.moveaxis(dx, -1, self.axis),)


def logcumsumexp(x: Tensor, dim: int) -> Tensor:
    """yᵢ = ln (exp x₀ + … + exp xᵢ) along `dim`, without overflow."""
    axis = as_axis(x, dim)
    require_floats("logcumsumexp_out_cpu", x)
    y = wrap(np.logaddexp.accumulate(x.array, axis) if x.ndim else x.array.copy())
    if node := LogcumsumexpBackward0.record(y, x):
        node.axis = axis
        node.save(x, y)
    return y


class LogcumsumexpBackward0(Node):
    """dxᵢ = exp xᵢ · Σ over k ≥ i of dyₖ / exp yₖ."""

    __slots__ = ("axis",)

    axis: int

    def backward(self, dy: Array) -> Gradients:
        x, y = self.saved
        if x.ndim == 0:
            return (dy,)
        top = y.max(axis=self.axis, keepdims=True)
        shares = np.flip(np.cumsum(np.flip(dy * np.exp(top - y), self.axis), self.axis), self.axis)
        return (np.exp(x - top) * shares,)


def cummax(x: Tensor, dim: int) -> Sorted:
    """(values, indices) of the largest element so far along `dim`; of equals the last."""
    return _extreme_so_far(CummaxBackward0, np.maximum, x, dim)


def cummin(x: Tensor, dim: int) -> Sorted:
    """(values, indices) of the smallest element so far along `dim`; of equals the last."""
    return _extreme_so_far(CumminBackward0, np.minimum, x, dim)


def _extreme_so_far(node_class: type[CummaxBackward0], ufunc: Any, x: Tensor, dim: int) -> Sorted:
    axis = as_axis(x, dim)
    array = x.array.reshape(x.shape or (1,))
    values = ufunc.accumulate(array, axis)
    places = np.arange(array.shape[axis]).reshape(
        [-1 if i == axis else 1 for i in range(array.ndim)]
    )
    taken = np.where((array == values) | (array != array), places, 0)
    where = np.maximum.accumulate(taken, axis).reshape(x.shape)
    y = wrap(values.reshape(x.shape))
    if node := node_class.record(y, x):
        node.axis = axis
        node.save(where)
    return Sorted(y, wrap(where))


class CummaxBackward0(Node):
    """dx = the dys added up at the elements that were taken."""

    __slots__ = ("axis",)

    axis: int

    def backward(self, dy: Array) -> Gradients:
        (where,) = self.saved
        if dy.ndim == 0:
            return (dy,)
        dx = np.zeros(dy.shape, dy.dtype)
        index: list[Any] = list(np.indices(dy.shape, sparse=True))
        index[self.axis] = where
        np.add.at(dx, tuple(index), dy)
        return (dx,)


class CumminBackward0(CummaxBackward0):
    """The same for the smallest."""

    __slots__ = ()


class AMinMax(NamedTuple):
    """What `aminmax` returns."""

    min: Tensor
    max: Tensor


def aminmax(x: Tensor, *, dim: int | None = None, keepdim: bool = False) -> AMinMax:
    """The smallest and the largest elements, over all axes or `dim`."""
    return AMinMax(amin(x, dim, keepdim), amax(x, dim, keepdim))


def var_mean(x: Tensor, dim: Dim = None, **how: Any) -> tuple[Tensor, Tensor]:
    """(variance, mean) over `dim`; the keywords are those of `var`."""
    if isinstance(dim, bool):  # PyTorch's older order of arguments: `unbiased` alone
        return var_mean(x, None, unbiased=dim, **how)
    return var(x, dim, **how), mean(x, dim, how.get("keepdim", False))


def std_mean(x: Tensor, dim: Dim = None, **how: Any) -> tuple[Tensor, Tensor]:
    """(standard deviation, mean) over `dim`; the keywords are those of `std`."""
    if isinstance(dim, bool):
        return std_mean(x, None, unbiased=dim, **how)
    return std(x, dim, **how), mean(x, dim, how.get("keepdim", False))


def nansum(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The sum of what is not NaN."""
    return total(masked_fill(x, isnan(x), 0.0) if x.is_floating_point() else x, dim, keepdim)


def nanmean(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The mean of what is not NaN."""
    require_floats("nanmean", x)
    counted = to(wrap(~np.isnan(x.array)), x.dtype)
    return nansum(x, dim, keepdim) / total(counted, dim, keepdim)


def dist(a: Tensor, b: Tensor, p: float = 2.0) -> Tensor:
    """The p-norm of a - b."""
    return norm(a - b, p)


def renorm(x: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """Every entry of the axis `dim` scaled down to a p-norm of at most `maxnorm`."""
    if x.ndim < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {x.ndim} dimensions")
    if p <= 0:
        raise RuntimeError("renorm: non-positive-norm not supported")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
    axis = as_axis(x, dim)
    norms = norm(x, p, [i for i in range(x.ndim) if i != axis], keepdim=True)
    return x * where(norms > maxnorm, maxnorm / (norms + 1e-7), 1.0)


def diff(
    x: Tensor,
    n: int = 1,
    dim: int = -1,
    prepend: Tensor | None = None,
    append: Tensor | None = None,
) -> Tensor:
    """Differences of neighbours along `dim`, n times, of x with what is put before and after."""
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    if n > 0:
        x = cat([part for part in (prepend, x, append) if part is not None], dim)
    for _ in range(n):
        length = x.shape[as_axis(x, dim)]
        if length == 0:
            return x
        behind, before = narrow(x, dim, 1, length - 1), narrow(x, dim, 0, length - 1)
        x = logical_xor(behind, before) if x.array.dtype.kind == "b" else behind - before
    return x


def cov(
    x: Tensor,
    *,
    correction: int = 1,
    fweights: Tensor | None = None,
    aweights: Tensor | None = None,
) -> Tensor:
    """Covariances of the rows of (variables, observations), over observations - correction.

    `fweights` (integers) say how often each observation counts, `aweights` how much.
    """
    refuse_bools("cov", x)
    rows = reshape(x, 1, -1) if x.ndim < 2 else x
    rows = floating(rows)
    if fweights is not None or aweights is not None:
        return _weighted_cov(rows, correction, fweights, aweights)
    centred = rows - mean(rows, 1, keepdim=True)
    return squeeze(centred @ centred.t() / max(rows.shape[1] - correction, 0))


def _weighted_cov(
    rows: Tensor, correction: int, fweights: Tensor | None, aweights: Tensor | None
) -> Tensor:
    for name, given, kinds in (("fweights", fweights, "iu"), ("aweights", aweights, "f")):
        if given is None:
            continue
        if given.ndim > 1 or given.array.dtype.kind not in kinds or given.numel() != rows.shape[1]:
            raise RuntimeError(
                f"cov(): expected {name} of shape ({rows.shape[1]},), "
                f"{'integers' if kinds == 'iu' else 'floating'}, but got {given.dtype} of shape "
                f"{tuple(given.shape)}"
            )
        if (given.array < 0).any():
            raise RuntimeError(f"cov(): {name} cannot be negative")
    weights = wrap(np.ones(rows.shape[1], rows.array.dtype))
    for given in (fweights, aweights):
        weights = weights if given is None else weights * reshape(given, -1)
    amount = total(weights)
    lost = correction if aweights is None else correction * total(weights * aweights) / amount
    centred = rows - total(rows * weights, 1, keepdim=True) / amount
    return squeeze(centred @ (centred * weights).t() / clamp(amount - lost, 0))


def corrcoef(x: Tensor) -> Tensor:
    """Correlations of the rows of (variables, observations), held within [-1, 1]."""
    covariance = cov(x)
    if covariance.ndim == 0:
        return covariance / covariance
    deviations = sqrt(diagonal(covariance))
    return clamp(covariance / deviations.unsqueeze(1) / deviations, -1, 1)


def quantile(
    x: Tensor,
    q: float | Tensor,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Tensor:
    """The values below which the parts `q` of the elements lie. NaN wins."""
    if x.dtype not in (np.float32, np.float64):
        raise RuntimeError("quantile() input tensor must be either float or double dtype")
    wanted = q if isinstance(q, Tensor) else wrap(np.array(q, x.array.dtype))
    if ((wanted.array < 0) | (wanted.array > 1)).any():
        raise RuntimeError("quantile() q must be in the range [0, 1]")
    if x.ndim == 0:
        return quantile(reshape(x, 1), q, 0, interpolation=interpolation)
    axis = 0 if dim is None else as_axis(x, dim)
    rows = sort(reshape(x, -1) if dim is None else x, axis).values.movedim(axis, -1)
    places = reshape(wanted, -1) * (rows.shape[-1] - 1)
    ranks = places.array
    below = getitem(rows, (..., _rank(ranks, interpolation, np.floor)))
    above = getitem(rows, (..., _rank(ranks, interpolation, np.ceil)))
    half = interpolation == "midpoint"
    part = wrap(np.full_like(ranks, 0.5)) if half else places - wrap(np.floor(ranks))
    y = lerp(below, above, to(part, x.dtype))
    y = (y + getitem(rows, (..., [-1])) * 0).movedim(-1, 0)  # NaN is last, and spreads
    if keepdim:
        y = y.unsqueeze(axis + 1) if dim is not None else reshape(y, (-1, *[1] * x.ndim))
    return y if wanted.ndim else y.squeeze(0)


def _rank(ranks: Array, interpolation: str, otherwise: Any) -> Array:
    """The whole rank that is read: the one below or above, or what the interpolation says."""
    by_name: dict[str, Any] = {
        "lower": np.floor,
        "higher": np.ceil,
        "nearest": np.round,
        "linear": otherwise,
        "midpoint": otherwise,
    }
    if interpolation not in by_name:
        raise RuntimeError(
            "quantile() interpolation must be one of linear, lower, higher, midpoint or nearest, "
            f"but got {interpolation}"
        )
    return by_name[interpolation](ranks).astype(np.int64)


def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float = 1.0, dim: int = -1) -> Tensor:
    """The integral of y along `dim` by trapezoids of width `dx`, or between the places x."""
    length = y.shape[as_axis(y, dim)]
    if x is None and length:
        return (total(y, dim) - (select(y, dim, 0) + select(y, dim, -1)) * 0.5) * dx
    pairs = narrow(y, dim, 1, length - 1) + narrow(y, dim, 0, length - 1)
    if x is None:
        return total(pairs, dim) * (dx / 2)
    return total(pairs * diff(x, dim=-1 if x.ndim == 1 else dim), dim) / 2


def logaddexp2(a: Tensor, b: Tensor) -> Tensor:
    """y = log₂ (2ᵃ + 2ᵇ), without overflow."""
    require_floats("logaddexp2_cpu", a, b)
    top = wrap(np.maximum(a.array, b.array))
    ln2 = math.log(2)
    return top + log(exp((a - top) * ln2) + exp((b - top) * ln2)) / ln2
