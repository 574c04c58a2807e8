"""Hooks around a module's part of the walk back.

The inputs and the outputs of `forward` go through an identity operation each; the hooks hang on
its node. So pre-hooks see the gradients of the outputs when they are complete, before the module's
own operations take them, and hooks see the gradients of the inputs when those are complete.

The gradients of the parameters are found in between: a hook's answer does not change them, a
pre-hook's does.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from ddp.autograd.function import Function
from ddp.autograd.grad_mode import is_grad_enabled
from ddp.autograd.node import Node
from ddp.autograd.tensor import Tensor

Gradients = tuple[Tensor | None, ...]
Hook = Callable[..., Any]


class BackwardHookFunction(Function):
    """The identity of several tensors."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        return tensors

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Gradients:
        return gradients


class BackwardHooks:
    """The hooks of one call of a module; the same for its inputs and its outputs."""

    def __init__(self, module: Any, pre_hooks: Sequence[Hook], hooks: Sequence[Hook]) -> None:
        self.module = module
        self.pre_hooks = pre_hooks
        self.hooks = hooks
        self.input_count = 0
        self.input_places: list[int] = []  # which arguments require gradients
        self.grad_output: Gradients | None = None

    def watch_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, their gradients shown to the hooks."""
        self.input_count = len(args)
        args, self.input_places, node = _through_identity(args)
        if node is not None:
            node.register_hook(self._after)
        return args

    def watch_outputs(self, output: Any) -> Any:
        """The output, its gradients shown to the pre-hooks."""
        outputs = output if isinstance(output, tuple) else (output,)
        watched, places, node = _through_identity(outputs)
        if node is None:
            return output
        count = len(outputs)
        node.register_hook(lambda _, grads: self._before(_spread(grads, places, count), places))
        return watched if isinstance(output, tuple) else watched[0]

    def _before(self, grad_output: Gradients, places: list[int]) -> Gradients:
        for hook in self.pre_hooks:
            answer = hook(self.module, grad_output)
            if answer is not None:
                grad_output = _checked(answer, len(grad_output), "pre hook", "grad_output")
        self.grad_output = grad_output
        if not self.input_places and self.hooks:
            self._run_without_inputs(grad_output)
        return tuple([grad_output[place] for place in places])

    def _run_without_inputs(self, grad_output: Gradients) -> None:
        warnings.warn(
            "Full backward hook is firing when gradients are computed with respect to module "
            "outputs since no inputs require gradients.",
            stacklevel=2,
        )
        for hook in self.hooks:
            answer = hook(self.module, (None,) * self.input_count, grad_output)
            if answer is not None and any(gradient is not None for gradient in answer):
                raise RuntimeError(
                    "Backward hook for Modules where no input requires gradient should always "
                    "return None or None for all gradients."
                )

    def _after(self, gradients: Gradients, _: Gradients) -> Gradients | None:
        if self.grad_output is None:  # this walk did not come through the module's output
            return None
        grad_input = _spread(gradients, self.input_places, self.input_count)
        for hook in self.hooks:
            answer = hook(self.module, grad_input, self.grad_output)
            if answer is not None:
                grad_input = _checked(answer, len(grad_input), "hook", "grad_input")
        self.grad_output = None
        return tuple([grad_input[place] for place in self.input_places])


def _through_identity(values: tuple[Any, ...]) -> tuple[tuple[Any, ...], list[int], Node | None]:
    """The values, those that require gradients passed on by one node; their places; the node."""
    places = [i for i, v in enumerate(values) if isinstance(v, Tensor) and v.requires_grad]
    if not places or not is_grad_enabled():
        return values, [], None
    passed = BackwardHookFunction.apply(*[values[place] for place in places])
    changed = list(values)
    for place, tensor in zip(places, passed, strict=True):
        changed[place] = tensor
    return tuple(changed), places, passed[0].grad_fn


def _spread(gradients: Sequence[Tensor | None], places: list[int], count: int) -> Gradients:
    """The gradients in their places among `count`, None in the others."""
    spread: list[Tensor | None] = [None] * count
    for place, gradient in zip(places, gradients, strict=True):
        spread[place] = gradient
    return tuple(spread)


def _checked(answer: Any, expected: int, kind: str, what: str) -> Gradients:
    """A hook's answer as a tuple of the right length."""
    given = tuple(answer) if isinstance(answer, (tuple, list)) else (answer,)
    if len(given) != expected:
        raise RuntimeError(
            f"Backward {kind} returned an invalid number of {what}, got {len(given)}, but expected "
            f"{expected}"
        )
    return given
