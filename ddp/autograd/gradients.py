"""Asking for gradients: `backward` accumulates them in leaves, `grad` returns them.

Checks what was asked, in PyTorch's words, and leaves the work to the walk in `engine.py`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ddp.autograd.engine import Captured, GraphRoot, walk
from ddp.autograd.hook_calls import Gradient
from ddp.autograd.node import Array, Node, accumulator, edge
from ddp.autograd.ops.broadcast import to
from ddp.autograd.tensor import Tensor, wrap


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

    With `create_graph` the gradients have a history of their own and can be differentiated again;
    a leaf and its `.grad` then refer to each other, so set `.grad` to None after use.
    `retain_graph` is what `create_graph` is by default.
    """
    retain_graph = create_graph if retain_graph is None else retain_graph
    if create_graph:
        warnings.warn(_CYCLE, UserWarning, stacklevel=2)
    root, seeds = _graph_root(tensors, grad_tensors, create_graph)
    if inputs is None:
        walk(root, seeds, retain_graph, create_graph=create_graph)
        return
    wanted = _as_sequence(inputs)
    if not wanted:
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    for tensor in wanted:
        tensor.retain_grad()  # a no-op for leaves
    captured = _captures(t for t in wanted if not t.is_leaf)
    leaves = {_input_edge(tensor)[0] for tensor in wanted if tensor.is_leaf}
    walk(root, seeds, retain_graph, captured, leaves, create_graph)


_CYCLE = (
    "Using backward() with create_graph=True will create a reference cycle between the parameter "
    "and its gradient which can cause a memory leak. We recommend using autograd.grad when "
    "creating the graph to avoid this. If you have to use this function, make sure to reset the "
    ".grad fields of your parameters to None after use to break the cycle and avoid the leak."
)


def tensor_backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """`Tensor.backward`: see `backward`."""
    if inputs is None and not create_graph and self._base is None and self._edge is not None:
        root, _ = self._edge
        seed = _plain_seed(self.array, gradient)
        if root is not None and root._num_outputs == 1 and seed is not None:
            walk(root, [seed], bool(retain_graph))
            return
    backward((self,), (gradient,), retain_graph, create_graph, inputs)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of `outputs` with respect to `inputs`; `.grad` of no leaf is touched.

    An input the outputs do not depend on is an error, or None with `allow_unused`, or zeros
    with `materialize_grads`. With `create_graph` the gradients can be differentiated again.
    `only_inputs` means nothing any more, in PyTorch neither.
    """
    if not only_inputs:
        warnings.warn(
            "only_inputs argument is deprecated and is ignored now (defaults to True). To "
            "accumulate gradient for other parts of the graph, please use autograd.backward.",
            FutureWarning,
            stacklevel=2,
        )
    if is_grads_batched:
        raise NotImplementedError("grad: there is no vmap here, so gradients come one at a time")
    retain_graph = create_graph if retain_graph is None else retain_graph
    allow_unused = materialize_grads if allow_unused is None else allow_unused
    root, seeds = _graph_root(outputs, grad_outputs, create_graph)
    wanted = _as_sequence(inputs)
    edges = [_input_edge(tensor) for tensor in wanted]  # keeps the leaves' nodes alive
    captured = _captures(wanted)
    walk(root, seeds, retain_graph, captured, set(), create_graph)
    results: list[Tensor | None] = []
    for index, (tensor, (node, output_nr)) in enumerate(zip(wanted, edges, strict=True)):
        gradient = captured[node][output_nr]
        if gradient is not None:
            results.append(_dense(gradient if isinstance(gradient, Tensor) else wrap(gradient)))
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


def _dense(gradient: Tensor) -> Tensor:
    """With memory of its own where it was one number spread over a shape."""
    if not gradient.array.flags.writeable:
        gradient.array = gradient.array.copy()
    return gradient


def _graph_root(
    tensors: Tensor | Sequence[Tensor],
    gradients: Tensor | Sequence[Tensor | None] | None,
    create_graph: bool,
) -> tuple[GraphRoot, list[Gradient]]:
    """The node above `tensors`, and the gradients it starts with: arrays, or to record tensors."""
    roots = _as_sequence(tensors)
    given = [None] * len(roots) if gradients is None else _as_sequence(gradients)
    if len(given) != len(roots):
        raise RuntimeError(f"got {len(roots)} tensors and {len(given)} gradients")
    pairs = list(zip(roots, given, strict=True))
    seeds = [_seed(i, root, gradient) for i, (root, gradient) in enumerate(pairs)]
    if create_graph:
        seeds = [seed if isinstance(seed, Tensor) else wrap(seed) for seed in seeds]
    else:
        seeds = [seed.array if isinstance(seed, Tensor) else seed for seed in seeds]
    return GraphRoot(tuple([edge(root) for root in roots])), seeds


def _plain_seed(root: Array, gradient: Tensor | None) -> Array | None:
    """The starting gradient where there is nothing to check or convert; None elsewhere."""
    if gradient is None and root.size == 1:
        seed = np.empty(root.shape, root.dtype)
        seed.fill(1)  # half a microsecond less than `np.ones`
        return seed
    if isinstance(gradient, Tensor):
        array = gradient.array
        return array if array.shape == root.shape and array.dtype == root.dtype else None
    return None


def _seed(index: int, root: Tensor, gradient: Tensor | None) -> Any:
    """The starting gradient of `root`, in its dtype: a given tensor, or an array of ones."""
    if not root.requires_grad:
        raise RuntimeError(
            f"element {index} of tensors does not require grad and does not have a grad_fn"
        )
    if gradient is None:
        if root.array.size != 1:
            raise RuntimeError("grad can be implicitly created only for scalar outputs")
        return np.ones(root.array.shape, root.array.dtype)
    if not isinstance(gradient, Tensor):
        raise TypeError(
            f"gradients can be either Tensors or None, but got {type(gradient).__name__}"
        )
    if gradient.shape != root.shape:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[{index}] has a shape of {list(gradient.shape)} and "
            f"output[{index}] has a shape of {list(root.shape)}."
        )
    return to(gradient, root.dtype)


def _input_edge(tensor: Tensor) -> tuple[Node, int]:
    node, output_nr = edge(tensor)
    if node is None:
        if tensor.requires_grad:
            return accumulator(tensor), 0  # a view made under no_grad: nothing leads to it
        raise RuntimeError("One of the differentiated Tensors does not require grad")
    return node, output_nr


def _captures(tensors: Iterable[Tensor]) -> Captured:
    """Places, still empty, for the gradients of `tensors`."""
    captured: Captured = {}
    for node, output_nr in map(_input_edge, tensors):
        captured.setdefault(node, {})[output_nr] = None
    return captured


def _as_sequence(value: Any) -> Sequence[Any]:
    return (value,) if isinstance(value, Tensor) or value is None else tuple(value)
