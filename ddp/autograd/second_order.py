"""Gradients whose computation is recorded: what `create_graph=True` asks of each node.

A node's formula is run on `Traced` arrays (`traced.py`), or, where its NumPy lines could not be
recorded, replaced by the formula on tensors that stands here or in `fused.py`, or by the way back
through the operation composed once more (`compositions.py`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ddp.autograd import fused, fused_windows
from ddp.autograd.compositions import COMPOSITIONS, Outputs
from ddp.autograd.dtypes import is_floating
from ddp.autograd.function import FunctionCtx
from ddp.autograd.node import Array, Edge, Node, edge
from ddp.autograd.ops import (
    arrange,
    index,
    inplace,
    linalg,
    moments,
    reduce,
    select,
    shape,
    statistics,
)
from ddp.autograd.saved import saved_tensors
from ddp.autograd.tensor import Tensor, wrap
from ddp.autograd.traced import Traced, tensor_of
from ddp.autograd.views import AsStridedBackward0, Window, WriteWindow

Tensors = tuple[Tensor | None, ...]


def recorded_gradients(node: Node, dys: Sequence[Tensor | None]) -> Tensors:
    """The gradients of `node`'s inputs, as tensors with a history, from those of its outputs.

    Raises NotImplementedError, naming the operation, where that is not supported.
    """
    for node_class in type(node).__mro__:
        if node_class in FORMULAS:
            return FORMULAS[node_class](node, *dys)
    twin = copy.copy(node)
    twin._saved = tuple([None if t is None else _boxed(t) for t in saved_tensors(node)])
    try:
        gradients: Any = twin.backward(*[None if dy is None else Traced(dy) for dy in dys])
    except NotImplementedError as error:
        raise NotImplementedError(
            f"create_graph=True is not supported through {node.name()}: {error}"
        ) from None
    return tuple([None if gradient is None else tensor_of(gradient) for gradient in gradients])


def _boxed(tensor: Tensor) -> Any:
    """As the formula finds it in `self.saved`: masks and indices stay plain arrays."""
    return Traced(tensor) if is_floating(tensor.dtype) else tensor.array


def _of_index(node: index.SelectBackward0, dy: Tensor) -> Tensors:
    return (index.scatter(dy, node.index, node.shape),)


def _of_extreme_along(node: reduce.MaxBackward0, dy: Tensor) -> Tensors:
    (where,) = node.saved
    grid: list[Array] = list(np.indices(where.shape, sparse=True))
    grid[node.axes[0]] = where
    return (index.scatter(shape.reshape(dy, where.shape), tuple(grid), node.shape),)


def _of_product(node: moments.ProdBackward0, dy: Tensor) -> Tensors:
    """The product of the others, once for each element: right with zeros, but n² in memory."""
    (x,) = saved_tensors(node)
    assert x is not None
    reduced, kept = node.axes, [i for i in range(x.ndim) if i not in node.axes]
    rows = shape.reshape(shape.permute(x, (*kept, *reduced)), (-1, 1, node.count()))
    itself = wrap(np.eye(node.count(), dtype=np.bool_))
    others = moments.prod(select.where(itself, wrap(np.ones((), x.dtype)), rows), 2)
    lengths = [node.shape[i] for i in (*kept, *reduced)]
    back = np.argsort((*kept, *reduced)).tolist()
    others = shape.permute(shape.reshape(others, lengths), back)
    return (others * shape.reshape(dy, node.kept(np.empty(dy.shape)).shape),)


def _of_determinant(node: linalg.LinalgDetBackward0, dy: Tensor) -> Tensors:
    x = fused.of_input(node, node.saved[0], 0)
    return (_over_matrices(dy * linalg.det(x)) * linalg.inv(x).mT,)


def _of_logarithm(
    node: linalg.LinalgSlogdetBackward0, dsign: Tensor | None, dy: Tensor | None
) -> Tensors:
    x = fused.of_input(node, node.saved[0], 0)
    return (None if dy is None else _over_matrices(dy) * linalg.inv(x).mT,)


def _over_matrices(dy: Tensor) -> Tensor:
    """(...) → (..., 1, 1)."""
    return shape.reshape(dy, (*dy.shape, 1, 1))


def _of_extreme_so_far(node: statistics.CummaxBackward0, dy: Tensor) -> Tensors:
    if dy.ndim == 0:
        return (dy,)
    grid: list[Array] = list(np.indices(dy.shape, sparse=True))
    grid[node.axis] = node.saved[0]
    return (index.scatter(dy, tuple(grid), dy.shape),)


def _of_write(node: inplace.CopySlices, dy: Tensor) -> Tensors:
    dx = dvalue = None
    if node.needs(0):
        dx = dy.clone()
        dx[node.index] = 0
    if node.needs(1):
        dvalue = reduce.sum_to(index.getitem(dy, node.index), node.value_shape)
    return dx, dvalue


def _positions(window: Window, itemsize: int) -> tuple[Array, ...]:
    """Which elements of the base the view's are, as an index."""
    count = int(np.prod(window.base_shape))
    numbers = np.arange(count, dtype=f"i{itemsize}").reshape(window.base_shape)
    return np.unravel_index(window.apply(numbers)[1], window.base_shape)


def _of_window_read(node: AsStridedBackward0, dy: Tensor) -> Tensors:
    positions = _positions(node.window, dy.itemsize)
    return (index.scatter(dy, positions, node.window.base_shape),)


def _of_window_write(node: WriteWindow, dy: Tensor) -> Tensors:
    positions = _positions(node.window, dy.itemsize)
    keep = np.ones(node.window.base_shape, dy.dtype)
    keep[positions] = 0
    return (dy * wrap(keep) if node.needs(0) else None), index.getitem(dy, positions)


def _back_through(compose: Callable[..., Outputs]) -> Callable[..., Tensors]:
    """The formula of a node whose outputs `compose` makes once more of smaller operations."""

    def formula(node: Node, *dys: Tensor | None) -> Tensors:
        start = Node(())._number
        outputs = compose(node, dys[0])
        outputs = (outputs,) if isinstance(outputs, Tensor) else outputs
        arrived: dict[Edge, Tensor] = {}  # where the composition's inputs come from
        waiting: dict[Node, dict[int, Tensor]] = {}  # its own nodes

        def send(dx: Tensor | None, target: Edge) -> None:
            if dx is None or target[0] is None:
                return
            own = target[0]._number > start
            sums: Any = waiting.setdefault(target[0], {}) if own else arrived
            key = target[1] if own else target
            sums[key] = sums[key] + dx if key in sums else dx

        for y, dy in zip(outputs, dys, strict=True):
            send(dy, edge(y))
        while waiting:
            latest = max(waiting, key=lambda n: n._number)
            found = waiting.pop(latest)
            dzs = [found.get(i) for i in range(latest._num_outputs)]
            for target, dx in zip(
                latest.next_functions, recorded_gradients(latest, dzs), strict=True
            ):
                send(dx, target)
        return tuple([arrived.pop(target, None) for target in node.next_functions])

    return formula


FORMULAS: dict[type[Any], Callable[..., Tensors]] = {
    **fused.FORMULAS,
    **fused_windows.FORMULAS,
    **{kind: _back_through(compose) for kind, compose in COMPOSITIONS.items()},
    FunctionCtx: FunctionCtx._backward_of_tensors,
    index.SelectBackward0: _of_index,
    reduce.MaxBackward0: _of_extreme_along,
    moments.ProdBackward0: _of_product,
    statistics.CummaxBackward0: _of_extreme_so_far,
    linalg.LinalgDetBackward0: _of_determinant,
    linalg.LinalgSlogdetBackward0: _of_logarithm,
    arrange.UnfoldBackward0: fused_windows.of_linear_map(
        lambda node, x, _: arrange.unfold(x, *node.window)
    ),
    inplace.CopySlices: _of_write,
    AsStridedBackward0: _of_window_read,
    WriteWindow: _of_window_write,
}
