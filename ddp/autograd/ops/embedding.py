"""Rows of a table by number."""

from __future__ import annotations

import numpy as np

from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.tensor import Tensor, wrap


def embedding(weight: Tensor, indices: Array, padding_idx: int = -1) -> Tensor:
    """y[...] = weight[indices[...]]: (V, D), any shape of integers in 0 … V-1 → (..., D)."""
    output = wrap(weight.array[indices])
    if node := EmbeddingBackward0.record(output, weight):
        node.shape, node.padding_idx = weight.shape, padding_idx
        node.save(indices.copy())
    return output


class EmbeddingBackward0(Node):
    """dw[v] = sum of dy over the places where the index was v; zero for `padding_idx`."""

    __slots__ = ("padding_idx", "shape")

    shape: tuple[int, ...]
    padding_idx: int

    def backward(self, dy: Array) -> Gradients:
        (indices,) = self.saved
        dw = np.zeros(self.shape, dy.dtype)
        add_rows(dw, indices.reshape(-1), dy.reshape(-1, self.shape[1]))
        if self.padding_idx >= 0:
            dw[self.padding_idx] = 0
        return (dw,)


def add_rows(table: Array, indices: Array, rows: Array) -> None:
    """table[indices[i]] = the sum of the rows i that name it, in their order.

    Sorted, the rows of one index lie together and `reduceat` adds them: `np.add.at` takes longer.
    """
    if not len(indices):
        return
    order = np.argsort(indices, kind="stable")
    in_order = indices[order]
    starts = np.flatnonzero(np.r_[True, in_order[1:] != in_order[:-1]])
    table[in_order[starts]] = np.add.reduceat(rows[order], starts, axis=0)
