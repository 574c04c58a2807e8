"""`ddp.autograd.graph`: what programs do with the graph itself, under PyTorch's names.

Hooks on saved tensors (keep them elsewhere, or smaller, until backward), hooks on the gradients of
several tensors, and edges as values.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ddp.autograd.engine import current_walk
from ddp.autograd.hooks import RemovableHandle
from ddp.autograd.node import Node as Node
from ddp.autograd.node import edge
from ddp.autograd.tensor import Tensor
from ddp.autograd.watch import PackHook, UnpackHook, Watching, current


class saved_tensors_hooks(Watching):
    """Inside the block, what operations save for backward goes through a pair of functions.

    `pack_hook(tensor)` returns anything, `unpack_hook` makes a tensor of the same values of it.
    Of nested pairs the innermost is used. In-place changes to what was packed are not noticed.
    """

    def __init__(self, pack_hook: PackHook, unpack_hook: UnpackHook) -> None:
        super().__init__(pack=pack_hook, unpack=unpack_hook)

    def begin(self) -> None:
        refusal = current().refusal
        if refusal is not None:
            raise RuntimeError(refusal)
        super().begin()


class save_on_cpu(saved_tensors_hooks):
    """Inside the block, what operations save is a copy; there is no other device to copy from."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cpu") -> None:
        super().__init__(lambda tensor: tensor.clone(), lambda copy: copy)


class disable_saved_tensors_hooks(Watching):
    """Inside the block, `saved_tensors_hooks` raises RuntimeError with this message."""

    def __init__(self, error_message: str) -> None:
        super().__init__(refusal=error_message)


class GradientEdge(NamedTuple):
    """Where the gradient of a tensor goes: a node and which of its outputs the tensor is."""

    node: Node
    output_nr: int


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """The edge of `tensor`; of a leaf, the one to its AccumulateGrad."""
    node, output_nr = edge(tensor)
    if node is None:
        raise RuntimeError(
            "It is not possible to get the gradient edge for a Tensor that does not "
            "require gradients"
        )
    return GradientEdge(node, output_nr)


def increment_version(tensor: Tensor | Sequence[Tensor]) -> None:
    """Say that memory was written to behind the engine's back."""
    for written in (tensor,) if isinstance(tensor, Tensor) else tensor:
        written._version_cell[0] += 1


class MultiHandle:
    """Takes a hook off all its tensors: `remove()`, or the end of a `with` block."""

    def __init__(self, handles: Sequence[RemovableHandle]) -> None:
        self.handles = tuple(handles)

    def remove(self) -> None:
        """Unregister everywhere; nothing happens a second time."""
        for handle in self.handles:
            handle.remove()

    def __enter__(self) -> MultiHandle:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.remove()


def register_multi_grad_hook(
    tensors: Sequence[Tensor], fn: Callable[..., None], *, mode: str = "all"
) -> MultiHandle:
    """Call `fn` once per backward pass with the gradients of `tensors`.

    With mode "all", when every one that the pass reaches has arrived: a list, None for those it
    does not reach. With "any", when the first arrives: that gradient. Raises ValueError for
    another mode, RuntimeError for a tensor that requires no gradient.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    tensors = tuple(tensors)
    meeting = _Meeting(tensors, fn, mode == "any")
    handles = []
    for index, tensor in enumerate(tensors):
        handles.append(tensor.register_hook(meeting.arrival(index)))
    return MultiHandle(handles)


class _Meeting:
    """Waits, in each backward pass, for the gradients of several tensors."""

    def __init__(
        self, tensors: Sequence[Tensor], fn: Callable[..., None], at_the_first: bool
    ) -> None:
        self.edges = [edge(tensor) for tensor in tensors]  # keeps leaves' nodes alive
        self.fn = fn
        self.at_the_first = at_the_first
        self.lock = threading.Lock()
        self.walk: Any = None
        self.gradients: list[Tensor | None] = []
        self.awaited = 0

    def arrival(self, index: int) -> Callable[[Tensor], None]:
        """The hook of the tensor `index`."""

        def hook(gradient: Tensor) -> None:
            with self.lock:
                complete = self._note(index, gradient)
            if complete:
                self.fn(gradient if self.at_the_first else self.gradients)

        return hook

    def _note(self, index: int, gradient: Tensor) -> bool:
        """Take down a gradient; whether it is the one that was waited for."""
        walk = current_walk()
        if self.walk is not walk:
            self.walk = walk
            self.gradients = [None] * len(self.edges)
            self.awaited = sum(node in walk for node, _ in self.edges)
            if self.at_the_first:
                self.awaited = 1
        self.gradients[index] = gradient
        self.awaited -= 1
        return self.awaited == 0
