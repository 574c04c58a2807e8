"""Hooks around an optimizer's step and around its state dict, with PyTorch's names and signatures.

A step hook gets `(optimizer, args, kwargs)`, where `args` begins with the optimizer itself, as in
PyTorch. Whatever class defines `step`, ours or a user's, has it wrapped when the class is made.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from ddp.autograd.hooks import HookDict, RemovableHandle, register

StateDict = dict[str, Any]


class OptimizerHooks:
    """The lists of hooks, and how one is added."""

    def __init__(self) -> None:
        self._step_pre_hooks: HookDict = OrderedDict()
        self._step_post_hooks: HookDict = OrderedDict()
        self._state_dict_pre_hooks: HookDict = OrderedDict()
        self._state_dict_post_hooks: HookDict = OrderedDict()
        self._load_state_dict_pre_hooks: HookDict = OrderedDict()
        self._load_state_dict_post_hooks: HookDict = OrderedDict()

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        step = cls.__dict__.get("step")
        if step is not None:
            cls.step = _hooked(step)  # type: ignore[attr-defined]  # which class has it is open

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """`hook(optimizer, args, kwargs)` before every step; may return new `(args, kwargs)`."""
        return register(self._step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """`hook(optimizer, args, kwargs)` after every step."""
        return register(self._step_post_hooks, hook)

    def register_state_dict_pre_hook(
        self, hook: Callable[..., None], prepend: bool = False
    ) -> RemovableHandle:
        """`hook(optimizer)` before `state_dict`."""
        return _register(self._state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(
        self, hook: Callable[..., StateDict | None], prepend: bool = False
    ) -> RemovableHandle:
        """`hook(optimizer, state_dict)` on what `state_dict` returns; may return another."""
        return _register(self._state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Callable[..., StateDict | None], prepend: bool = False
    ) -> RemovableHandle:
        """`hook(optimizer, state_dict)` on a shallow copy of what is loaded; may return another."""
        return _register(self._load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Callable[..., None], prepend: bool = False
    ) -> RemovableHandle:
        """`hook(optimizer)` after `load_state_dict`."""
        return _register(self._load_state_dict_post_hooks, hook, prepend)

    def _through_hooks(self, hooks: HookDict, state_dict: StateDict) -> StateDict:
        """`state_dict` after every hook, in order; one that returns None leaves it as it is."""
        for hook in tuple(hooks.values()):
            answer = hook(self, state_dict)
            state_dict = state_dict if answer is None else answer
        return state_dict


def _register(hooks: HookDict, hook: Callable[..., Any], prepend: bool) -> RemovableHandle:
    handle = register(hooks, hook)
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def _hooked(step: Callable[..., Any]) -> Callable[..., Any]:
    """`step` between its optimizer's hooks."""

    @functools.wraps(step)
    def hooked_step(*args: Any, **kwargs: Any) -> Any:
        optimizer = args[0]
        if not (optimizer._step_pre_hooks or optimizer._step_post_hooks):
            return step(*args, **kwargs)
        for hook in tuple(optimizer._step_pre_hooks.values()):
            answer = hook(optimizer, args, kwargs)
            if answer is None:
                continue
            if not (isinstance(answer, tuple) and len(answer) == 2):
                raise RuntimeError(
                    f"{step.__qualname__}: a step pre-hook must return None or a tuple of "
                    f"(new_args, new_kwargs), but got {answer}."
                )
            args, kwargs = answer
        result = step(*args, **kwargs)
        for hook in tuple(optimizer._step_post_hooks.values()):
            hook(optimizer, args, kwargs)
        return result

    return hooked_step
