"""Recording under observation: traces of the forward pass, and values that are packed when saved.

While a thread is watched, `mode.enabled` is its `Watch`, and `Node.record` has it make the nodes:
of a class derived from the operation's, with the same name, that keeps what is to be kept. Nodes
made unobserved know nothing of all this.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ddp.autograd.grad_mode import mode, no_grad
from ddp.autograd.node import Array, Edge, Node
from ddp.autograd.tensor import Tensor, wrap

PackHook = Callable[[Tensor], Any]
UnpackHook = Callable[[Any], Tensor]


@dataclass(frozen=True)
class Watch:
    """What is kept of a forward pass, beside the graph."""

    traces: bool = False  # where each operation was called
    check_nan: bool = True  # with `traces`: backward refuses NaN
    pack: PackHook | None = None
    unpack: UnpackHook | None = None
    refusal: str | None = None  # why hooks on saved tensors are not allowed now

    def make(self, node_class: type[Node], edges: tuple[Edge, ...]) -> Node:
        """A node that keeps what is asked."""
        node: Any = _watched(node_class)(edges)
        node.metadata = self.notes()
        node.watch = self
        return node

    def notes(self) -> dict[str, Any]:
        """`Node.metadata`: where the operation was called, from outside the engine."""
        if not self.traces:
            return {}
        frames = traceback.extract_stack()
        while frames and any(Path(frames[-1].filename).is_relative_to(home) for home in _INSIDE):
            frames.pop()
        return {"traceback_": traceback.format_list(frames)}

    def packed(self, tensor: Tensor) -> Packed | None:
        """`tensor` as the pack hook leaves it; None if there is no such hook."""
        if self.pack is None or self.unpack is None:
            return None
        version = tensor._version
        with no_grad():
            value = self.pack(tensor)
        if tensor._version != version:
            raise RuntimeError(
                "A saved tensor pack hook is modifying its input in place. Tensors provided as "
                "input to pack hook cannot be modified by in-place operations as this can lead to "
                "unexpected side-effects."
            )
        return Packed(value, self.unpack)


_INSIDE = (Path(__file__).parent, Path(np.__file__).parent)  # whose frames tell a user nothing


class Packed:
    """What a pack hook made of a saved tensor."""

    __slots__ = ("unpack_hook", "value")

    def __init__(self, value: Any, unpack_hook: UnpackHook) -> None:
        self.value = value
        self.unpack_hook = unpack_hook

    def unpack(self) -> Tensor:
        """The tensor again."""
        answer = self.unpack_hook(self.value)
        if not isinstance(answer, Tensor):
            raise TypeError(
                "Output of saved tensor unpack_hook expected to be a Tensor but got result of type "
                f"{type(answer).__name__}"
            )
        return answer


class WatchedNode(Node):
    """Comes before an operation's class in the class of a watched node."""

    __slots__ = ()

    metadata: dict[str, Any]
    watch: Watch

    def save(self, *values: Tensor | Array | None) -> None:
        super().save(*values)
        if self.watch.pack is not None:
            self._saved = tuple([self._packed(array) for array in self._saved])
            self._saved_versions = ()  # what a hook keeps is the hook's business

    def _packed(self, array: Array | None) -> Any:
        return None if array is None else self.watch.packed(wrap(array))

    @property
    def saved(self) -> Any:
        """What was saved, unpacked."""
        return tuple([v.unpack().array if type(v) is Packed else v for v in self._saved])


_classes: dict[type[Node], type[Node]] = {}


def _watched(node_class: type[Node]) -> type[Node]:
    """The class of watched nodes of an operation, named as the operation's."""
    if node_class not in _classes:
        body = {"__slots__": ("metadata", "watch"), "__doc__": node_class.__doc__}
        _classes[node_class] = type(node_class.__name__, (WatchedNode, node_class), body)
    return _classes[node_class]


def current() -> Watch:
    """What is watched on this thread."""
    return mode.watch or Watch()


class Watching:
    """A change of what is watched, from `begin` to the end of a `with` block."""

    def __init__(self, **changes: Any) -> None:
        self.changes = changes
        self.before: list[Watch | None] = []

    def begin(self) -> None:
        """Watch from now on."""
        self.before.append(mode.watch)
        watch = replace(current(), **self.changes)
        mode.look(None if watch == Watch() else watch)

    def __enter__(self) -> None:
        self.begin()

    def __exit__(self, *exc_info: object) -> None:
        mode.look(self.before.pop())
