"""Matrix products of every rank, each as few GEMMs as there can be."""

from __future__ import annotations

import math

import numpy as np

from ddp.autograd.node import NO_EDGE, Array, Gradients, Node, Saves
from ddp.autograd.ops.broadcast import combine, operands, unbroadcast
from ddp.autograd.ops.gemm import is_large, large_product
from ddp.autograd.ops.shape import reshape, squeeze_row, unsafe_view, unsqueeze
from ddp.autograd.tensor import Tensor, wrap


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """y = a @ b as NumPy and PyTorch define it for vectors, matrices and stacks of matrices.

    A stack times one matrix is computed as one product of (rows of all, K) with (K, N).
    """
    if isinstance(a, Tensor) and isinstance(b, Tensor) and _are_chained(a.array, b.array):
        return _mm(a, b)
    a, b = _same_dtype(a, b)
    ranks = a.array.ndim, b.array.ndim
    if ranks == (2, 2):
        return _mm(a, b)
    if ranks == (1, 1):
        return _dot(a, b)
    if ranks == (2, 1):
        return _mv(a, b)
    if ranks == (1, 2):
        return squeeze_row(_mm(unsqueeze(a, 0), b))
    if b.array.ndim <= 2 and a.array.ndim > 2:
        rows = reshape(a, (math.prod(a.array.shape[:-1]), a.array.shape[-1]))
        y = _mm(rows, b) if b.array.ndim == 2 else _mv(rows, b)
        return unsafe_view(y, (*a.array.shape[:-1], *b.array.shape[1:]))
    if a.array.ndim == 1:
        y = _bmm(reshape(a, (1, -1)), b)
        return unsafe_view(y, (*b.array.shape[:-2], b.array.shape[-1]))
    y = _bmm(a, b)
    return unsafe_view(y, y.array.shape)


def _are_chained(x: Array, w: Array) -> bool:
    """Whether these are matrices of one dtype that can be multiplied."""
    return x.ndim == 2 == w.ndim and x.dtype is w.dtype and x.shape[1] == w.shape[0]


def mm(a: Tensor, b: Tensor) -> Tensor:
    """y = a @ b for matrices (M, K) and (K, N)."""
    _require_rank("mm", 2, a, b)
    return matmul(a, b)


def bmm(a: Tensor, b: Tensor) -> Tensor:
    """y[i] = a[i] @ b[i] for stacks (B, M, K) and (B, K, N)."""
    _require_rank("bmm", 3, a, b)
    return _bmm(*_same_dtype(a, b))


def mv(a: Tensor, b: Tensor) -> Tensor:
    """y = a @ b for a matrix (M, K) and a vector (K,)."""
    if a.ndim == 0:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    if (a.ndim, b.ndim) != (2, 1):
        raise RuntimeError(f"mv expects a matrix and a vector, got {a.ndim}D and {b.ndim}D tensors")
    return matmul(a, b)


def dot(a: Tensor, b: Tensor) -> Tensor:
    """y = Σ aᵢ·bᵢ for vectors."""
    _require_rank("dot", 1, a, b)
    return matmul(a, b)


def _same_dtype(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    if not isinstance(a, Tensor) or not isinstance(b, Tensor):
        a, b = operands(a, b)
    if a.array.dtype != b.array.dtype:
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {a.dtype} != {b.dtype}"
        )
    if a.array.ndim == 0 or b.array.ndim == 0:
        raise RuntimeError(
            "both arguments to matmul need to be at least 1D, but they are "
            f"{a.array.ndim}D and {b.array.ndim}D"
        )
    if a.array.shape[-1] != b.array.shape[-2 if b.array.ndim > 1 else 0]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({list(a.shape)} and {list(b.shape)})"
        )
    return a, b


def _require_rank(name: str, rank: int, *tensors: Tensor) -> None:
    for tensor in tensors:
        if tensor.ndim != rank:
            raise RuntimeError(f"{name} expects {rank}D tensors, got a {tensor.ndim}D tensor")


def _mm(a: Tensor, b: Tensor) -> Tensor:
    y = wrap(_matrix_product(a.array, b.array))
    if node := MmBackward0.record_two(y, a, b):
        to_a, to_b = node.edges
        node.save(b if to_a is not NO_EDGE else None, a if to_b is not NO_EDGE else None)
    return y


class MmBackward0(Node):
    """da = dy @ bᵀ (M, K),  db = aᵀ @ dy (K, N)."""

    __slots__ = ()
    saves = Saves(mat2=1, self=0)
    gives_new_arrays = True

    def backward(self, dy: Array) -> Gradients:
        b, a = self.saved
        return (
            None if b is None else _matrix_product(dy, b.T),
            None if a is None else _matrix_product(a.T, dy),
        )


def _matrix_product(a: Array, b: Array) -> Array:
    return large_product(a, b) if is_large(a, b) else a.dot(b)


def _mv(a: Tensor, b: Tensor) -> Tensor:
    y = wrap(a.array.dot(b.array))
    if node := MvBackward0.record(y, a, b):
        node.save(b if node.needs(0) else None, a if node.needs(1) else None)
    return y


class MvBackward0(Node):
    """da = dy ⊗ b (M, K),  db = aᵀ @ dy (K,)."""

    __slots__ = ()
    saves = Saves(vec=1, self=0)

    def backward(self, dy: Array) -> Gradients:
        b, a = self.saved
        return (
            None if b is None else np.multiply.outer(dy, b),
            None if a is None else a.T.dot(dy),
        )


def _dot(a: Tensor, b: Tensor) -> Tensor:
    y = wrap(a.array.dot(b.array))
    if node := DotBackward0.record(y, a, b):
        node.save(b if node.needs(0) else None, a if node.needs(1) else None)
    return y


class DotBackward0(Node):
    """da = dy · b,  db = dy · a."""

    __slots__ = ()
    saves = Saves(tensor=1, self=0)

    def backward(self, dy: Array) -> Gradients:
        b, a = self.saved
        return (None if b is None else dy * b, None if a is None else dy * a)


def _bmm(a: Tensor, b: Tensor) -> Tensor:
    y = combine(np.matmul, a, b)
    if node := BmmBackward0.record(y, a, b):
        node.a_shape, node.b_shape = a.array.shape, b.array.shape
        node.save(b if node.needs(0) else None, a if node.needs(1) else None)
    return y


class BmmBackward0(Node):
    """da = dy @ bᵀ (…, M, K),  db = aᵀ @ dy (…, K, N), summed over broadcast stack axes."""

    __slots__ = ("a_shape", "b_shape")
    saves = Saves(mat2=1, self=0)

    a_shape: tuple[int, ...]
    b_shape: tuple[int, ...]

    def backward(self, dy: Array) -> Gradients:
        b, a = self.saved
        return (
            None if b is None else unbroadcast(np.matmul(dy, b.swapaxes(-1, -2)), self.a_shape),
            None if a is None else unbroadcast(np.matmul(a.swapaxes(-1, -2), dy), self.b_shape),
        )
