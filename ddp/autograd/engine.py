"""The backward walk: gradients flow from the roots along the graph's edges to the leaves.

Rules.
- A node runs once, when all gradients that can reach it have arrived (dependency counts). Among
  nodes that are ready the one recorded last runs first; a leaf whose gradient is complete is
  served at once. This is PyTorch's policy: gradients of parameters become final as early as
  possible, in the same order in every process that recorded the same operations.
- Nothing recurses. A node's saved arrays are let go as soon as it has run.
- Inside, gradients are NumPy arrays; tensors are made only where a hook or the user sees one.
- Recording is off during the walk. With `create_graph` it is on, and the same loop carries tensors:
  only what a node does with them differs (`second_order.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heappop, heappush, heappushpop
from typing import Any

import numpy as np

from ddp.autograd.anomaly import guarded, is_anomaly_enabled
from ddp.autograd.grad_mode import mode
from ddp.autograd.hook_calls import (
    Gradient,
    Gradients,
    accumulate,
    call_tensor_hooks,
    run_after_hooks,
    run_before_hooks,
    run_post_accumulate_hooks,
    run_tensor_hooks,
)
from ddp.autograd.node import FREED, AccumulateGrad, Array, Node, underway
from ddp.autograd.ops.blocks import CACHE_LINE
from ddp.autograd.second_order import FORMULAS, recorded_gradients
from ddp.autograd.tensor import Tensor, wrap

Captured = dict[Node, dict[int, Gradient]]  # node → output number → what arrived there
Formula = Callable[[Node, list[Gradient]], Gradients]  # what is done in place of `node.backward`


class GraphRoot(Node):
    """Stands above the tensors that are differentiated and hands each its starting gradient."""

    __slots__ = ()

    def backward(self, *seeds: Array) -> Gradients:
        return seeds


FORMULAS[GraphRoot] = GraphRoot.backward


def walk(
    root: Node,
    seeds: list[Gradient],
    retain_graph: bool,
    captured: Captured | None = None,
    leaves: set[Node] | None = None,
    create_graph: bool = False,
) -> None:
    """Run the graph from `root` on, one seed for each of its outputs.

    The seeds are arrays, or tensors with `create_graph`.

    With `leaves`, only they accumulate, what arrives at the places of `captured` is stored
    there, and only the nodes on the way to either run.
    """
    captured = {} if captured is None else captured
    dependencies = _count_dependencies(root, as_shown=leaves is not None)
    if leaves is not None:
        dependencies = _restrict(dependencies, captured.keys() | leaves)
    formula: Formula | None = _recorded if create_graph else None
    if mode.watch is not None and is_anomaly_enabled():
        formula = guarded(formula or _plain)
    outer, recording = underway.walk, mode.enabled
    mode.enabled = (mode.watch or True) if create_graph else False
    try:
        _run(root, seeds, retain_graph, dependencies, captured, leaves, formula)
    finally:
        mode.enabled = recording
        underway.walk = outer


def current_walk() -> dict[Node, int]:
    """The nodes that the walk under way may run: an object of its own for each walk."""
    if underway.walk is None:
        raise RuntimeError("no backward pass is under way on this thread")
    return underway.walk[0]


def _plain(node: Node, dys: list[Gradient]) -> Gradients:
    if node._saved:
        node._check_saved()
    return node.backward(*dys)


def _recorded(node: Node, dys: list[Gradient]) -> Gradients:
    if node._saved:
        node._check_saved()
    return recorded_gradients(node, dys)


@np.errstate(all="ignore")  # PyTorch computes inf and NaN silently
def _run(
    root: Node,
    seeds: list[Gradient],
    retain_graph: bool,
    dependencies: dict[Node, int],
    captured: Captured,
    leaves: set[Node] | None,
    formula: Formula | None,
) -> None:
    """The loop. `dependencies` counts, for every node that may run, the edges that reach it."""
    ready: list[tuple[int, Node, list[Gradient]]] = []  # a heap: recorded last comes first
    arrived: dict[Node, list[Gradient]] = {}
    restricted = leaves is not None
    plain = formula is None and not captured
    simple = plain and not restricted
    underway.walk = dependencies, arrived if simple else None
    node, dys = root, seeds
    while True:
        if plain and node._hooks is None and dys[0] is not None:
            if node._saved:
                node._check_saved()
            gradients = node.backward(*dys)
            if node._saved and not retain_graph:
                node._saved = FREED  # as `_release`; a call of it costs more
                node._saved_versions = ()
        else:
            gradients = _apply(node, dys, retain_graph, captured, formula, dependencies)
        following: Node | None = None
        for (target, output_nr), gradient in zip(node.edges, gradients, strict=False):
            if target is None:
                continue
            awaited = dependencies.get(target)
            if awaited is None:
                if restricted:
                    continue  # not on the way to what is wanted
                awaited = 1  # shown since the edges were counted, see `AddmmBackward0`
            leaf = target if type(target) is AccumulateGrad else None
            waiting = arrived.get(target) if arrived else None
            if waiting is None:
                if leaf is not None and simple and awaited == 1 and leaf._hooks is None:
                    _give(leaf, gradient, node.gives_new_arrays)  # as nearly every leaf's
                    continue
                waiting = [gradient] if target._num_outputs == 1 else [None] * target._num_outputs
                waiting[output_nr] = gradient
                if awaited > 1:
                    arrived[target] = waiting
            else:
                present = waiting[output_nr]
                if present is None:
                    waiting[output_nr] = gradient
                elif gradient is not None and plain and node.gives_new_arrays and not node._hooks:
                    gradient += present  # nobody else has it: no new memory
                    waiting[output_nr] = gradient
                elif gradient is not None:
                    waiting[output_nr] = present + gradient
                if awaited == 1:
                    del arrived[target]
            if awaited > 1:
                dependencies[target] = awaited - 1
            elif leaf is not None:
                _serve_leaf(leaf, waiting, captured, leaves is None or target in leaves)
            elif following is None:
                following, dys_of_following = target, waiting
            else:
                heappush(ready, (-target._number, target, waiting))
        if not ready:  # as always in a chain
            if following is None:
                return
            node, dys = following, dys_of_following
        elif following is None:
            _, node, dys = heappop(ready)
        else:
            entry = (-following._number, following, dys_of_following)
            _, node, dys = heappushpop(ready, entry)


def _apply(
    node: Node,
    dys: list[Gradient],
    retain_graph: bool,
    captured: Captured,
    formula: Formula | None,
    dependencies: dict[Node, int],
) -> Gradients:
    """Run one node: hooks and captures, its formula, hooks."""
    hooks = node._hooks
    given = dys
    if hooks is not None:
        dys = run_tensor_hooks(hooks, dys)
    if captured and node in captured:
        # As PyTorch has it: where the walk ends, what the hooks made of it; before them elsewhere.
        goes_on = any(target in dependencies for target, _ in node.edges)
        _capture(captured[node], given if goes_on else dys)
        if not goes_on:
            return (None,) * len(node.edges)
    if hooks is not None and hooks.before:
        dys = run_before_hooks(hooks.before, dys)
    gradients = _apply_formula(node, dys, retain_graph, formula)
    if hooks is not None and hooks.after:
        gradients = run_after_hooks(hooks.after, gradients, dys)
    return gradients


def _apply_formula(
    node: Node, dys: list[Gradient], retain_graph: bool, formula: Formula | None = None
) -> Gradients:
    """The gradients of one node's inputs; what it saved is checked before and let go after."""
    if dys[0] is None and not node._takes_undefined and all(dy is None for dy in dys):
        return (None,) * len(node.edges)
    if formula is None:
        if node._saved:
            node._check_saved()
        gradients = node.backward(*dys)
    else:
        gradients = formula(node, dys)
    if not retain_graph:
        node._release()
    return gradients


def _give(node: AccumulateGrad, gradient: Array | None, is_new: bool) -> None:
    """`_serve_leaf` for the only gradient of a leaf, in a walk that serves all.

    It is kept if it `is_new`, that is, nobody else has it, and lies as the leaf does.
    """
    leaf = node.variable
    if gradient is None or not leaf._requires_grad:
        return
    if leaf._backward_hooks:
        gradient = call_tensor_hooks(leaf._backward_hooks, gradient)
        is_new = False
    is_first = leaf._grad is None and leaf.grad_buffer is None
    if is_new and is_first and _can_hold(gradient, leaf.array):
        leaf._grad = wrap(gradient)
    else:
        leaf._accumulate_grad(gradient)
    if leaf._post_accumulate_grad_hooks:
        run_post_accumulate_hooks(leaf._post_accumulate_grad_hooks, leaf)


def _can_hold(gradient: Array, leaf: Array) -> bool:
    """Whether `gradient` has memory of its own that lies as the leaf's."""
    return (
        type(gradient) is np.ndarray
        and (gradient.base is None or _is_all_of(gradient, gradient.base))
        and gradient.dtype is leaf.dtype
        and gradient.strides == leaf.strides
        and gradient.shape == leaf.shape
    )


def _is_all_of(array: Array, memory: Any) -> bool:
    """Whether `memory` is there for `array` alone, which may begin on a cache line in it."""
    return type(memory) is np.ndarray and memory.nbytes - array.nbytes <= CACHE_LINE


def _serve_leaf(
    node: AccumulateGrad, dys: list[Gradient], captured: Captured, accumulates: bool
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
    if node._hooks is not None:
        dys = run_before_hooks(node._hooks.before, dys)
    if isinstance(dys[0], Tensor):
        accumulate(leaf, dys[0])
    else:
        leaf._accumulate_grad(dys[0])
    if leaf._post_accumulate_grad_hooks:
        run_post_accumulate_hooks(leaf._post_accumulate_grad_hooks, leaf)
    if node._hooks is not None:
        run_after_hooks(node._hooks.after, (), dys)


def _count_dependencies(root: Node, as_shown: bool) -> dict[Node, int]:
    """For every node below `root`, how many edges lead to it.

    `as_shown` has every node be there that `next_functions` shows: a hook that looks at the graph
    can then change nothing in it.
    """
    dependencies: dict[Node, int] = {root: 0}
    stack = [root]
    while stack:
        node = stack.pop()
        for target, _ in node.next_functions if as_shown else node.edges:
            if target is None:
                continue
            if target in dependencies:
                dependencies[target] += 1
            else:
                dependencies[target] = 1
                if target.edges:
                    stack.append(target)
    return dependencies


def _restrict(reachable: Iterable[Node], targets: set[Node]) -> dict[Node, int]:
    """`_count_dependencies` over the paths that lead to `targets` only.

    A node is recorded after the nodes its edges lead to, so one pass in the order of recording
    decides for each node whether a target lies below it.
    """
    dependencies: dict[Node, int] = {}
    for node in sorted(reachable, key=Node._sequence_nr):
        on_path = [target for target, _ in node.edges if target in dependencies]
        if on_path or node in targets:
            dependencies[node] = 0
        for target in on_path:
            assert target is not None
            dependencies[target] += 1
    return dependencies


def _capture(places: dict[int, Array | None], dys: list[Gradient]) -> None:
    """Store copies: what flows through the graph may be shared."""
    for output_nr in places:
        dy = dys[output_nr]
        is_shared = dy is not None and not isinstance(dy, Tensor)
        places[output_nr] = np.array(dy) if is_shared else dy
