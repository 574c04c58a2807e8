"""Products of matrices and vectors beyond `matmul.py`: addmm and its kin, outer, tensordot."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

from ddp.autograd.dtypes import message_name
from ddp.autograd.ops.arithmetic import add, mul
from ddp.autograd.ops.broadcast import require_floats
from ddp.autograd.ops.join import stack
from ddp.autograd.ops.matmul import bmm, matmul, mm, mv
from ddp.autograd.ops.reduce import as_axis
from ddp.autograd.ops.reduce import sum as total
from ddp.autograd.ops.rounding import sign
from ddp.autograd.ops.shape import expand, permute, reshape
from ddp.autograd.tensor import Tensor


def _scaled_sum(x: Tensor, product: Tensor, beta: float, alpha: float) -> Tensor:
    """beta · x + alpha · product; x is not looked at when beta is 0 (it may be NaN)."""
    if not product.is_floating_point():
        whole = bool if product.array.dtype.kind == "b" else int
        beta, alpha = whole(beta), whole(alpha)
    scaled = product if alpha == 1 else mul(product, alpha)
    if beta == 0:
        return scaled
    return add(x if beta == 1 else mul(x, beta), scaled)


def addmm(x: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """y = beta · x + alpha · (a @ b) for matrices, x broadcast."""
    product = mm(a, b)
    if x.dtype != product.dtype:
        raise RuntimeError(
            f"self and mat2 must have the same dtype, but got {message_name(x.dtype)} and "
            f"{message_name(product.dtype)}"
        )
    return _scaled_sum(expand(x, product.shape), product, beta, alpha)


def addmv(x: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """y = beta · x + alpha · (a @ b) for a matrix a and a vector b."""
    return _scaled_sum(x, mv(a, b), beta, alpha)


def addr(x: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """y = beta · x + alpha · (a ⊗ b) for vectors."""
    for name, factor in (("beta", beta), ("alpha", alpha)):
        if x.array.dtype.kind in "iu" and isinstance(factor, float):
            raise RuntimeError(
                f"For integral input tensors, argument {name} must not be a floating point number."
            )
    return _scaled_sum(x, outer(a, b), beta, alpha)


def baddbmm(x: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """y[i] = beta · x[i] + alpha · (a[i] @ b[i])."""
    return _scaled_sum(x, bmm(a, b), beta, alpha)


def addbmm(x: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """y = beta · x + alpha · Σᵢ a[i] @ b[i]."""
    return _scaled_sum(x, total(bmm(a, b), 0, dtype=a.dtype), beta, alpha)


def rmatmul(b: Tensor, a: Tensor) -> Tensor:
    """y = a @ b for an array on the left."""
    return matmul(a, b)


def outer(a: Tensor, b: Tensor) -> Tensor:
    """y[i, j] = a[i] · b[j] for vectors."""
    for x in (a, b):
        if x.ndim != 1:
            raise RuntimeError(f"outer: Expected 1-D argument, but got {x.ndim}-D")
    return mul(reshape(a, -1, 1), b)


def inner(a: Tensor, b: Tensor) -> Tensor:
    """Sums of products over the last axes of both."""
    if a.ndim == 0 or b.ndim == 0:
        return mul(a, b)
    return tensordot(a, b, ([-1], [-1]))


def vdot(a: Tensor, b: Tensor) -> Tensor:
    """Σ aᵢ·bᵢ for vectors."""
    return matmul(a, b)


def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """Products summed over a's last `dims` axes and b's first, or over the pairs named."""
    if isinstance(dims, int):
        dims = range(a.ndim - dims, a.ndim), range(dims)
    a_axes, b_axes = [d % a.ndim for d in dims[0]], [d % b.ndim for d in dims[1]]
    a_free = [d for d in range(a.ndim) if d not in a_axes]
    b_free = [d for d in range(b.ndim) if d not in b_axes]
    for i, j in zip(a_axes, b_axes, strict=True):  # an axis of length 1 goes with any other
        if a.shape[i] == 1 != b.shape[j]:
            b = total(b, j, keepdim=True, dtype=b.dtype)
        elif b.shape[j] == 1 != a.shape[i]:
            a = total(a, i, keepdim=True, dtype=a.dtype)
    if [a.shape[d] for d in a_axes] != [b.shape[d] for d in b_axes]:
        raise RuntimeError(
            f"contracted dimensions need to match, but axes {a_axes} of {list(a.shape)} and "
            f"{b_axes} of {list(b.shape)} do not"
        )
    contracted = math.prod([a.shape[d] for d in a_axes])
    rows = reshape(permute(a, a_free + a_axes), math.prod([a.shape[d] for d in a_free]), contracted)
    columns = reshape(
        permute(b, b_axes + b_free), contracted, math.prod([b.shape[d] for d in b_free])
    )
    shape = [a.shape[d] for d in a_free] + [b.shape[d] for d in b_free]
    return reshape(mm(rows, columns), shape)


def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of matrices, the first and last of which may be vectors, in the best order."""
    if len(tensors) < 2:
        raise RuntimeError("multi_dot(): expected at least 2 tensors but got " + str(len(tensors)))
    first, *between, last = tensors
    rows = reshape(first, 1, -1) if first.ndim == 1 else first
    columns = reshape(last, -1, 1) if last.ndim == 1 else last
    product = _chain([rows, *between, columns])
    ends = (first.shape[:-1], last.shape[1:])
    return reshape(product, ends[0] + ends[1])


def _chain(matrices: list[Tensor]) -> Tensor:
    """Their product: split where the fewest multiplications are needed, recursively."""
    lengths = [matrices[0].shape[0], *[matrix.shape[1] for matrix in matrices]]

    @functools.cache
    def plan(i: int, j: int) -> tuple[int, int]:
        """(cost, where to split) of the product of the matrices i … j."""
        if i == j:
            return 0, i
        inner = lengths[i] * lengths[j + 1]
        return min(
            (plan(i, k)[0] + plan(k + 1, j)[0] + inner * lengths[k + 1], k) for k in range(i, j)
        )

    def product(i: int, j: int) -> Tensor:
        if i == j:
            return matrices[i]
        k = plan(i, j)[1]
        return matmul(product(i, k), product(k + 1, j))

    return product(0, len(matrices) - 1)


def chain_matmul(*matrices: Tensor) -> Tensor:
    """The product of the matrices."""
    return multi_dot(matrices)


def cross(a: Tensor, b: Tensor, dim: int | None = None) -> Tensor:
    """The vector product along an axis of length 3: the first such one by default."""
    if a.ndim != b.ndim:
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    if dim is None:
        dim = next((i for i, n in enumerate(a.shape) if n == 3), None)
        if dim is None:
            raise RuntimeError("no dimension of size 3 in input")
    dim = as_axis(a, dim)
    if a.shape[dim] != 3 or b.shape[dim] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {a.shape[dim]} and "
            f"{b.shape[dim]}"
        )
    a0, a1, a2 = a.unbind(dim)
    b0, b1, b2 = b.unbind(dim)
    return stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], dim)


def cdist(
    a: Tensor,
    b: Tensor,
    p: float = 2.0,
    compute_mode: str = "use_mm_for_euclid_dist_if_necessary",
) -> Tensor:
    """Distances (…, M, N) of the rows of a (…, M, K) and b (…, N, K), always by differences."""
    require_floats("cdist", a, b)
    difference = a.unsqueeze(-2) - b.unsqueeze(-3)
    if p == 0:  # how many coordinates differ: flat, not without a gradient
        return total(sign(difference).abs(), -1)
    return difference.norm(p, dim=-1)
