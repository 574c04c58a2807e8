"""The graph that is recorded: nodes, and the edges to where gradients go next.

A node stands for one operation that ran. It knows where the gradients of its inputs go
(`next_functions`, one edge per differentiable input, `(None, 0)` for an input that needs none)
and keeps the arrays its formula needs, with the versions they had. Nodes never refer to the
tensors they produced, so a graph has no cycles and dies with its last tensor.

How an operation is written on top of this stands in `ddp/autograd/ops/__init__.py`.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

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

# What a saved value is, beside the number of an input: see `Node.saves`.
RESULT = -1
CONSTANT = -2


class Saves(dict[str, int]):
    """What the values are that a node saves, in order: see `Node.saves`."""


ndarray = np.ndarray

_new = object.__new__
_sequence = itertools.count(1, 2)  # every other number is free for a node that is shown later


class Underway(threading.local):
    """The walk back that is under way on this thread (`engine.py`)."""

    # The nodes it may run → edges not yet walked to them; gradients that wait, None if others may
    # see them.
    walk: tuple[dict[Node, int], dict[Node, Any] | None] | None = None


underway = Underway()


class SavedAttribute:
    """`node._saved_self`, `node._saved_exponent`: what a node keeps, under PyTorch's name.

    A descriptor each, made with the class: a `__getattr__` would slow down every other attribute.
    """

    look_up: ClassVar[Callable[[Node, str], Any]]  # set when the package is put together

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, node: Node | None, owner: type[Node]) -> Any:
        return self if node is None else SavedAttribute.look_up(node, self.name)


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
        "edges",
    )

    _takes_undefined = False  # whether `backward` wants to run when no output got a gradient

    # PyTorch's name of each value that `save` gets, in order → the number of the input it is, or
    # RESULT (the output), or CONSTANT (no gradient flows through it). With it the gradient has a
    # gradient itself (`second_order.py`), and `node._saved_self` and the like answer.
    saves: ClassVar[Mapping[str, int] | None] = None

    # Whether each array that `backward` returns is new, and nobody else's: then a leaf without a
    # gradient may keep it as its own, and one that has arrived before is added to it in place.
    gives_new_arrays: ClassVar[bool] = False

    _num_outputs: int
    edges: tuple[Edge, ...]  # what the walk follows; `next_functions` is the same for all to see
    _saved: Any  # a tuple of arrays and None, or FREED; a Function has tuples of its own
    _saved_versions: Sequence[tuple[list[int], int, Array]]  # of the tensors among them
    _number: int  # in the order of recording
    _hooks: NodeHooks | None

    def __init__(self, edges: tuple[Edge, ...]) -> None:
        self.edges = edges
        self._num_outputs = 1
        self._saved = ()
        self._saved_versions = ()
        self._hooks = None
        self._number = next(_sequence)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in (*(cls.saves or ()), *vars(cls).get("__slots__", ())):
            setattr(cls, f"_saved_{name}", SavedAttribute(name))

    @classmethod
    def record(cls, output: Tensor, *inputs: Tensor) -> Self | None:
        """Make the node by which `output` came from `inputs`; None if no gradient is wanted.

        None means that recording is off or no input requires a gradient: then nothing is kept.
        """
        enabled = mode.enabled
        if enabled is False:
            if mode.inference:
                output._become_inference()
            return None
        edges = []
        wanted = False
        for tensor in inputs:
            if tensor._base is not None:
                way = edge(tensor)
                wanted = wanted or tensor._requires_grad
            elif (way := tensor._edge) is not None:  # type: ignore[assignment]
                wanted = True
            elif tensor._requires_grad:
                way = (accumulator(tensor), 0)
                wanted = True
            else:
                way = NO_EDGE
            edges.append(way)
        if not wanted:
            return None
        if enabled is True:
            node = _new(cls)  # and what `__init__` does: its call would cost more than the stores
            node.edges = tuple(edges)
            node._num_outputs = 1
            node._saved = node._saved_versions = ()
            node._hooks = None
            node._number = next(_sequence)
        else:
            node = enabled.make(cls, tuple(edges))
        output._edge = (node, 0)
        output._requires_grad = True
        return node

    @classmethod
    def record_two(cls, output: Tensor, a: Tensor, b: Tensor) -> Self | None:
        """`record(output, a, b)`, spelled out: arithmetic on small tensors is all overhead."""
        if mode.enabled is not True or a._base is not None or b._base is not None:
            return cls.record(output, a, b)
        to_a = a._edge or ((accumulator(a), 0) if a._requires_grad else NO_EDGE)
        to_b = b._edge or ((accumulator(b), 0) if b._requires_grad else NO_EDGE)
        if to_a is NO_EDGE and to_b is NO_EDGE:
            return None
        node = _new(cls)
        node.edges = (to_a, to_b)
        node._num_outputs = 1
        node._saved = node._saved_versions = ()
        node._hooks = None
        node._number = next(_sequence)
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
        elif mode.inference:
            for output in outputs:
                output._become_inference()
        return node

    @property
    def next_functions(self) -> tuple[Edge, ...]:
        """Where the gradients of the inputs go: one edge per differentiable input."""
        return self.edges

    def needs(self, index: int) -> bool:
        """Whether the gradient of the input `index` is wanted."""
        return self.edges[index][0] is not None

    def sink(self, index: int) -> Array | None:
        """Where `backward` may write the gradient of the input `index`, instead of new memory.

        That is the `grad_buffer` of a leaf that takes this gradient only, as it is; else None.
        """
        target = self.edges[index][0]
        if type(target) is AccumulateGrad and target.variable.grad_buffer is not None:
            return target._room()
        return None

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
                array, cell = value.array, value._version_cell
                arrays.append(array)
                versions.append((cell, cell[0], array))
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
                "retain_graph=True if you need to backward through the graph a second time or if "
                "you need to access saved tensors after calling backward."
            )
        for cell, version, array in self._saved_versions:
            if cell[0] != version:
                source = self._source_of(array)
                refuse_changed(array, source, cell[0], version, self._was_watched)

    def _source_of(self, array: Array) -> Edge:
        """Which output of which node the saved `array` is, as far as `saves` tells."""
        for value, place in zip(self._saved, (self.saves or {}).values(), strict=False):
            if value is array and place != CONSTANT:
                return (self, 0) if place == RESULT else self.next_functions[place]
        return NO_EDGE

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
    def metadata(self) -> dict[str, Any]:
        """Where anomaly detection keeps the trace of the forward pass (`watch.py`)."""
        return {}

    @property
    def _was_watched(self) -> bool:
        return "traceback_" in self.metadata

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

    def _room(self) -> Array | None:
        if underway.walk is None:
            return None
        leaf, (awaited, arrived) = self.variable, underway.walk
        if (
            arrived is None
            or leaf._grad is not None
            or leaf._backward_hooks
            or self._hooks is not None
            or self in arrived
            or awaited.get(self) != 1
        ):
            return None
        return leaf.grad_buffer

    def name(self) -> str:
        return "torch::autograd::AccumulateGrad"


def refuse_changed(
    array: Array, source: Edge, now: int, version: int, was_watched: bool = False
) -> None:
    """Raise: the saved `array`, which came from `source`, was written to since."""
    node, output_nr = source
    kind = _KINDS.get(array.dtype.char, array.dtype.name)
    origin = ""
    if node is not None and type(node) is not AccumulateGrad:
        origin = f", which is output {output_nr} of {node.name()},"
    hint = (
        "the backtrace further above shows the operation that failed to compute its gradient. The "
        "variable in question was changed in there or anywhere later. Good luck!"
        if was_watched
        else "enable anomaly detection to find the operation that failed to compute its gradient, "
        "with ddp.autograd.set_detect_anomaly(True)."
    )
    raise RuntimeError(
        "one of the variables needed for gradient computation has been modified by an inplace "
        f"operation: [ddp.{kind} {list(array.shape)}]{origin} is at version {now}; expected "
        f"version {version} instead. Hint: {hint}"
    )


_KINDS = {"e": "HalfTensor", "f": "FloatTensor", "d": "DoubleTensor"}


def edge(tensor: Tensor) -> Edge:
    """Where a gradient of `tensor` goes: its node, a leaf's AccumulateGrad, or nowhere."""
    if tensor._base is not None and tensor._base._edge is not tensor._base_edge:
        tensor._follow_base()
    if tensor._edge is not None:
        return tensor._edge
    if not tensor._requires_grad:
        return NO_EDGE
    if tensor._base is not None and tensor._base._requires_grad:
        return NO_EDGE  # a view made under no_grad says that it requires a gradient, but gets none
    return (accumulator(tensor), 0)


def accumulator(leaf: Tensor) -> AccumulateGrad:
    """The leaf's AccumulateGrad node. The node holds the leaf; the leaf refers to it weakly."""
    reference = leaf._accumulator
    node = None if reference is None else reference()
    if node is None:
        node = _new(AccumulateGrad)  # and what `__init__` does, as in `record`
        node.variable = leaf
        node.edges = node._saved = node._saved_versions = ()
        node._num_outputs = 1
        node._hooks = None
        node._number = next(_sequence)
        leaf._accumulator = weakref.ref(node)
    return node
