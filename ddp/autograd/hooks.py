"""Handles of hooks, and the hooks a node carries.

A hook list is an insertion-ordered dict from a handle's id to the function, made when the first
hook is registered: a tensor or node without hooks carries `None` and pays one test.
"""

from __future__ import annotations

import itertools
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddp.autograd.tensor import Tensor

Hook = Callable[..., Any]
HookDict = OrderedDict[int, Hook]

_ids = itertools.count()


class RemovableHandle:
    """Takes a hook off its list: `remove()`, any number of times, or the end of a `with` block."""

    def __init__(self, hooks: HookDict) -> None:
        self.hooks = weakref.ref(hooks)
        self.id = next(_ids)

    def remove(self) -> None:
        """Unregister the hook; nothing happens if it is gone already."""
        hooks = self.hooks()
        if hooks is not None:
            hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.remove()


def register(hooks: HookDict, hook: Hook) -> RemovableHandle:
    """Append `hook` to `hooks`."""
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle


class NodeHooks:
    """What runs around a node's backward, in this order: tensor, retained, before; then after."""

    __slots__ = ("after", "before", "retained", "tensor")

    def __init__(self) -> None:
        self.tensor: dict[int, HookDict] = {}  # output number → hooks of that output tensor
        self.retained: dict[int, weakref.ref[Tensor]] = {}  # output number → who keeps its grad
        self.before: HookDict = OrderedDict()
        self.after: HookDict = OrderedDict()
