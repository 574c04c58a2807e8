"""Products of matrices of which no side is short."""

from __future__ import annotations

import numpy as np

from ddp.autograd.node import Array
from ddp.autograd.ops.blocks import aligned_empty
from ddp.kernels import kernel

LARGE, HUGE = 1 << 22, 1 << 31  # multiplications: of more, OpenBLAS is always the faster one
SHORT = 64


def is_large(a: Array, b: Array) -> bool:
    """Whether a @ b is a product for `gemm`."""
    (rows, depth), columns = a.shape, b.shape[1]
    if not LARGE <= rows * depth * columns < HUGE:
        return False
    return rows >= SHORT and depth >= SHORT and columns >= SHORT // 2


def large_product(a: Array, b: Array, bias: Array | None = None, out: Array | None = None) -> Array:
    """a @ b + bias, written to `out` if that is given."""
    if out is None:
        out = aligned_empty((len(a), b.shape[1]), a.dtype)
    gemm(a, b, bias, out)
    return out


@kernel
def gemm(a: Array, b: Array, bias: Array | None, out: Array) -> None:
    """out = a @ b + bias for a (M, K), b (K, N), with dense rows or columns, and bias (N,)."""
    np.matmul(a, b, out=out)
    if bias is not None:
        out += bias
