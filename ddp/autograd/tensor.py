"""`Tensor`: NumPy memory, a gradient, and the place in the graph where it came from.

PyTorch's semantics; the differences are written here. `array` is the NumPy memory itself (PyTorch
has no such attribute). `grad_buffer`, on a leaf, is memory of the caller's into which the first
gradient of a backward is written when `.grad` is None: that is how a reducer gets gradients into
its flat buckets without a copy.

This file has the autograd state and the hooks. What a tensor says about its memory is in
`memory.py`. The operations are functions in `ddp/autograd/ops`, and `methods.py` is the table
that makes them methods.

Views share a version counter with their base, and so does `detach()`; `.data` has its own. The
counter also tells whether the memory may be known to others: then it has a second entry.
"""

from __future__ import annotations

import warnings
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ddp.autograd import views
from ddp.autograd.dtypes import get_default_dtype, is_floating
from ddp.autograd.grad_mode import mode
from ddp.autograd.hooks import Hook, HookDict, RemovableHandle, register
from ddp.autograd.memory import Memory, Size, is_channels_last
from ddp.autograd.node import AccumulateGrad, Array, Edge, Node

ndarray = np.ndarray
_new = object.__new__

KNOWN = 0  # a second entry of a version counter: other tensors, or NumPy, may know the memory

if TYPE_CHECKING:
    from ddp.autograd.methods import Methods
else:

    class Methods:  # at run time `methods.py` puts the operations on the finished class
        __slots__ = ()


class InferenceCell(list[int]):
    """The version counter of an inference tensor: it has none, so nothing can rely on it."""

    def __init__(self, known: list[int]) -> None:
        super().__init__((0, *known))

    def __getitem__(self, index: Any) -> Any:
        if mode.inference or mode.enabled is False:
            return 0
        raise RuntimeError(
            "Inference tensors cannot be saved for backward. Please do not use Tensors created in "
            "inference mode in computation tracked by autograd. To work around this, you can make "
            "a clone to get a normal tensor and use it in autograd, or use `ddp.no_grad()` instead "
            "of `ddp.inference_mode()`."
        )


class Tensor(Methods, Memory):
    """An n-dimensional array that remembers how it was made.

    `Tensor(array)` shares the memory of a NumPy array or of a tensor; lists become new float32
    memory, and sizes, as in `Tensor(2, 3)`, memory as it comes: so does `torch.Tensor`.
    `ddp.tensor` copies and infers the dtype.
    """

    __slots__ = (
        "__weakref__",
        "_accumulator",
        "_backward_hooks",
        "_base",
        "_base_edge",
        "_edge",
        "_grad",
        "_post_accumulate_grad_hooks",
        "_requires_grad",
        "_retains_grad",
        "_version_cell",
        "array",
        "grad_buffer",
    )

    __array_ufunc__ = None  # so that `ndarray * tensor` comes to Tensor.__rmul__

    array: Array
    grad_buffer: Array | None
    _edge: Edge | None  # (node, output number) of a tensor with history; None for a leaf
    _requires_grad: bool
    _grad: Tensor | None
    _version_cell: list[int]
    _base: Tensor | None  # of a view: the tensor whose memory it shares, itself no view
    _base_edge: Edge | None  # of a view: the base's place in the graph when the view was made
    _backward_hooks: HookDict | None
    _post_accumulate_grad_hooks: HookDict | None
    _accumulator: weakref.ref[AccumulateGrad] | None
    _retains_grad: bool

    def __init__(self, *data: Any, requires_grad: bool = False) -> None:
        self.array = _legacy_array(data)
        self._edge = None
        self._requires_grad = False
        self._grad = None
        self._version_cell = [0, KNOWN]
        self._base = self._base_edge = None
        self._backward_hooks = None
        self._post_accumulate_grad_hooks = None
        self._accumulator = None
        self._retains_grad = False
        self.grad_buffer = None
        if mode.inference:
            self._become_inference()
        if requires_grad:
            self.requires_grad = True

    # Memory

    @property
    def data(self) -> Tensor:
        """The same memory outside the graph, with a version counter of its own.

        Assigning a tensor re-points this tensor's memory to the other's.
        """
        self._tell()
        return wrap(self.array)

    @data.setter
    def data(self, other: Tensor) -> None:
        if not isinstance(other, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(other).__name__}")
        if self._requires_grad and not is_floating(other.dtype):
            raise RuntimeError(
                f"a tensor that requires grad needs floating data, got {other.dtype}"
            )
        self._tell()
        other._tell()
        self.array = other.array

    def numpy(self) -> Array:
        """The memory as a NumPy array, shared. Refused while the tensor requires grad."""
        if self._requires_grad:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() "
                "instead."
            )
        self._tell()
        return self.array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __iter__(self) -> Iterator[Tensor]:
        if self.array.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return (self[i] for i in range(self.array.shape[0]))

    __hash__ = object.__hash__  # by identity, though `==` is element-wise

    def __repr__(self) -> str:
        from ddp.autograd.printing import tensor_text

        return tensor_text(self)

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.array.ndim == 0 else object.__format__(self, spec)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self._edge is not None:
            raise RuntimeError(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
                "protocol at the moment."
            )
        copy = wrap(self.array.copy(order="K"))
        copy._requires_grad = self._requires_grad
        memo[id(self)] = copy
        if self._grad is not None:
            copy._grad = self._grad.__deepcopy__(memo)
        return copy

    # The graph

    @property
    def grad_fn(self) -> Node | None:
        """The node that made this tensor; None for a leaf."""
        self._keep_up()
        return None if self._edge is None else self._edge[0]

    @property
    def output_nr(self) -> int:
        """Which output of `grad_fn` this tensor is."""
        self._keep_up()
        return 0 if self._edge is None else self._edge[1]

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation made it."""
        self._keep_up()
        return self._edge is None

    @property
    def requires_grad(self) -> bool:
        """Whether gradients are wanted for this tensor."""
        self._keep_up()
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if self._edge is not None:
            if not wanted:
                raise RuntimeError(
                    "you can only change requires_grad flags of leaf variables. If you want to use "
                    "a computed variable in a subgraph that doesn't require differentiation use "
                    "var_no_grad = var.detach()."
                )
            return
        if wanted and not is_floating(self.array.dtype):
            raise RuntimeError(
                "only Tensors of floating point dtype can require gradients, this one is "
                f"{self.array.dtype}"
            )
        if wanted and self.is_inference() and not mode.inference:
            raise RuntimeError(
                "Setting requires_grad=True on inference tensor outside InferenceMode is not "
                "allowed."
            )
        self._requires_grad = bool(wanted)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set `requires_grad`; returns the tensor."""
        self.requires_grad = requires_grad
        return self

    def detach(self) -> Tensor:
        """The same memory and version counter, outside the graph."""
        result = wrap(self.array)
        result._version_cell = self._version_cell
        self._tell()
        return result

    def detach_(self) -> Tensor:
        """Cut this tensor off from its history; it becomes a leaf that requires no gradient."""
        if self._base is not None:
            raise RuntimeError("Can't detach views in-place. Use detach() instead.")
        self._edge = None
        self._requires_grad = False
        self._retains_grad = False
        self._backward_hooks = None
        return self

    def _tell(self) -> None:
        """Note that somebody else may know this memory from now on."""
        if len(self._version_cell) == 1:
            self._version_cell.append(KNOWN)

    def _lie_in_order(self, values: Array) -> bool:
        """Move to `values`, the same in C order, if only this tensor knows its memory.

        So a view of memory that a convolution laid out channels-last shares it nevertheless.
        """
        if len(self._version_cell) > 1 or not is_channels_last(self.array):
            return False
        self.array = values.reshape(self.array.shape)
        return True

    @property
    def _version(self) -> int:
        if self.is_inference():
            raise RuntimeError("Inference tensors do not track version counter.")
        return self._version_cell[0]

    def is_inference(self) -> bool:
        """Whether an operation inside `inference_mode` made it."""
        return type(self._version_cell) is InferenceCell

    def _become_inference(self) -> None:
        """A result of inference mode; a view is what its base is."""
        if self._base is None:
            self._version_cell = InferenceCell(self._version_cell[1:])

    def _keep_up(self) -> None:
        base = self._base
        if base is not None and base._edge is not self._base_edge:
            self._follow_base()

    def _follow_base(self) -> None:
        """The base was written to with gradients since: this view's place is behind that write."""
        assert self._base is not None
        views.read_from_base(self, self._base)

    @property
    def grad(self) -> Tensor | None:
        """The accumulated gradient of a leaf, or of a tensor that retains it."""
        if self._edge is not None and not self._retains_grad and self._grad is None:
            warnings.warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its "
                ".grad attribute won't be populated during autograd.backward(). If you indeed want "
                "the .grad field to be populated for a non-leaf Tensor, use .retain_grad() on the "
                "non-leaf Tensor.",
                UserWarning,
                stacklevel=2,
            )
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            _check_assigned_grad(self, value)
        self._grad = value

    @property
    def retains_grad(self) -> bool:
        """Whether a tensor that is no leaf keeps its gradient."""
        return self._retains_grad

    def retain_grad(self) -> None:
        """Keep this tensor's gradient in `.grad`, after its hooks. Leaves do anyway."""
        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if self._edge is None:
            return
        node, output_nr = self._edge
        assert node is not None
        node._own_hooks().retained[output_nr] = weakref.ref(self)
        self._retains_grad = True

    def register_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(grad)` when this tensor's gradient is complete; what it returns replaces it.

        Hooks run in the order of registration, each on the result of the one before.
        """
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if self._backward_hooks is None:
            self._backward_hooks = OrderedDict()
            if self._edge is not None:
                node, output_nr = self._edge
                assert node is not None
                self._backward_hooks = node._own_hooks().tensor.setdefault(output_nr, OrderedDict())
        return register(self._backward_hooks, hook)

    def register_post_accumulate_grad_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(self)` when a backward has added to `.grad`; leaves only."""
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if self._edge is not None:
            raise RuntimeError(
                "post accumulate grad hooks cannot be registered on non-leaf tensors"
            )
        if self._post_accumulate_grad_hooks is None:
            self._post_accumulate_grad_hooks = OrderedDict()
        return register(self._post_accumulate_grad_hooks, hook)

    def _accumulate_grad(self, gradient: Array) -> None:
        """Add `gradient` to `.grad`, in place when there is one; never keep `gradient` itself."""
        grad = self._grad
        if grad is not None:
            np.add(grad.array, gradient, out=grad.array, casting="same_kind")
            grad._version_cell[0] += 1
            return
        memory = self.grad_buffer
        if memory is None:
            memory = np.empty_like(self.array)  # the leaf's own layout
        if memory is not gradient:  # an operation may have written it there, see `Node.sink`
            np.copyto(memory, gradient, casting="same_kind")
        self._grad = wrap(memory)


def _legacy_array(data: tuple[Any, ...]) -> Array:
    """The memory that `Tensor(*data)` means."""
    if len(data) == 1 and not isinstance(data[0], (int, np.integer, Size)):
        (values,) = data
        if isinstance(values, Tensor):
            values._tell()
            return values.array
        return values if isinstance(values, ndarray) else np.array(values, get_default_dtype())
    sizes = data[0] if data and isinstance(data[0], Size) else data
    if not all(isinstance(size, (int, np.integer)) for size in sizes):
        raise TypeError(f"Tensor() takes data, or sizes that are integers; got {data}")
    return np.empty(sizes or (0,), get_default_dtype())


def wrap(array: Any) -> Tensor:
    """A tensor over `array`, no copy: what every operation returns.

    NumPy answers operations on 0-d arrays with scalars; they become arrays again here. The
    stores repeat `Tensor.__init__` because the call would cost more than they do.
    """
    tensor = _new(Tensor)
    tensor.array = array if type(array) is ndarray else np.asarray(array)
    tensor._edge = None
    tensor._requires_grad = False
    tensor._grad = None
    tensor._version_cell = [0]
    tensor._base = tensor._base_edge = None
    tensor._backward_hooks = None
    tensor._post_accumulate_grad_hooks = None
    tensor._accumulator = None
    tensor._retains_grad = False
    tensor.grad_buffer = None
    return tensor


def view_of(source: Tensor, array: Array) -> Tensor:
    """A tensor over `array`, which shares the memory of `source`."""
    view = wrap(array)
    view._version_cell = cell = source._version_cell
    if len(cell) == 1:
        cell.append(KNOWN)
    view._base = base = source if source._base is None else source._base
    view._base_edge = base._edge
    view._requires_grad = base._requires_grad  # also where nothing is recorded
    return view


def _check_assigned_grad(tensor: Tensor, grad: Tensor) -> None:
    if not isinstance(grad, Tensor):
        raise TypeError(
            f"assigned grad expected to be a Tensor or None but got {type(grad).__name__}"
        )
    if grad is tensor:
        raise RuntimeError("can't assign Variable as its own grad")
    if grad.shape != tensor.shape:
        raise RuntimeError(
            f"attempting to assign a gradient of size '{list(grad.shape)}' to a tensor of size "
            f"'{list(tensor.shape)}'. Please ensure that the gradient and the tensor are the same "
            "size"
        )
    if grad.dtype != tensor.dtype:
        raise RuntimeError(
            f"attempting to assign a gradient with dtype '{grad.dtype}' to a tensor with dtype "
            f"'{tensor.dtype}'. Please ensure that the gradient and the tensor have the same dtype"
        )
