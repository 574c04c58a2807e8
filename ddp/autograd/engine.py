"""The backward walk: gradients flow from the roots along the graph's edges to the leaves.

Rules.
- A node runs once, when all gradients that can reach it have arrived (dependency counts). Among
  nodes that are ready the one recorded last runs first; a leaf whose gradient is complete is
  served at once. This is PyTorch's policy: gradients of parameters become final as early as
  possible, in the same order in every process that recorded the same operations.
- Nothing recurses. A node's saved arrays are let go as soon as it has run.
- Inside, gradients are NumPy arrays; tensors are made only where a hook or the user sees one.
- Recording is off during the walk.

Left out: gradients of gradients (`create_graph=True`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from typing import Any

import numpy as np

from ddp.autograd.grad_mode import no_grad
from ddp.autograd.hook_calls import (
    call_tensor_hooks,
    run_after_hooks,
    run_before_hooks,
    run_post_accumulate_hooks,
    run_tensor_hooks,
)
from ddp.autograd.node import AccumulateGrad, Array, Gradients, Node, edge
from ddp.autograd.tensor import Tensor, wrap

Captured = dict[Node, dict[int, Array | None]]  # node → output number → what arrived there


class GraphRoot(Node):
    """Stands above the tensors that are differentiated and hands each its starting gradient."""

    __slots__ = ()

    def backward(self, *seeds: Array) -> Gradients:
        return seeds


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Add the gradients of `tensors` to `.grad` of the leaves, or of `inputs` only.

    `grad_tensors` are the starting gradients, of the tensors' shapes; a one-element tensor
    starts from 1 by default. Raises RuntimeError, in PyTorch's words, for a root without a
    graph, a starting gradient that is missing or of another shape, and a graph already freed.
    """
    root, seeds = _graph_root(tensors, grad_tensors, create_graph)
    if inputs is None:
        _walk(root, seeds, bool(retain_graph))
        return
    wanted = _as_sequence(inputs)
    if not wanted:
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    captured = _captures(t for t in wanted if not t.is_leaf)
    leaves = {_input_edge(tensor)[0] for tensor in wanted if tensor.is_leaf}
    _walk(root, seeds, bool(retain_graph), captured, leaves)
    for tensor in wanted:
        node, output_nr = _input_edge(tensor)
        gradient = None if tensor.is_leaf else captured[node][output_nr]
        if gradient is not None and not tensor.retains_grad:
            tensor._accumulate_grad(gradient)


def tensor_backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """`Tensor.backward`: see `backward`."""
    backward((self,), (gradient,), retain_graph, create_graph, inputs)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of `outputs` with respect to `inputs`; `.grad` of no leaf is touched.

    An input the outputs do not depend on is an error, or None with `allow_unused`, or zeros
    with `materialize_grads`.
    """
    root, seeds = _graph_root(outputs, grad_outputs, create_graph)
    wanted = _as_sequence(inputs)
    edges = [_input_edge(tensor) for tensor in wanted]  # keeps the leaves' nodes alive
    captured = _captures(wanted)
    _walk(root, seeds, bool(retain_graph), captured, set())
    results: list[Tensor | None] = []
    for index, (tensor, (node, output_nr)) in enumerate(zip(wanted, edges, strict=True)):
        gradient = captured[node][output_nr]
        if gradient is not None:
            results.append(wrap(gradient))
        elif materialize_grads:
            results.append(wrap(np.zeros_like(tensor.array)))
        elif allow_unused:
            results.append(None)
        else:
            raise RuntimeError(
                f"The differentiated Tensor at index {index} appears to not have been used in the "
                "graph. Set allow_unused=True if this is the desired behavior."
            )
    return tuple(results)


# The walk


def _walk(
    root: GraphRoot,
    seeds: list[Array | None],
    retain_graph: bool,
    captured: Captured | None = None,
    leaves: set[Node] | None = None,
) -> None:
    """Run the graph below `root`.

    With `leaves`, only they accumulate, what arrives at the places of `captured` is stored
    there, and only the nodes on the way to either run.
    """
    captured = {} if captured is None else captured
    dependencies = _count_dependencies(root)
    if leaves is not None:
        dependencies = _restrict(dependencies, captured.keys() | leaves)
    with no_grad(), np.errstate(all="ignore"):  # PyTorch computes inf and NaN silently
        _run(root, seeds, retain_graph, dependencies, captured, leaves)


def _run(
    root: GraphRoot,
    seeds: list[Array | None],
    retain_graph: bool,
    dependencies: dict[Node, int],
    captured: Captured,
    leaves: set[Node] | None,
) -> None:
    """The loop. `dependencies` counts, for every node that may run, the edges that reach it."""
    ready: list[tuple[int, Node, list[Array | None]]] = [(0, root, seeds)]
    arrived: dict[Node, list[Array | None]] = {}
    while ready:
        _, node, dys = heappop(ready)
        gradients = _apply(node, dys, retain_graph, captured)
        for (target, output_nr), gradient in zip(node.next_functions, gradients, strict=False):
            if target is None:
                continue
            awaited = dependencies.get(target)
            if awaited is None:  # not on the way to what is wanted
                continue
            waiting = arrived.pop(target, None)
            if waiting is None:
                waiting = [None] * target.num_outputs
            present = waiting[output_nr]
            if present is None:
                waiting[output_nr] = gradient
            elif gradient is not None:
                waiting[output_nr] = present + gradient
            if awaited > 1:
                dependencies[target] = awaited - 1
                arrived[target] = waiting
            elif type(target) is AccumulateGrad:
                _serve_leaf(target, waiting, captured, leaves is None or target in leaves)
            else:
                heappush(ready, (-target.sequence_nr, target, waiting))


def _apply(
    node: Node, dys: list[Array | None], retain_graph: bool, captured: Captured
) -> Gradients:
    """Run one node: hooks and captures, its formula, hooks."""
    hooks = node.hooks
    if hooks is not None:
        dys = run_tensor_hooks(hooks, dys)
    if captured and node in captured:
        _capture(captured[node], dys)
    if hooks is not None and hooks.before:
        dys = run_before_hooks(hooks.before, dys)
    if dys[0] is None and not node.takes_undefined and all(dy is None for dy in dys):
        return (None,) * len(node.next_functions)
    if node.saved:
        node.check_saved()
    gradients = node.backward(*dys)
    if not retain_graph:
        node.release()
    if hooks is not None and hooks.after:
        gradients = run_after_hooks(hooks.after, gradients, dys)
    return gradients


def _serve_leaf(
    node: AccumulateGrad, dys: list[Array | None], captured: Captured, accumulates: bool
) -> None:
    """Give a leaf its gradient. A leaf frozen since the forward pass takes none."""
    leaf = node.variable
    if dys[0] is None or not leaf._requires_grad:
        return
    if leaf._backward_hooks:
        dys = [call_tensor_hooks(leaf._backward_hooks, dys[0])]
    if captured and node in captured:
        _capture(captured[node], dys)
    if not accumulates:
        return
    if node.hooks is not None:
        dys = run_before_hooks(node.hooks.before, dys)
    node.backward(dys[0])
    if leaf._post_accumulate_grad_hooks:
        run_post_accumulate_hooks(leaf._post_accumulate_grad_hooks, leaf)
    if node.hooks is not None:
        run_after_hooks(node.hooks.after, (), dys)


def _count_dependencies(root: Node) -> dict[Node, int]:
    """For every node below `root`, how many edges lead to it."""
    dependencies: dict[Node, int] = {root: 0}
    stack = [root]
    while stack:
        for target, _ in stack.pop().next_functions:
            if target is None:
                continue
            if target in dependencies:
                dependencies[target] += 1
            else:
                dependencies[target] = 1
                stack.append(target)
    return dependencies


def _restrict(reachable: Iterable[Node], targets: set[Node]) -> dict[Node, int]:
    """`_count_dependencies` over the paths that lead to `targets` only.

    A node is recorded after the nodes its edges lead to, so one pass in the order of recording
    decides for each node whether a target lies below it.
    """
    dependencies: dict[Node, int] = {}
    for node in sorted(reachable, key=Node._sequence_nr):
        on_path = [target for target, _ in node.next_functions if target in dependencies]
        if on_path or node in targets:
            dependencies[node] = 0
        for target in on_path:
            assert target is not None
            dependencies[target] += 1
    return dependencies


# Roots, seeds and captures


def _graph_root(
    tensors: Tensor | Sequence[Tensor],
    gradients: Tensor | Sequence[Tensor | None] | None,
    create_graph: bool,
) -> tuple[GraphRoot, list[Array | None]]:
    """The node above `tensors`, and the gradients it starts with."""
    if create_graph:
        raise NotImplementedError(
            "create_graph=True (gradients of gradients) is not supported by ddp.autograd yet"
        )
    roots = _as_sequence(tensors)
    given = [None] * len(roots) if gradients is None else _as_sequence(gradients)
    if len(given) != len(roots):
        raise RuntimeError(f"got {len(roots)} tensors and {len(given)} gradients")
    pairs = list(zip(roots, given, strict=True))
    seeds: list[Array | None] = [
        _seed(i, root, gradient) for i, (root, gradient) in enumerate(pairs)
    ]
    return GraphRoot(tuple([edge(root) for root in roots])), seeds


def _seed(index: int, root: Tensor, gradient: Tensor | None) -> Array:
    """The starting gradient of `root`, in its dtype."""
    if not root.requires_grad:
        raise RuntimeError(
            f"element {index} of tensors does not require grad and does not have a grad_fn"
        )
    if gradient is None:
        if root.array.size != 1:
            raise RuntimeError("grad can be implicitly created only for scalar outputs")
        return np.ones_like(root.array)
    if not isinstance(gradient, Tensor):
        raise TypeError(
            f"gradients can be either Tensors or None, but got {type(gradient).__name__}"
        )
    if gradient.shape != root.shape:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[{index}] has a shape of {list(gradient.shape)} and "
            f"output[{index}] has a shape of {list(root.shape)}."
        )
    return gradient.array.astype(root.dtype, copy=False)


def _input_edge(tensor: Tensor) -> tuple[Node, int]:
    node, output_nr = edge(tensor)
    if node is None:
        raise RuntimeError("One of the differentiated Tensors does not require grad")
    return node, output_nr


def _captures(tensors: Iterable[Tensor]) -> Captured:
    """Places, still empty, for the gradients of `tensors`."""
    captured: Captured = {}
    for node, output_nr in map(_input_edge, tensors):
        captured.setdefault(node, {})[output_nr] = None
    return captured


def _capture(places: dict[int, Array | None], dys: list[Array | None]) -> None:
    """Store copies: what flows through the graph may be shared."""
    for output_nr in places:
        dy = dys[output_nr]
        places[output_nr] = None if dy is None else np.array(dy)


def _as_sequence(value: Any) -> Sequence[Any]:
    return (value,) if isinstance(value, Tensor) or value is None else tuple(value)
