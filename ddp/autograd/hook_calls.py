"""How the walk calls hooks: arrays become tensors for the hook, its answer is checked.

With `create_graph` the walk's gradients are tensors already, and stay so.

Order at a node: hooks of its output tensors, the gradients those tensors retain,
`register_prehook`, the node itself (a leaf's post-accumulate hooks), `register_hook`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ddp.autograd.hooks import HookDict, NodeHooks
from ddp.autograd.tensor import Tensor, wrap

Gradient = Any  # an array, or a tensor in a walk that is recorded; None where there is none
Gradients = tuple[Gradient, ...]


def run_tensor_hooks(hooks: NodeHooks, dys: list[Gradient]) -> list[Gradient]:
    """The gradients of a node's outputs after their tensors' hooks; retained ones are stored."""
    dys = list(dys)
    for output_nr, of_tensor in hooks.tensor.items():
        dys[output_nr] = call_tensor_hooks(of_tensor, dys[output_nr])
    for output_nr, reference in hooks.retained.items():
        tensor, gradient = reference(), dys[output_nr]
        if tensor is not None and gradient is not None:
            if tensor._grad is not None:  # unlike a leaf's it is a new tensor after each backward
                tensor._grad = tensor._grad.clone()
            accumulate(tensor, gradient)
    return dys


def accumulate(tensor: Tensor, gradient: Gradient) -> None:
    """Add to `tensor.grad`: an array in place, a tensor so that the sum has a history too."""
    if not isinstance(gradient, Tensor):
        tensor._accumulate_grad(gradient)
    elif tensor._grad is None:
        tensor._grad = gradient.clone()
    else:
        tensor._grad = tensor._grad + gradient


def call_tensor_hooks(hooks: HookDict, dy: Gradient) -> Gradient:
    """`dy` after every hook, in order; a hook that returns None leaves it as it is."""
    if dy is None:
        return None
    value = dy if isinstance(dy, Tensor) else wrap(dy)
    for hook in tuple(hooks.values()):
        answer = hook(value)
        if answer is not None:
            _check_answer(hook, value, answer)
            value = answer
    return value if isinstance(dy, Tensor) else value.array


def _check_answer(hook: Any, value: Tensor, answer: Any) -> None:
    if not isinstance(answer, Tensor):
        raise TypeError(f"expected Variable, but hook returned '{type(answer).__name__}'")
    name = getattr(hook, "__name__", "<unknown>")
    if answer.shape != value.shape:
        raise RuntimeError(f"hook '{name}' has changed the size of value")
    if answer.dtype != value.dtype:
        raise RuntimeError(
            f"hook '{name}' has changed the type of value (was {value.dtype} got {answer.dtype})"
        )


def run_before_hooks(hooks: HookDict, dys: list[Gradient]) -> list[Gradient]:
    """The gradients of a node's outputs after its pre-hooks."""
    for hook in tuple(hooks.values()):
        answer = hook(as_tensors(dys))
        if answer is not None:
            dys = list(_checked(hook, answer, dys, dys))
    return dys


def run_after_hooks(hooks: HookDict, gradients: Gradients, dys: list[Gradient]) -> Gradients:
    """The gradients of a node's inputs after its post-hooks."""
    for hook in tuple(hooks.values()):
        answer = hook(as_tensors(gradients), as_tensors(dys))
        if answer is not None:
            gradients = _checked(hook, answer, gradients, dys)
    return gradients


def run_post_accumulate_hooks(hooks: HookDict, leaf: Tensor) -> None:
    """Tell each hook that `leaf.grad` is complete for this backward."""
    for hook in tuple(hooks.values()):
        if hook(leaf) is not None:
            raise TypeError("post accumulate grad hooks should return None")


def as_tensors(gradients: Iterable[Gradient]) -> tuple[Tensor | None, ...]:
    """Gradients as a hook sees them."""
    return tuple([wrap(g) if isinstance(g, (np.ndarray, np.generic)) else g for g in gradients])


def _checked(
    hook: Any, answer: Any, replaced: Sequence[Gradient], dys: Sequence[Gradient]
) -> Gradients:
    """What a hook answered in place of `replaced`, as tensors in a walk of tensors, else arrays."""
    values = (answer,) if isinstance(answer, Tensor) else tuple(answer)
    if len(values) != len(replaced):
        name = getattr(hook, "__name__", "<unknown>")
        raise RuntimeError(
            f"hook '{name}' has returned an incorrect number of values (got {len(values)}, but "
            f"expected {len(replaced)})"
        )
    if any(isinstance(dy, Tensor) for dy in dys):
        return values
    return tuple([None if value is None else np.asarray(value.array) for value in values])
