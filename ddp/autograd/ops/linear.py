"""Fully connected layers: one node for the product and the bias."""

from __future__ import annotations

import numpy as np

from ddp.autograd.node import Array, Gradients, Node, Saves
from ddp.autograd.ops.layout import column_sums
from ddp.autograd.tensor import Tensor, wrap


def addmm(bias: Tensor, input: Tensor, mat2: Tensor) -> Tensor:
    """`bias + input @ mat2` for bias: (M,), input: (N, K), mat2: (K, M)."""
    x = np.ascontiguousarray(input.array)
    y = x @ mat2.array
    y += bias.array
    output = wrap(y)
    if node := AddmmBackward0.record(output, bias, input, mat2):
        node.save(input if node.needs(2) else None, mat2 if node.needs(1) else None)
    return output


class AddmmBackward0(Node):
    """y = b + x @ wT for b: (M,), x: (N, K), wT: (K, M), y: (N, M).

    With dy = dL/dy: db = sum of dy over the rows, dx = dy @ wTᵀ, dwT = xᵀ @ dy. The edges stand in
    PyTorch's order (bias, input, transposed weight).
    """

    __slots__ = ()
    saves = Saves(mat1=1, mat2=2)

    def backward(self, dy: Array) -> Gradients:
        x, w_t = self.saved
        dy = np.ascontiguousarray(dy)
        db = column_sums(dy) if self.needs(0) else None
        dx = dy @ w_t.T if self.needs(1) else None
        # As (dyᵀ @ x)ᵀ: transposed back by the weight's own node it is dense in C order.
        dw_t = (dy.T @ x).T if self.needs(2) else None
        return db, dx, dw_t
