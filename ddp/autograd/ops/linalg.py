"""`ddp.linalg`: norms, solving, inverses, determinants and factorisations of matrices.

Stacks of matrices everywhere. Factorisations, and what is made of them, stand in `spectra.py`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ddp.autograd.node import RESULT, Array, Gradients, Node, Saves
from ddp.autograd.ops import moments
from ddp.autograd.ops.arrange import movedim
from ddp.autograd.ops.broadcast import quietly, to
from ddp.autograd.ops.convert import clone
from ddp.autograd.ops.elementwise import sqrt
from ddp.autograd.ops.matmul import matmul
from ddp.autograd.ops.overwrite import copy_
from ddp.autograd.ops.products import cross as cross
from ddp.autograd.ops.products import multi_dot as multi_dot
from ddp.autograd.ops.products import vdot
from ddp.autograd.ops.reduce import Dim, as_axes
from ddp.autograd.ops.reduce import sum as total
from ddp.autograd.ops.shape import squeeze, unsqueeze
from ddp.autograd.ops.spectra import LinAlgError as LinAlgError
from ddp.autograd.ops.spectra import eigh as eigh
from ddp.autograd.ops.spectra import eigvalsh as eigvalsh
from ddp.autograd.ops.spectra import factor, require_matrix_floats, require_square
from ddp.autograd.ops.spectra import matrix_rank as matrix_rank
from ddp.autograd.ops.spectra import pinv as pinv
from ddp.autograd.ops.spectra import qr as qr
from ddp.autograd.ops.spectra import svd as svd
from ddp.autograd.ops.spectra import svdvals as svdvals
from ddp.autograd.tensor import Tensor, wrap


def vector_norm(
    x: Tensor, ord: float = 2, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """(Σ |x|ᵒʳᵈ)^(1/ord) over `dim`, x taken as one vector by default."""
    return moments.norm(x if dtype is None else to(x, dtype), ord, dim, keepdim)


def matrix_norm(
    x: Tensor,
    ord: float | str = "fro",
    dim: tuple[int, int] = (-2, -1),
    keepdim: bool = False,
) -> Tensor:
    """The norm of matrices: "fro", ±1 and ±∞ (sums of columns and rows), 2 and "nuc" (values)."""
    if ord == "fro":
        return moments.norm(x, 2, dim, keepdim)
    rows, columns = as_axes(x, dim)
    if isinstance(ord, (int, float)) and abs(ord) in (1, math.inf):
        summed, compared = (rows, columns) if abs(ord) == 1 else (columns, rows)
        sums = total(x.abs(), summed, keepdim=True)
        extreme = sums.amax(compared, True) if ord > 0 else sums.amin(compared, True)
        return extreme if keepdim else squeeze(extreme, (rows, columns))
    if ord not in (2, -2, "nuc"):
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    values = svdvals(movedim(x, (rows, columns), (-2, -1)))
    picked = {2: values.amax, -2: values.amin, "nuc": values.sum}[ord](-1)
    for axis in sorted((rows, columns)) if keepdim else ():
        picked = unsqueeze(picked, axis)
    return picked


def norm(
    x: Tensor,
    ord: float | str | None = None,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Tensor:
    """A vector norm; a matrix norm where `ord` is given and two axes are meant."""
    x = x if dtype is None else to(x, dtype)
    two_axes = (isinstance(dim, (tuple, list)) and len(dim) == 2) or (dim is None and x.ndim == 2)
    if ord is not None and (two_axes or isinstance(ord, str)):
        return matrix_norm(x, ord, tuple(dim) if dim is not None else (-2, -1), keepdim)
    return vector_norm(x, 2 if ord is None else ord, dim, keepdim)


def old_norm(
    x: Tensor,
    p: float | str = "fro",
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Tensor:
    """`norm` of before `linalg`: a vector norm even of matrices, but for "nuc"."""
    x = x if dtype is None else to(x, dtype)
    if p == "nuc":
        return matrix_norm(x, "nuc", (-2, -1) if dim is None else dim, keepdim)
    return moments.norm(x, p, dim, keepdim)


def inv(x: Tensor) -> Tensor:
    """The inverses of square matrices; LinAlgError for a singular one."""
    require_square("inv", x)
    y = wrap(factor(np.linalg.inv, x.array))
    if node := LinalgInvExBackward0.record(y, x):
        node.save(y)
    return y


class LinalgInvExBackward0(Node):
    """dx = -yᵀ @ dy @ yᵀ."""

    __slots__ = ()
    saves = Saves(result=RESULT)

    def backward(self, dy: Array) -> Gradients:
        (y,) = self.saved
        transposed = y.swapaxes(-1, -2)
        return (-(transposed @ dy @ transposed),)


def solve(a: Tensor, b: Tensor) -> Tensor:
    """The x with a @ x = b, for b (…, N, K) or a vector (N,)."""
    require_square("solve", a)
    is_vector = b.ndim == 1 or b.shape == a.shape[:-1]
    columns = unsqueeze(b, -1) if is_vector else b
    x = wrap(factor(np.linalg.solve, a.array, columns.array))
    if node := LinalgSolveExBackward0.record(x, a, columns):
        node.save(a, x)
    return squeeze(x, -1) if is_vector else x


class LinalgSolveExBackward0(Node):
    """db = a⁻ᵀ @ dx,  da = -db @ xᵀ, summed over stacks that were broadcast."""

    __slots__ = ()
    saves = Saves(A=0, result=RESULT)

    def backward(self, dx: Array) -> Gradients:
        a, x = self.saved
        db = np.linalg.solve(a.swapaxes(-1, -2), dx)
        da = -(db @ x.swapaxes(-1, -2)) if self.needs(0) else None
        return None if da is None else _summed_to(da, a.shape), db


def _summed_to(gradient: Array, shape: tuple[int, ...]) -> Array:
    extra = gradient.ndim - len(shape)
    return gradient.sum(axis=tuple(range(extra))) if extra else gradient


@quietly
def det(x: Tensor) -> Tensor:
    """The determinants of square matrices."""
    require_square("det", x)
    y = wrap(np.linalg.det(x.array).astype(x.array.dtype))
    if node := LinalgDetBackward0.record(y, x):
        node.save(x)
    return y


class LinalgDetBackward0(Node):
    """dx = dy · det x · x⁻ᵀ, the matrix of cofactors; by svd, so right where det x is 0."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        (x,) = self.saved
        u, s, vt = np.linalg.svd(x)
        sign = (np.linalg.det(u) * np.linalg.det(vt))[..., None, None].astype(x.dtype)
        left_out = np.where(np.eye(x.shape[-1], dtype=bool), x.dtype.type(1), s[..., None, :])
        cofactors = (u * left_out.prod(-1)[..., None, :]) @ vt
        return (dy[..., None, None] * sign * cofactors,)


class SignAndLogarithm(NamedTuple):
    """What `slogdet` returns."""

    sign: Tensor
    logabsdet: Tensor


def slogdet(x: Tensor) -> SignAndLogarithm:
    """The sign of the determinants and the logarithm of their size."""
    require_square("slogdet", x)
    sign, logarithm = np.linalg.slogdet(x.array)
    answer = [wrap(np.asarray(part, x.array.dtype)) for part in (sign, logarithm)]
    if node := LinalgSlogdetBackward0.record_several(answer, x):
        node.save(x)
    return SignAndLogarithm(*answer)


class LinalgSlogdetBackward0(Node):
    """dx = dy · x⁻ᵀ for the logarithm, 0 for the sign."""

    __slots__ = ()

    def backward(self, dsign: Array | None, dy: Array | None) -> Gradients:
        (x,) = self.saved
        if dy is None:
            return (np.zeros_like(x),)
        return (dy[..., None, None] * np.linalg.inv(x).swapaxes(-1, -2),)


def logdet(x: Tensor) -> Tensor:
    """The logarithm of the determinants: NaN where one is negative."""
    sign, logarithm = slogdet(x)
    return logarithm + sqrt(sign) * 0


def cholesky(x: Tensor, *, upper: bool = False) -> Tensor:
    """The lower triangular y with y @ yᵀ = x, for symmetric positive definite x."""
    require_square("cholesky", x)
    y = wrap(factor(np.linalg.cholesky, x.array))
    if node := LinalgCholeskyExBackward0.record(y, x):
        node.save(y)
    return y.mT if upper else y


class LinalgCholeskyExBackward0(Node):
    """dx = y⁻ᵀ @ Φ(yᵀ dy) @ y⁻¹ made symmetric; Φ: the lower triangle, its diagonal halved."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        (y,) = self.saved
        phi = np.tril(y.swapaxes(-1, -2) @ dy)
        phi *= 1 - np.eye(y.shape[-1], dtype=y.dtype) / 2
        inverse = np.linalg.inv(y)
        dx = inverse.swapaxes(-1, -2) @ phi @ inverse
        return ((dx + dx.swapaxes(-1, -2)) / 2,)


def matrix_power(x: Tensor, n: int) -> Tensor:
    """The product of n matrices x; of the inverse for n < 0."""
    require_square("matrix_power", x)
    if n == 0:
        return copy_(clone(x), wrap(np.eye(x.shape[-1], dtype=x.array.dtype)))
    power = inv(x) if n < 0 else x
    if abs(n) == 3:
        return matmul(matmul(power, power), power)
    result = None
    for place, bit in enumerate(reversed(f"{abs(n):b}")):
        power = matmul(power, power) if place else power
        if bit == "1":
            result = power if result is None else matmul(result, power)
    assert result is not None
    return clone(result) if n == 1 else result


def vecdot(a: Tensor, b: Tensor, *, dim: int = -1) -> Tensor:
    """Σ a · b along `dim`."""
    require_matrix_floats("vecdot", a)
    return vdot(a, b) if a.ndim == b.ndim == 1 else total(a * b, dim)
