"""How the walk calls hooks: arrays become tensors for the hook, its answer is checked.

Order at a node: hooks of its output tensors, the gradients those tensors retain,
`register_prehook`, the node itself (a leaf's post-accumulate hooks), `register_hook`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ddp.autograd.hooks import HookDict, NodeHooks
from ddp.autograd.node import Array, Gradients
from ddp.autograd.tensor import Tensor, wrap


def run_tensor_hooks(hooks: NodeHooks, dys: list[Array | None]) -> list[Array | None]:
    """The gradients of a node's outputs after their tensors' hooks; retained ones are stored."""
    dys = list(dys)
    for output_nr, of_tensor in hooks.tensor.items():
        dys[output_nr] = call_tensor_hooks(of_tensor, dys[output_nr])
    for output_nr, reference in hooks.retained.items():
        tensor, gradient = reference(), dys[output_nr]
        if tensor is not None and gradient is not None:
            tensor._accumulate_grad(gradient)
    return dys


def call_tensor_hooks(hooks: HookDict, dy: Array | None) -> Array | None:
    """`dy` after every hook, in order; a hook that returns None leaves it as it is."""
    if dy is None:
        return None
    value = wrap(dy)
    for hook in tuple(hooks.values()):
        answer = hook(value)
        if answer is not None:
            _check_answer(hook, value, answer)
            value = answer
    return value.array


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


def run_before_hooks(hooks: HookDict, dys: list[Array | None]) -> list[Array | None]:
    """The gradients of a node's outputs after its pre-hooks."""
    for hook in tuple(hooks.values()):
        answer = hook(as_tensors(dys))
        if answer is not None:
            dys = list(as_arrays(answer))
    return dys


def run_after_hooks(hooks: HookDict, gradients: Gradients, dys: list[Array | None]) -> Gradients:
    """The gradients of a node's inputs after its post-hooks."""
    for hook in tuple(hooks.values()):
        answer = hook(as_tensors(gradients), as_tensors(dys))
        if answer is not None:
            gradients = as_arrays(answer)
    return gradients


def run_post_accumulate_hooks(hooks: HookDict, leaf: Tensor) -> None:
    """Tell each hook that `leaf.grad` is complete for this backward."""
    for hook in tuple(hooks.values()):
        if hook(leaf) is not None:
            raise TypeError("post accumulate grad hooks should return None")


def as_tensors(arrays: Gradients | list[Array | None]) -> tuple[Tensor | None, ...]:
    """Arrays as a hook sees them."""
    return tuple([None if array is None else wrap(array) for array in arrays])


def as_arrays(answer: Any) -> Gradients:
    """What a hook answered, a tensor or a tuple of them, as arrays."""
    if isinstance(answer, Tensor):
        return (answer.array,)
    return tuple([None if value is None else np.asarray(value.array) for value in answer])
