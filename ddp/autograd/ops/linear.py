"""Fully connected layers: one node for the product and the bias.

PyTorch's graph of a layer has the transposed weight as a node of its own. Ours has it only once
somebody looks at `next_functions`; until then a layer is one node, and the gradient of its weight
is computed where it is to lie.
"""

from __future__ import annotations

import numpy as np

from ddp.autograd.grad_mode import mode
from ddp.autograd.node import FREED, NO_EDGE, Array, Edge, Gradients, Node, Saves
from ddp.autograd.ops.blas import product_of_large
from ddp.autograd.ops.gemm import LARGE as LARGE_PRODUCT
from ddp.autograd.ops.gemm import is_large, large_product
from ddp.autograd.ops.layout import column_sums
from ddp.autograd.ops.shape import TBackward0, t
from ddp.autograd.tensor import Tensor, wrap

FEW_ROWS = 128  # up to here OpenBLAS wants the large operand first: a third faster at 32 rows
LARGE = 1 << 16  # elements of a large operand
SMALL = 1 << 12  # elements of a result up to which `dot` costs less than `matmul`


def linear(input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`input @ weightᵀ + bias` for input: (N, K), weight: (M, K), bias: (M,), of one dtype."""
    if mode.watch is not None:  # packed values are what PyTorch's nodes save
        return addmm(bias, input, t(weight))
    output = wrap(_product(input.array, weight.array, bias.array))
    if node := AddmmBackward0.record(output, bias, input, weight):
        node.is_transposed = True
        node.save(
            input if node.edges[2] is not NO_EDGE else None,
            weight if node.edges[1] is not NO_EDGE else None,
        )
    return output


def addmm(bias: Tensor, input: Tensor, mat2: Tensor) -> Tensor:
    """`bias + input @ mat2` for bias: (M,), input: (N, K), mat2: (K, M)."""
    output = wrap(_product(input.array, mat2.array.T, bias.array))
    if node := AddmmBackward0.record(output, bias, input, mat2):
        node.is_transposed = False
        node.save(input if node.needs(2) else None, mat2 if node.needs(1) else None)
    return output


def _product(x: Array, w: Array, b: Array) -> Array:
    """x @ wᵀ + b, dense. Which operand comes first is a matter of the shapes only."""
    if w.size >= LARGE and len(x) <= FEW_ROWS:
        y = np.empty((len(w), len(x)), np.result_type(w, x))
        product_of_large(w, x.T, y)
        return np.add(y.T, b, order="C")
    if w.size * len(x) >= LARGE_PRODUCT and is_large(x, w.T):
        return large_product(x, w.T, b)
    y = x.dot(w.T)
    y += b
    return y


def _product_back(dy: Array, w: Array) -> Array:
    """dy @ w, dense, by the same rule."""
    if w.size >= LARGE and len(dy) <= FEW_ROWS:
        return np.ascontiguousarray(np.matmul(w.T, dy.T).T)
    return _times(dy, w)


class AddmmBackward0(Node):
    """y = b + x @ wᵀ for b: (M,), x: (N, K), w: (M, K), y: (N, M).

    With dy = dL/dy: db = sum of dy over the rows, dx = dy @ w, dw = dyᵀ @ x. The edges stand in
    PyTorch's order: bias, input, and the transposed weight (K, M) unless `is_transposed`: then the
    edge is that of w itself, and w is what is saved.
    """

    __slots__ = ("is_transposed",)
    saves = Saves(mat1=1, mat2=2)
    gives_new_arrays = True

    is_transposed: bool

    def backward(self, dy: Array) -> Gradients:
        x, w = self.saved
        if not dy.flags.c_contiguous:
            dy = np.ascontiguousarray(dy)
        edges = self.edges
        if not self.is_transposed:
            w = None if w is None else w.T
        db = None if edges[0] is NO_EDGE else column_sums(dy)
        dx = None if w is None else _product_back(dy, w)
        if x is None:
            return db, dx, None
        dw = _weight_gradient(dy, x, self.sink(2) if self.is_transposed else None)
        return db, dx, dw if self.is_transposed else dw.T

    @property
    def next_functions(self) -> tuple[Edge, ...]:
        """As PyTorch's: from here on the transposed weight is a node of its own."""
        if self.is_transposed:
            self._unfold()
        return self.edges

    def _unfold(self) -> None:
        self.is_transposed = False
        bias, input, weight = self.edges
        if weight is not NO_EDGE:
            transposed = TBackward0((weight,))
            transposed._number = self._number - 1
            self.edges = (bias, input, (transposed, 0))
        if self._saved is FREED:
            return
        x, w = self._saved
        self._saved = (x, None if w is None else w.T)
        self._saved_versions = [
            (cell, version, self._saved[1] if array is w else array)
            for cell, version, array in self._saved_versions
        ]


def _weight_gradient(dy: Array, x: Array, out: Array | None) -> Array:
    """dyᵀ @ x, written to `out` if that is given and fits."""
    columns, rows = dy.shape[1], x.shape[1]
    if out is not None and (out.shape != (columns, rows) or out.dtype != dy.dtype):
        out = None
    if columns * rows < LARGE or len(x) > FEW_ROWS:
        return _times(dy.T, x, out)
    dw = np.empty((columns, rows), dy.dtype) if out is None else out
    product_of_large(dy.T, x, dw)
    return dw


def _times(a: Array, b: Array, out: Array | None = None) -> Array:
    """a @ b, written to `out` if that is given."""
    rows, columns = len(a), b.shape[1]
    if rows * columns <= SMALL:
        return a.dot(b, out)
    if is_large(a, b):
        return large_product(a, b, None, out)
    return np.matmul(a, b, out=out)
