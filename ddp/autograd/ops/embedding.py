"""Rows of a table by number."""

from __future__ import annotations

import numpy as np

from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.tensor import Tensor, wrap

FEW_ROWS = 8  # of one index; if they are more, a call of their own adds them
FEW_INDICES = 256  # different ones; if they are no more, each has a call of its own


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
    gives_new_arrays = True

    shape: tuple[int, ...]
    padding_idx: int

    def backward(self, dy: Array) -> Gradients:
        (indices,) = self.saved
        dw = self.sink(0)
        if dw is None or dw.dtype != dy.dtype:
            dw = np.empty(self.shape, dy.dtype)
        dw.fill(0)
        add_rows(dw, indices.reshape(-1), np.ascontiguousarray(dy).reshape(-1, self.shape[1]))
        if self.padding_idx >= 0:
            dw[self.padding_idx] = 0
        return (dw,)


def add_rows(table: Array, indices: Array, rows: Array) -> None:
    """table[indices[i]] = the sum of the rows i that name it, added in their order.

    Sorted, the rows of one index lie together. Where they are many, one sum adds them; the others
    are added for all indices at once, first all their first rows, then all second ones: whatever
    the text, that is a few passes over dense memory.
    """
    if not len(indices):
        return
    order = np.argsort(indices, kind="stable")
    values, starts, counts = groups(indices[order])
    rows = rows[order]
    table[values] = rows[starts]
    few = counts <= (1 if len(values) <= FEW_INDICES else FEW_ROWS)
    for nth in range(1, int(counts[few].max(initial=1))):
        some = few & (counts > nth)
        table[values[some]] += rows[starts[some] + nth]
    many = [part[~few].tolist() for part in (values, starts, counts)]
    for value, start, count in zip(*many, strict=True):
        np.add.reduce(rows[start : start + count], axis=0, out=table[value])


def groups(in_order: Array) -> tuple[Array, Array, Array]:
    """The different values of a sorted array, where each begins, and how often it is there."""
    is_new = np.empty(len(in_order), np.bool_)
    is_new[0] = True
    np.not_equal(in_order[1:], in_order[:-1], out=is_new[1:])
    starts = np.flatnonzero(is_new)
    return in_order[starts], starts, np.diff(starts, append=len(in_order))
