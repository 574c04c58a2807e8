"""Hooks around a module's `forward`; those around its backward stand in `backward_hooks.py`.

Order: pre-hooks, `forward`, hooks; each kind in the order added, those with `prepend=True` first.
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


class ForwardHooks(OrderedDict[int, ForwardHook]):
    """Handle id → hook, in calling order."""

    def add(
        self, call: Callable[..., Any], prepend: bool, with_kwargs: bool, always_call: bool
    ) -> RemovableHandle:
        """Register `call`; removing the returned handle takes it out again."""
        handle = RemovableHandle(self)  # type: ignore[arg-type]  # it only ever removes
        self[handle.id] = ForwardHook(call, with_kwargs, always_call)
        if prepend:
            self.move_to_end(handle.id, last=False)
        return handle


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
        for key, hook in list(module._forward_hooks.items()):
            called.add(key)
            output = _run_hook(hook, module, args, kwargs, output)
        return output if watch is None else watch.watch_outputs(output)
    except Exception:
        for key, hook in list(module._forward_hooks.items()):
            if hook.always_call and key not in called:
                _run_quietly(hook, module, args, kwargs, output)
        raise


def _backward_hooks(module: Any) -> BackwardHooks | None:
    """The module's backward hooks for this call, if it has any."""
    pre_hooks, hooks = module._backward_pre_hooks, module._backward_hooks
    if not pre_hooks and not hooks:
        return None
    return BackwardHooks(
        module, [hook.call for hook in pre_hooks.values()], [hook.call for hook in hooks.values()]
    )


def _run_pre_hooks(
    module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    for hook in list(module._forward_pre_hooks.values()):
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
