"""Hooks around a module's `forward`; those around its backward stand in `backward_hooks.py`.

Order: pre-hooks, `forward`, hooks; each kind in the order added, those with `prepend=True` first.
Hooks of all modules, `EVERYWHERE`, run before a module's own of the same kind.
Calling `module.forward(...)` directly runs none of them.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

from ddp.autograd.hooks import RemovableHandle
from ddp.nn.backward_hooks import BackwardHooks


class ForwardHook(NamedTuple):
    """A hook and how it wants to be called."""

    call: Callable[..., Any]
    with_kwargs: bool
    always_call: bool
    kind: str = ""  # of a hook of all modules: the name of the registry of a module's own


REGISTERED: list[int] = []  # empty as long as no module had a hook: then none looks for its own


class ForwardHooks(OrderedDict[int, ForwardHook]):
    """Handle id → hook, in calling order."""

    def __setitem__(self, key: int, hook: ForwardHook) -> None:
        super().__setitem__(key, hook)
        REGISTERED[:] = [key]

    def add(
        self, call: Callable[..., Any], prepend: bool, with_kwargs: bool, always_call: bool
    ) -> RemovableHandle:
        """Register `call`; removing the returned handle takes it out again."""
        handle = RemovableHandle(self)  # type: ignore[arg-type]  # it only ever removes
        self[handle.id] = ForwardHook(call, with_kwargs, always_call)
        if prepend:
            self.move_to_end(handle.id, last=False)
        return handle


EVERYWHERE = ForwardHooks()  # the hooks of all modules, of all kinds: most often there are none


def register_everywhere(
    kind: str, call: Callable[..., Any], with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Register a hook of all modules; `kind` is "_forward_hooks" or another registry's name."""
    handle = RemovableHandle(EVERYWHERE)  # type: ignore[arg-type]  # it only ever removes
    EVERYWHERE[handle.id] = ForwardHook(call, with_kwargs, always_call, kind)
    return handle


def _hooks_of(module: Any, kind: str) -> list[tuple[int, ForwardHook]]:
    """The hooks of a kind that run around this module, those of all modules first."""
    of_all = [(key, hook) for key, hook in EVERYWHERE.items() if hook.kind == kind]
    return [*of_all, *getattr(module, kind).items()]


def call_with_hooks(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`module.forward(*args, **kwargs)` with the hooks around it.

    When anything raises, the `always_call` hooks that have not run yet run once with what output
    there is; what they raise themselves is dropped in favour of the first exception.
    """
    called: set[int] = set()
    output: Any = None
    try:
        args, kwargs = _run_pre_hooks(module, args, kwargs)
        watch = _backward_hooks(module)
        if watch is not None:
            args = watch.watch_inputs(args)
        output = module.forward(*args, **kwargs)
        for key, hook in _hooks_of(module, "_forward_hooks"):
            called.add(key)
            output = _run_hook(hook, module, args, kwargs, output)
        return output if watch is None else watch.watch_outputs(output)
    except Exception:
        for key, hook in _hooks_of(module, "_forward_hooks"):
            if hook.always_call and key not in called:
                _run_quietly(hook, module, args, kwargs, output)
        raise


def _backward_hooks(module: Any) -> BackwardHooks | None:
    """The module's backward hooks for this call, if it has any."""
    pre_hooks = [hook.call for _, hook in _hooks_of(module, "_backward_pre_hooks")]
    hooks = [hook.call for _, hook in _hooks_of(module, "_backward_hooks")]
    return BackwardHooks(module, pre_hooks, hooks) if pre_hooks or hooks else None


def _run_pre_hooks(
    module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    for _, hook in _hooks_of(module, "_forward_pre_hooks"):
        if not hook.with_kwargs:
            changed = hook.call(module, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
            continue
        changed = hook.call(module, args, kwargs)
        if changed is None:
            continue
        if not (isinstance(changed, tuple) and len(changed) == 2):
            raise RuntimeError(
                "forward pre-hook must return None or a tuple of (new_args, new_kwargs), "
                f"but got {changed}."
            )
        args, kwargs = changed
    return args, kwargs


def _run_hook(
    hook: ForwardHook, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
) -> Any:
    if hook.with_kwargs:
        changed = hook.call(module, args, kwargs, output)
    else:
        changed = hook.call(module, args, output)
    return output if changed is None else changed


def _run_quietly(
    hook: ForwardHook, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
) -> None:
    try:
        _run_hook(hook, module, args, kwargs, output)
    except Exception as error:
        warnings.warn(
            "module forward hook with ``always_call=True`` raised an exception that was silenced "
            f"as another error was raised in forward: {error!s}",
            stacklevel=3,
        )
