"""The graph that is recorded: nodes, and the edges to where gradients go next.

A node stands for one operation that ran. It knows where the gradients of its inputs go
(`next_functions`, one edge per differentiable input, `(None, 0)` for an input that needs none)
and keeps the arrays its formula needs, with the versions they had. Nodes never refer to the
tensors they produced, so a graph has no cycles and dies with its last tensor.

How an operation is written on top of this stands in `ddp/autograd/ops/__init__.py`.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from ddp.autograd.grad_mode import mode
from ddp.autograd.hooks import Hook, NodeHooks, RemovableHandle, register

if TYPE_CHECKING:
    from ddp.autograd.tensor import Tensor

Array = NDArray[Any]
Edge = tuple["Node | None", int]
Gradients = tuple[Array | None, ...]

NO_EDGE: Edge = (None, 0)

ndarray = np.ndarray

_sequence = itertools.count()


class Freed:
    """Stands in for the saved arrays of a node whose gradient was taken."""


FREED = Freed()


class Node:
    """One recorded operation. Subclasses are named as PyTorch's and implement `backward`."""

    __slots__ = (
        "__weakref__",
        "_hooks",
        "_num_outputs",
        "_number",
        "_saved",
        "_saved_versions",
        "next_functions",
    )

    _takes_undefined = False  # whether `backward` wants to run when no output got a gradient

    _num_outputs: int
    next_functions: tuple[Edge, ...]
    _saved: Any  # a tuple of arrays and None, or FREED; pairs of tensor and version in a Function
    _saved_versions: Sequence[tuple[list[int], int]]
    _number: int  # in the order of recording
    _hooks: NodeHooks | None

    def __init__(self, next_functions: tuple[Edge, ...]) -> None:
        self.next_functions = next_functions
        self._num_outputs = 1
        self._saved = ()
        self._saved_versions = ()
        self._hooks = None
        self._number = next(_sequence)

    @classmethod
    def record(cls, output: Tensor, *inputs: Tensor) -> Self | None:
        """Make the node by which `output` came from `inputs`; None if no gradient is wanted.

        None means that recording is off or no input requires a gradient: then nothing is kept.
        """
        if not mode.enabled:
            return None
        edges = []
        wanted = False
        for tensor in inputs:
            if tensor._base is not None and tensor._base._edge is not tensor._base_edge:
                refuse_stale_view()
            if tensor._requires_grad:
                wanted = True
                edges.append(tensor._edge or (accumulator(tensor), 0))
            else:
                edges.append(NO_EDGE)
        if not wanted:
            return None
        node = cls(tuple(edges))
        output._edge = (node, 0)
        output._requires_grad = True
        return node

    @classmethod
    def record_several(cls, outputs: Sequence[Tensor], *inputs: Tensor) -> Self | None:
        """`record` for an operation with several differentiable outputs."""
        node = cls.record(outputs[0], *inputs)
        if node is not None:
            node._num_outputs = len(outputs)
            for output_nr, output in enumerate(outputs):
                output._edge = (node, output_nr)
                output._requires_grad = True
        return node

    def needs(self, index: int) -> bool:
        """Whether the gradient of the input `index` is wanted."""
        return self.next_functions[index][0] is not None

    def save(self, *values: Tensor | Array | None) -> None:
        """Keep arrays for `backward`, which finds them in `self.saved`, in this order.

        A tensor's version is noted and compared when the gradient is taken; an array is taken to
        be nobody else's. None holds a place.
        """
        arrays: list[Array | None] = []
        versions = []
        for value in values:
            if value is None or isinstance(value, ndarray):
                arrays.append(value)
            else:
                arrays.append(value.array)
                cell = value._version_cell
                versions.append((cell, cell[0]))
        self._saved = tuple(arrays)
        self._saved_versions = versions

    def backward(self, *args: Any, **kwargs: Any) -> Gradients:
        """The gradients of the inputs, one per edge, from the gradients of the outputs.

        A gradient of an input that does not need one may be None. The arrays that come in may be
        shared: never write into them.
        """
        raise NotImplementedError

    def _check_saved(self) -> None:
        """Raise RuntimeError if what was saved is gone or was changed in place since."""
        if self._saved is FREED:
            raise RuntimeError(
                "Trying to backward through the graph a second time (or directly access saved "
                "tensors after they have already been freed). Saved intermediate values of the "
                "graph are freed when you call .backward() or autograd.grad(). Specify "
                "retain_graph=True if you need to backward through the graph a second time."
            )
        for cell, version in self._saved_versions:
            if cell[0] != version:
                raise RuntimeError(
                    "one of the variables needed for gradient computation has been modified by an "
                    f"inplace operation: a tensor saved by {self.name()} is at version {cell[0]}; "
                    f"expected version {version} instead."
                )

    def _release(self) -> None:
        """Let go of the saved arrays. A node that saved nothing can be walked again."""
        if self._saved:
            self._saved = FREED
            self._saved_versions = ()

    def name(self) -> str:
        """PyTorch's name of the operation."""
        return type(self).__name__

    @property
    def saved(self) -> Any:
        """What `save` kept, for the formula to unpack."""
        return self._saved

    @property
    def metadata(self) -> dict[Any, Any]:
        """PyTorch keeps anomaly traces here; ours is always empty."""
        return {}

    def _sequence_nr(self) -> int:
        return self._number

    def _own_hooks(self) -> NodeHooks:
        """The node's hooks, made at first use."""
        if self._hooks is None:
            self._hooks = NodeHooks()
        return self._hooks

    def register_prehook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(grad_outputs)` before `backward`; a tuple it returns replaces them."""
        return register(self._own_hooks().before, hook)

    def register_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(grad_inputs, grad_outputs)` after; a tuple it returns replaces the inputs'."""
        return register(self._own_hooks().after, hook)


class AccumulateGrad(Node):
    """Where the graph ends at a leaf: adds the gradient that arrives to `variable.grad`."""

    __slots__ = ("variable",)

    variable: Tensor

    def __init__(self, variable: Tensor) -> None:
        super().__init__(())
        self.variable = variable

    def backward(self, dy: Array | None) -> Gradients:
        if dy is not None:
            self.variable._accumulate_grad(dy)
        return ()

    def name(self) -> str:
        return "torch::autograd::AccumulateGrad"


def refuse_stale_view() -> None:
    """Raise: the view's gradient would go where its base no longer is."""
    raise RuntimeError(
        "a view was made before its base was written to with gradients, so its place in the graph "
        "is out of date: take the view again from the base"
    )


def edge(tensor: Tensor) -> Edge:
    """Where a gradient of `tensor` goes: its node, a leaf's AccumulateGrad, or nowhere."""
    if tensor._edge is not None:
        return tensor._edge
    if tensor._requires_grad:
        return (accumulator(tensor), 0)
    return NO_EDGE


def accumulator(leaf: Tensor) -> AccumulateGrad:
    """The leaf's AccumulateGrad node. The node holds the leaf; the leaf refers to it weakly."""
    reference = leaf._accumulator
    node = None if reference is None else reference()
    if node is None:
        node = AccumulateGrad(leaf)
        leaf._accumulator = weakref.ref(node)
    return node
