"""Factorisations of matrices and what is made of them: qr, svd, eigh, pinv, rank.

Stacks of matrices everywhere, (…, M, N) with K = min(M, N). The gradients are the classical ones
(Giles 2008; Walter and Lehmann for qr) and exist where singular values or eigenvalues are distinct.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ddp.autograd.dtypes import message_name
from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.tensor import Tensor, wrap


class LinAlgError(RuntimeError):
    """A matrix has no inverse, or not the property that was asked for."""


def factor(f: Any, *arrays: Array, **options: Any) -> Any:
    """f's answer; LinAlgError where NumPy finds none."""
    try:
        return f(*arrays, **options)
    except np.linalg.LinAlgError as error:
        raise LinAlgError(f"{f.__name__}: {error}") from None


def require_square(name: str, x: Tensor) -> None:
    """RuntimeError unless x holds square matrices of floats."""
    require_matrix_floats(name, x)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise RuntimeError(
            f"linalg.{name}: A must be batches of square matrices, but they are "
            f"{'x'.join(map(str, x.shape[-2:]))}"
        )


def require_matrix_floats(name: str, x: Tensor) -> None:
    """NotImplementedError (a RuntimeError) unless x is float32 or float64."""
    if x.array.dtype not in (np.float32, np.float64):
        raise NotImplementedError(
            f"linalg.{name}: Expected a floating point tensor of float32 or float64 as input. Got "
            f"{message_name(x.array.dtype)}"
        )


class Factors(NamedTuple):
    """What `qr` returns."""

    Q: Tensor
    R: Tensor


def qr(x: Tensor, mode: Any = "reduced") -> Factors:
    """Orthonormal Q and upper triangular R with Q @ R = x; with mode "r" an empty Q."""
    require_matrix_floats("qr", x)
    if mode == "r":
        r = wrap(np.linalg.qr(x.array, "r"))
        if node := LinalgQrBackward0.record(r, x):
            node.mode = mode
        return Factors(wrap(np.empty(0, x.array.dtype)), r)
    q, r = map(wrap, np.linalg.qr(x.array, mode))
    if node := LinalgQrBackward0.record_several((q, r), x):
        node.mode = mode
        node.save(q, r)
    return Factors(q, r)


class LinalgQrBackward0(Node):
    """dX = [dQ + Q sym(triu(dR Rᵀ - Qᵀ dQ))] R⁻ᵀ for M ≥ N, where sym adds the transpose.

    A wide matrix is [X | Y]: there Y's part of R is Qᵀ Y.
    """

    __slots__ = ("mode",)

    mode: str

    def backward(self, *gradients: Array | None) -> Gradients:
        if self.mode == "r":
            raise RuntimeError("The derivative of linalg.qr depends on Q: use mode='reduced'")
        q, r = self.saved
        rows, columns = q.shape[-2], r.shape[-1]
        if self.mode == "complete" and rows > columns:
            raise RuntimeError(
                "The QR decomposition is not differentiable when mode='complete' and nrows > ncols"
            )
        dq, dr = (
            np.zeros_like(factor) if d is None else d
            for d, factor in zip(gradients, (q, r), strict=True)
        )
        if rows >= columns:
            return (_qr_gradient(q, r, dq, dr),)
        right, d_right = r[..., rows:], dr[..., rows:]
        dq = dq + q @ (right @ _t(d_right))
        left = _qr_gradient(q, r[..., :rows], dq, dr[..., :rows])
        return (np.concatenate([left, q @ d_right], -1),)


def _qr_gradient(q: Array, r: Array, dq: Array, dr: Array) -> Array:
    middle = np.triu(dr @ _t(r) - _t(q) @ dq)
    middle = middle + _t(np.triu(middle, 1))
    return _t(np.linalg.solve(r, _t(dq + q @ middle)))


class SingularValues(NamedTuple):
    """What `svd` returns."""

    U: Tensor
    S: Tensor
    Vh: Tensor


def svd(x: Tensor, full_matrices: bool = True) -> SingularValues:
    """x = U @ diag(S) @ Vh, S descending."""
    require_matrix_floats("svd", x)
    factors = factor(np.linalg.svd, x.array, full_matrices=full_matrices)
    u, s, vh = map(wrap, factors)
    if node := LinalgSvdBackward0.record_several((u, s, vh), x):
        node.save(u, s, vh)
    return SingularValues(u, s, vh)


def svdvals(x: Tensor) -> Tensor:
    """The singular values, descending."""
    require_matrix_floats("svdvals", x)
    if not x.requires_grad:
        return wrap(np.linalg.svd(x.array, compute_uv=False))
    return svd(x, full_matrices=False).S


class LinalgSvdBackward0(Node):
    """dX = U (skew(Uᵀ dU)/E · S + S · skew(V dVᵀ)/E + diag dS) Vᵀ, and what lies outside.

    E = Sj² - Si² off the diagonal; skew(A) = A - Aᵀ. Of a longer U or V only the first K count.
    """

    __slots__ = ()

    def backward(self, du: Array | None, ds: Array | None, dvh: Array | None) -> Gradients:
        u, s, vh = self.saved
        k = s.shape[-1]
        u, vh = u[..., :k], vh[..., :k, :]
        du, dvh = (None if du is None else du[..., :k]), (None if dvh is None else dvh[..., :k, :])
        middle = np.zeros((*s.shape, k), s.dtype) if ds is None else _diagonal(ds)
        if du is None and dvh is None:
            return ((u @ middle) @ vh,)
        across, down = s[..., None, :], s[..., :, None]
        gaps = _off_diagonal_gaps(s * s)
        outside: Any = 0
        if du is not None:
            middle = middle + _skew(_t(u) @ du) / gaps * across
            outside = outside + (du - u @ (_t(u) @ du)) / across @ vh
        if dvh is not None:
            middle = middle + down * (_skew(vh @ _t(dvh)) / gaps)
            outside = outside + u @ ((dvh - (dvh @ _t(vh)) @ vh) / down)
        return (u @ middle @ vh + outside,)


class Eigen(NamedTuple):
    """What `eigh` returns."""

    eigenvalues: Tensor
    eigenvectors: Tensor


def eigh(x: Tensor, UPLO: Any = "L") -> Eigen:
    """Eigenvalues (ascending) and eigenvectors of symmetric matrices, from one triangle."""
    require_square("eigh", x)
    values, vectors = map(wrap, factor(np.linalg.eigh, x.array, UPLO=UPLO))
    if node := LinalgEighBackward0.record_several((values, vectors), x):
        node.save(values, vectors)
    return Eigen(values, vectors)


class LinalgEighBackward0(Node):
    """dX = V (skew(Vᵀ dV) / 2E) Vᵀ with dL on the middle's diagonal; E = Lj - Li off it."""

    __slots__ = ()

    def backward(self, dl: Array | None, dv: Array | None) -> Gradients:
        values, v = self.saved
        middle = np.zeros(v.shape, v.dtype) if dl is None else _diagonal(dl)
        if dv is not None:
            middle = middle + _skew(_t(v) @ dv) / (2 * _off_diagonal_gaps(values))
        return (v @ middle @ _t(v),)


def eigvalsh(x: Tensor, UPLO: Any = "L") -> Tensor:
    """The eigenvalues of symmetric matrices, ascending."""
    return eigh(x, UPLO).eigenvalues


Cut = float | Tensor | None


def pinv(
    x: Tensor,
    rcond: Cut = None,
    hermitian: bool = False,
    *,
    atol: Cut = None,
    rtol: Cut = None,
) -> Tensor:
    """The Moore-Penrose inverse: singular values up to max(atol, rtol · the largest) count as 0.

    `rtol` is max(M, N) · eps by default, or 0 where `atol` is given.
    """
    require_matrix_floats("pinv", x)
    u, s, vh = _spectrum(x.array, hermitian)
    kept = np.abs(s) > _threshold(x, s, atol, rcond if rtol is None else rtol)[..., None]
    inverse = np.divide(1, s, out=np.zeros_like(s), where=kept)
    y = wrap(_t(vh) @ (inverse[..., None] * _t(u)))
    if node := LinalgPinvBackward0.record(y, x):
        node.save(x, y)
    return y


class LinalgPinvBackward0(Node):
    """Golub and Pereyra (1973): dX = -(P K)ᵀ + K Pᵀ - X P K Pᵀ + Pᵀ P (dPᵀ - K X), K = dPᵀ P."""

    __slots__ = ()

    def backward(self, dp: Array) -> Gradients:
        x, p = self.saved
        k = _t(dp) @ p
        kp = k @ _t(p)
        return (-_t(p @ k) + kp - (x @ p) @ kp + (_t(p) @ p) @ (_t(dp) - k @ x),)


def matrix_rank(
    x: Tensor,
    tol: Cut = None,
    hermitian: bool = False,
    *,
    atol: Cut = None,
    rtol: Cut = None,
) -> Tensor:
    """How many singular values are above max(atol, rtol · the largest), as for `pinv`; int64."""
    require_matrix_floats("matrix_rank", x)
    _, s, _ = _spectrum(x.array, hermitian)
    cut = _threshold(x, s, tol if atol is None else atol, rtol)
    return wrap(np.asarray((np.abs(s) > cut[..., None]).sum(-1), np.int64))


def _spectrum(x: Array, hermitian: bool) -> tuple[Array, Array, Array]:
    """U, S and Vᵀ with x = U diag(S) Vᵀ; of a symmetric x, S may be negative."""
    if not hermitian:
        u, s, vh = factor(np.linalg.svd, x, full_matrices=False)
        return u, s, vh
    values, vectors = factor(np.linalg.eigh, x)
    return vectors, values, _t(vectors)


def _threshold(x: Tensor, s: Array, atol: Cut, rtol: Cut) -> Array:
    absolute, relative = (cut.array if isinstance(cut, Tensor) else cut for cut in (atol, rtol))
    if relative is None:
        eps = max(x.shape[-2:]) * float(np.finfo(s.dtype).eps)
        relative = eps if absolute is None else np.where(np.greater(absolute, 0), 0.0, eps)
    largest = np.abs(s).max(-1, initial=0)
    return np.maximum(0.0 if absolute is None else absolute, relative * largest)


def _t(x: Array) -> Array:
    return x.swapaxes(-1, -2)


def _skew(x: Array) -> Array:
    return x - _t(x)


def _diagonal(values: Array) -> Array:
    """Square matrices with these diagonals."""
    return values[..., None] * np.eye(values.shape[-1], dtype=values.dtype)


def _off_diagonal_gaps(values: Array) -> Array:
    """values[j] - values[i], and 1 on the diagonal."""
    return (
        values[..., None, :] - values[..., :, None] + np.eye(values.shape[-1], dtype=values.dtype)
    )
