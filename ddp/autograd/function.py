"""Operations that users write: `Function`, with static `forward` and `backward`, as in PyTorch.

    class Exp(Function):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, dy):
            (y,) = ctx.saved_tensors
            return dy * y

    y = Exp.apply(x)

`ctx` is the node itself, so what forward stores on it is reachable as `y.grad_fn.name`. Inside
forward and backward nothing is recorded. Gradients line up with the positional arguments of
`apply`; those given by name count as if given by place.

Left out: vmap, forward-mode derivatives.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import warnings
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from ddp.autograd.dtypes import Dtype, is_floating
from ddp.autograd.grad_mode import is_grad_enabled, mode, no_grad
from ddp.autograd.node import FREED, NO_EDGE, Array, Edge, Gradients, Node, edge, refuse_changed
from ddp.autograd.ops.reduce import sum_to
from ddp.autograd.tensor import Tensor, view_of, wrap
from ddp.autograd.watch import Watch


class FunctionCtx(Node):
    """The node of a `Function`, and the `ctx` its forward and backward get.

    It has no `__slots__`: users keep what they like on it.
    """

    _takes_undefined = True
    _function: ClassVar[type[Function]]

    saved: Any = None  # free for users, like every name without an underscore that is not PyTorch's

    needs_input_grad: tuple[bool, ...]  # per positional argument

    def __init__(self) -> None:
        super().__init__(())
        self._materialize_grads = True
        self._metadata: dict[str, Any] = {}
        self._to_save: tuple[Tensor | None, ...] = ()
        self._non_differentiable: tuple[Tensor, ...] = ()
        self._dirty: tuple[Tensor, ...] = ()
        self._argument_shapes: list[tuple[int, ...] | None] = []  # None: not a tensor
        self._output_specs: list[tuple[tuple[int, ...], Dtype] | None] = []
        self._differentiable: list[bool] = []  # per output

    @property
    def metadata(self) -> dict[str, Any]:
        """Where anomaly detection keeps the trace of the forward pass."""
        return self._metadata

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors, inputs or outputs, for `saved_tensors`; None holds a place."""
        for i, tensor in enumerate(tensors):
            if tensor is not None and not isinstance(tensor, Tensor):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument {i} is of type "
                    f"{type(tensor).__name__}"
                )
        self._to_save = tensors

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What `save_for_backward` kept; RuntimeError if it is freed or was changed in place."""
        if self._saved is FREED:
            self._check_saved()
        for tensor, version, _ in self._saved:
            if isinstance(tensor, Tensor) and tensor._version != version:
                source = tensor._edge or NO_EDGE
                refuse_changed(tensor.array, source, tensor._version, version, self._was_watched)
        return tuple([self._with_place(tensor, nr) for tensor, _, nr in self._saved])

    def _with_place(
        self, kept: Tensor | PackedTensor | None, output_nr: int | None
    ) -> Tensor | None:
        """A saved output gets its place in the graph when asked for: kept, it would be a cycle."""
        tensor = kept.unpack() if isinstance(kept, PackedTensor) else kept
        if tensor is None or output_nr is None or not self._differentiable[output_nr]:
            return tensor
        output = tensor.detach()
        output._edge, output._requires_grad = (self, output_nr), True
        return output

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Say which inputs forward changed in place."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Say which outputs require no gradient."""
        self._non_differentiable = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward gets zeros (the default) or None for outputs nobody used."""
        self._materialize_grads = value

    def backward(self, *dys: Array | None) -> Gradients:
        with no_grad():
            gradients = self._backward_of_tensors(*[None if dy is None else wrap(dy) for dy in dys])
        return tuple([None if gradient is None else gradient.array for gradient in gradients])

    def _backward_of_tensors(self, *dys: Tensor | None) -> tuple[Tensor | None, ...]:
        """`backward` on tensors, in the walk's mode: recorded with `create_graph`."""
        answer = self._function.backward(self, *map(self._gradient_in, dys, self._output_specs))
        gradients = list(answer) if isinstance(answer, tuple) else [answer]
        expected = len(self._argument_shapes)
        while len(gradients) > expected and gradients[-1] is None:
            gradients.pop()
        if len(gradients) != expected:
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients "
                f"(expected {expected}, got {len(gradients)})"
            )
        checked = [self._gradient_out(i, gradient) for i, gradient in enumerate(gradients)]
        of_tensors = [shape is not None for shape in self._argument_shapes]
        return tuple(itertools.compress(checked, of_tensors))

    def _gradient_in(
        self, dy: Tensor | None, spec: tuple[tuple[int, ...], Dtype] | None
    ) -> Tensor | None:
        if dy is not None:
            return dy
        return wrap(np.zeros(*spec)) if spec is not None and self._materialize_grads else None

    def _gradient_out(self, index: int, gradient: Tensor | None) -> Tensor | None:
        """`gradient`, summed to its argument's shape if it is a broadcast of it."""
        shape = self._argument_shapes[index]
        if gradient is None:
            return None
        if shape is None:
            raise RuntimeError(
                f"function {self.name()} returned a gradient different than None at position "
                f"{index + 1}, but the corresponding forward input was not a Variable"
            )
        if not isinstance(gradient, Tensor):
            raise TypeError(
                f"function {self.name()} returned a {type(gradient).__name__} at position "
                f"{index + 1}, expected a Tensor or None"
            )
        if not _is_expandable(shape, gradient.shape):
            raise RuntimeError(
                f"Function {self.name()} returned an invalid gradient at index {index} - got "
                f"{list(gradient.shape)} but expected shape compatible with {list(shape)}"
            )
        return sum_to(gradient, shape)

    def _keep(self, outputs: Sequence[Any]) -> None:
        """Save what `save_for_backward` named, without referring to the outputs themselves."""
        output_nrs = {id(output): output_nr for output_nr, output in enumerate(outputs)}
        saved: list[tuple[Tensor | PackedTensor | None, int, int | None]] = []
        watch = mode.watch
        for tensor in self._to_save:
            output_nr = output_nrs.get(id(tensor))
            if tensor is None:
                saved.append((None, 0, None))
            elif watch is not None and watch.pack is not None:
                saved.append((PackedTensor(tensor, output_nr is None, watch), 0, output_nr))
            else:
                saved.append((_alias(tensor, output_nr is None), tensor._version, output_nr))
        self._saved = tuple(saved)
        self._to_save = ()


def _is_expandable(shape: tuple[int, ...], larger: tuple[int, ...]) -> bool:
    return len(shape) <= len(larger) and all(
        length in (1, wide) for length, wide in zip(reversed(shape), reversed(larger), strict=False)
    )


class PackedTensor:
    """A saved tensor whose values a pack hook keeps, and its place in the graph."""

    def __init__(self, tensor: Tensor, with_history: bool, watch: Watch) -> None:
        self.values = watch.packed(tensor.detach())
        self.edge = edge(tensor) if with_history else NO_EDGE

    def unpack(self) -> Tensor:
        """The tensor again, at its place."""
        assert self.values is not None
        tensor = self.values.unpack().detach()
        if self.edge[0] is not None:
            tensor._edge, tensor._requires_grad = self.edge, True
        return tensor


def _alias(tensor: Tensor, with_history: bool) -> Tensor:
    """The same memory, version counter and history in another object.

    The object itself could come to depend on the node later, by an in-place operation; the graph
    would then have a cycle. A leaf that requires grad cannot, and stays itself.
    """
    if with_history and tensor._requires_grad and tensor.is_leaf:
        return tensor
    alias = tensor.detach()
    if with_history:
        alias._edge, alias._requires_grad = tensor._edge, tensor._requires_grad
    return alias


class Function:
    """Base of user-written operations; see the module's docstring."""

    _ctx_class: ClassVar[type[FunctionCtx]] = FunctionCtx

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make the node class, named as PyTorch names it: ExpBackward for Exp."""
        super().__init_subclass__(**kwargs)
        cls._ctx_class = type(f"{cls.__name__}Backward", (FunctionCtx,), {"_function": cls})

    def __init__(self) -> None:
        warnings.warn(
            f"{type(self).__name__} should not be instantiated. Methods on autograd functions are "
            "all static, so you should invoke them on the class itself.",
            DeprecationWarning,
            stacklevel=2,
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use "
            "new-style autograd function with static forward method."
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """`forward(ctx, *args)`, or `forward(*args)` beside a `setup_context`."""
        raise NotImplementedError(
            "You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Any, ...], output: Any) -> None:
        """What to keep for backward, when `forward` takes no `ctx`."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: FunctionCtx, *grad_outputs: Any) -> Any:
        """The gradients of the positional arguments, from those of the outputs."""
        raise NotImplementedError(
            "You must implement the backward function for custom autograd.Function."
        )

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run forward and record it."""
        takes_ctx = cls.setup_context is Function.setup_context
        if kwargs or not takes_ctx:
            args = _by_place(cls.forward, (None, *args) if takes_ctx else args, kwargs)
            args = args[1:] if takes_ctx else args
        edges = tuple([edge(a) for a in args if isinstance(a, Tensor)])
        ctx = cls._ctx_class()  # after the edges: a node is younger than those it leads to
        ctx.needs_input_grad = tuple([isinstance(a, Tensor) and a.requires_grad for a in args])
        ctx._argument_shapes = [a.shape if isinstance(a, Tensor) else None for a in args]
        recorded = mode.enabled is not False and any(ctx.needs_input_grad)
        with no_grad():
            if takes_ctx:
                output = cls.forward(ctx, *args)
            else:
                output = cls.forward(*args)
                cls.setup_context(ctx, args, output)
        raw = output if isinstance(output, tuple) else (output,)
        ctx._keep(raw)
        results = tuple([_result(ctx, args, value, recorded) for value in raw])
        if recorded:
            _connect(ctx, edges, results)
        return results if isinstance(output, tuple) else results[0]


def _by_place(
    forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, ...]:
    """All arguments of `forward` by place, defaults filled in: each has a place for a gradient."""
    bound = inspect.signature(forward).bind(*args, **kwargs)
    bound.apply_defaults()
    if bound.kwargs:
        names = ", ".join(f"'{name}'" for name in bound.kwargs)
        raise TypeError(f"forward() of a Function takes arguments by place only; {names} is not")
    return bound.args


def _result(ctx: FunctionCtx, args: tuple[Any, ...], value: Any, recorded: bool) -> Any:
    """One output as the caller gets it: an input that was changed in place is the input itself,
    one that was returned unchanged is a view of it."""
    if not isinstance(value, Tensor):
        return value
    if any(value is tensor for tensor in ctx._dirty):
        if recorded and value.requires_grad and value.is_leaf:
            raise RuntimeError(
                "a leaf Variable that requires grad has been used in an in-place operation."
            )
        value._version_cell[0] += 1
        return value
    return view_of(value, value.array) if any(value is a for a in args) else value


def _connect(ctx: FunctionCtx, edges: tuple[Edge, ...], outputs: Sequence[Any]) -> None:
    """Make `ctx` the node of the outputs that take gradients."""
    ctx.edges = edges
    if mode.watch is not None:
        ctx._metadata = mode.watch.notes()
    ctx._num_outputs = len(outputs)
    for output_nr, output in enumerate(outputs):
        if not isinstance(output, Tensor):
            ctx._output_specs.append(None)
            ctx._differentiable.append(False)
            continue
        ctx._output_specs.append((output.shape, output.dtype))
        fixed = any(output is tensor for tensor in ctx._non_differentiable)
        differentiable = is_floating(output.dtype) and not fixed
        ctx._differentiable.append(differentiable)
        output._edge = (ctx, output_nr) if differentiable else None
        output._requires_grad = differentiable
    ctx._non_differentiable = ctx._dirty = ()


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a backward whose result has no gradient of its own: asking for one is an error."""

    @functools.wraps(backward)
    def marked(ctx: FunctionCtx, *dys: Tensor | None) -> Any:
        with no_grad():
            answer = backward(ctx, *dys)
        if not is_grad_enabled() or not any(dy is not None and dy.requires_grad for dy in dys):
            return answer
        answers = answer if isinstance(answer, tuple) else (answer,)
        outputs = [None if value is None else value.detach() for value in answers]
        for output in outputs:
            if output is not None:
                output._edge, output._requires_grad = (Error(()), 0), True
        return tuple(outputs) if isinstance(answer, tuple) else outputs[0]

    return marked


class Error(Node):
    """The node of a gradient that was declared to have none."""

    __slots__ = ()

    def backward(self, *dys: Array | None) -> Gradients:
        raise RuntimeError(
            "trying to differentiate twice a function that was marked with @once_differentiable"
        )
