"""What a node saved, as tensors that know their place in the graph.

A node keeps arrays. Its `saves` says which input or output each of them is, and its edges say where
gradients of the inputs go: together they make the tensor that was saved, at no cost while nobody
asks. So `node._saved_self` answers as in PyTorch, and a gradient can have a gradient.
"""

from __future__ import annotations

from typing import Any

from ddp.autograd.dtypes import is_floating
from ddp.autograd.node import CONSTANT, NO_EDGE, RESULT, AccumulateGrad, Array, Edge, Node
from ddp.autograd.tensor import Tensor, wrap


def saved_tensors(node: Node) -> tuple[Tensor | None, ...]:
    """What `node` saved, in order.

    Raises NotImplementedError, naming the operation, if it saved a floating array without saying
    what it is: it may depend on the inputs, and a gradient through it would be silently wrong.
    """
    node._check_saved()
    if node.saves is None:
        return tuple([_constant(node, array) for array in node.saved])
    pairs = zip(node.saved, node.saves.values(), strict=True)
    return tuple([placed(node, array, _edge_of(node, place)) for array, place in pairs])


def _constant(node: Node, array: Array | None) -> Tensor | None:
    if array is not None and is_floating(array.dtype):
        raise NotImplementedError(
            f"the gradient of {node.name()} has no gradient itself: create_graph=True is not "
            "supported through this operation"
        )
    return placed(node, array, NO_EDGE)


def _edge_of(node: Node, place: int) -> Edge:
    if place == CONSTANT:
        return NO_EDGE
    return (node, 0) if place == RESULT else node.next_functions[place]


def placed(node: Node, array: Array | None, edge: Edge) -> Tensor | None:
    """The saved `array` as a tensor with its version, whose gradient goes to `edge`."""
    if array is None:
        return None
    target = edge[0]
    if type(target) is AccumulateGrad and target.variable.array is array:
        return target.variable
    tensor = wrap(array)
    tensor._version_cell = next(
        (cell for cell, _, saved in node._saved_versions if saved is array), tensor._version_cell
    )
    if target is not None:
        tensor._edge, tensor._requires_grad = edge, True
    return tensor


def saved_attribute(node: Node, name: str) -> Any:
    """`node._saved_self` and the like: a saved tensor, or a fact such as `_saved_exponent`."""
    if node.saves is None or name not in node.saves:
        return getattr(node, name)
    return saved_tensors(node)[list(node.saves).index(name)]
