"""Operations that write into a tensor's memory: `add_`, `x[index] = value` and others.

Without a gradient to follow they are one ufunc into the memory. With one, the old value's
history goes on in the new node and the tensor object moves to it; a view carries its base along
(`CopySlices`). Every write bumps the version counter that the tensor shares with its views, so a
node that saved the old value notices. What replaces all values is in `overwrite.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from ddp.autograd.dtypes import can_cast, message_name
from ddp.autograd.grad_mode import mode, no_grad
from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.ops import arithmetic, blend, elementwise, select
from ddp.autograd.ops.broadcast import Operand, number_in, to, unbroadcast
from ddp.autograd.ops.index import as_items
from ddp.autograd.tensor import Tensor, wrap
from ddp.autograd.views import WriteWindow, read_from_base, window_on

Operation = Callable[..., Tensor]


def add_(x: Tensor, other: Operand, *, alpha: float = 1) -> Tensor:
    """x += alpha · other."""
    other = other if alpha == 1 else arithmetic.mul(other, alpha)
    return update(x, np.add, arithmetic.add, other)


def sub_(x: Tensor, other: Operand, *, alpha: float = 1) -> Tensor:
    """x -= alpha · other."""
    other = other if alpha == 1 else arithmetic.mul(other, alpha)
    return update(x, np.subtract, arithmetic.sub, other)


def mul_(x: Tensor, other: Operand) -> Tensor:
    """x *= other."""
    return update(x, np.multiply, arithmetic.mul, other)


def div_(x: Tensor, other: Operand, *, rounding_mode: str | None = None) -> Tensor:
    """x /= other; rounded down with "floor", towards 0 with "trunc"."""
    if rounding_mode is not None:
        return update(x, None, partial(blend.div, rounding_mode=rounding_mode), other)
    return update(x, np.true_divide, arithmetic.div, other)


def pow_(x: Tensor, exponent: Operand) -> Tensor:
    """x **= exponent."""
    return update(x, np.power, arithmetic.pow, exponent)


def neg_(x: Tensor) -> Tensor:
    """x = -x."""
    return update(x, np.negative, arithmetic.neg)


def abs_(x: Tensor) -> Tensor:
    """x = |x|."""
    return update(x, np.abs, arithmetic.abs)


def exp_(x: Tensor) -> Tensor:
    """x = eˣ."""
    return update(x, np.exp, elementwise.exp)


def sqrt_(x: Tensor) -> Tensor:
    """x = √x."""
    return update(x, np.sqrt, elementwise.sqrt)


def clamp_(x: Tensor, min: Operand | None = None, max: Operand | None = None) -> Tensor:
    """x = x held within [min, max]."""
    return update(x, np.clip, select.clamp, min, max)


def setitem(x: Tensor, index: Any, value: Operand) -> Tensor:
    """x[index] = value; returns x."""
    items = as_items(index)
    try:
        recorded = check_and_see_whether_recorded(x, value)
    except RuntimeError:
        _refuse_index(x, items)  # which is what PyTorch looks at first
        raise
    region = value.array if isinstance(value, Tensor) else number_for(x, value)
    writing(x, lambda: x.array.__setitem__(items, region))
    if recorded and x.is_floating_point():
        source = to(value, x.array.dtype) if isinstance(value, Tensor) else wrap(np.array(region))
        written = wrap(x.array)
        is_put = all(isinstance(item, np.ndarray) for item in items)
        node = (IndexPut if is_put else CopySlices).record(written, old_value(x, x.array), source)
        assert node is not None
        node.index, node.value_shape = items, source.array.shape
        rebase(x, written)
    return x


def _refuse_index(x: Tensor, items: tuple[Any, ...]) -> None:
    """Raise IndexError for what PyTorch finds wrong before it comes to lists of places."""
    try:
        x.array[items]
    except IndexError as error:
        lists = [item for item in items if isinstance(item, np.ndarray)]
        if not lists or "too many indices" in str(error):
            raise


def number_for(x: Tensor, value: Any) -> Any:
    is_whole = x.array.dtype.kind in "iu" and isinstance(value, (int, float))
    return number_in(value, x.array.dtype) if is_whole else value


class CopySlices(Node):
    """y = x with y[index] = value;  dx = dy with 0 at the index,  dvalue = dy[index]."""

    __slots__ = ("index", "value_shape")

    index: tuple[Any, ...]
    value_shape: tuple[int, ...]

    def name(self) -> str:
        return "torch::autograd::CopySlices"

    def backward(self, dy: Array) -> Gradients:
        dx = None
        if self.needs(0):
            dx = np.array(dy)
            dx[self.index] = 0
        return dx, unbroadcast(dy[self.index], self.value_shape) if self.needs(1) else None


class IndexPut(CopySlices):
    """The same where the index consists of masks and lists of places."""

    __slots__ = ()

    def name(self) -> str:
        return "IndexPutBackward0"


def update(x: Tensor, ufunc: Any, operation: Operation, *others: Any) -> Tensor:
    """x = operation(x, *others): one `ufunc`, if given, into x's memory if nothing is recorded."""
    if check_and_see_whether_recorded(x, *others):
        computed = operation(old_value(x, x.array.copy()), *others)
        _check_fit(x, computed)
        result = to(computed, x.array.dtype)
        writing(x, lambda: np.copyto(x.array, result.array, casting="no"))
        _follow_version(result, x)
        rebase(x, result)
        return x
    if ufunc is None or x.array.dtype.kind != "f":
        _write_computed(x, operation, *others)
        return x
    arrays = [other.array if isinstance(other, Tensor) else other for other in others]
    writing(x, lambda: ufunc(x.array, *arrays, out=x.array, casting="same_kind"))
    return x


def _write_computed(x: Tensor, operation: Operation, *others: Any) -> None:
    """The result is computed first: of integers and bools, promotion decides whether it fits."""
    with no_grad():
        result = operation(wrap(x.array), *others)
    _check_fit(x, result)
    writing(x, lambda: np.copyto(x.array, result.array, casting="unsafe"))


def _check_fit(x: Tensor, result: Tensor) -> None:
    """Raise RuntimeError if `result` cannot be written into x."""
    if not can_cast(result.array.dtype, x.array.dtype):
        raise RuntimeError(
            f"result type {message_name(result.array.dtype)} can't be cast to the desired output "
            f"type {message_name(x.array.dtype)}"
        )
    if result.array.shape != x.array.shape:
        raise RuntimeError(
            f"output with shape {list(x.shape)} doesn't match the broadcast shape "
            f"{list(result.shape)}"
        )


def check_and_see_whether_recorded(x: Tensor, *others: Operand | None) -> bool:
    """Raise RuntimeError if x must not be written to; say whether the write has a gradient."""
    if not mode.enabled:
        return False
    if x.is_inference():
        raise RuntimeError(
            "Inplace update to inference tensor outside InferenceMode is not allowed. You can make "
            "a clone to get a normal tensor before doing inplace update."
        )
    if x._base is not None:
        _check_view(x, x._base)
    if x._requires_grad and x._edge is None:
        raise RuntimeError(
            "a leaf Variable that requires grad is being used in an in-place operation."
        )
    return x._requires_grad or any(isinstance(o, Tensor) and o.requires_grad for o in others)


def _check_view(x: Tensor, base: Tensor) -> None:
    x._keep_up()
    if not base._requires_grad:
        return
    if x._requires_grad and x._edge is None:
        raise RuntimeError(
            "A view was created in no_grad mode and is being modified inplace with grad mode "
            "enabled. Given that this use case is ambiguous and error-prone, it is forbidden. You "
            "can clarify your code by moving both the view and the inplace either both inside the "
            "no_grad block (if you don't want the inplace to be tracked) or both outside (if you "
            "want the inplace to be tracked)."
        )
    maker, output_nr = x._edge or (None, 0)
    if maker is not None and maker._num_outputs > 1:
        raise RuntimeError(
            f"Output {output_nr} of {maker.name()} is a view and is being modified inplace. This "
            "view is the output of a function that returns multiple views. Such functions do not "
            "allow the output views to be modified inplace. You should replace the inplace "
            "operation by an out-of-place one."
        )
    for node in _between(x, base):
        if hasattr(node, "_function"):
            raise RuntimeError(
                f"Output {output_nr} of {maker.name() if maker else ''} is a view and is being "
                "modified inplace. This view was created inside a custom Function (or because an "
                "input was returned as-is) and the autograd logic to handle view+inplace would "
                "override the custom backward associated with the custom Function, leading to "
                "incorrect gradients. This behavior is forbidden. You can fix this by cloning the "
                "output of the custom Function."
            )
    if base._edge is None:
        raise RuntimeError(
            "a view of a leaf Variable that requires grad is being used in an in-place operation."
        )


def _between(view: Tensor, base: Tensor) -> Iterator[Node]:
    """The nodes from a view back to its base: one per view of a view."""
    node = None if view._edge is None else view._edge[0]
    end = None if base._edge is None else base._edge[0]
    while node is not None and node is not end:
        yield node
        node = node.edges[0][0] if node.edges else None


def writing(x: Tensor, write: Callable[[], Any]) -> None:
    """Do `write`, with NumPy's refusals in PyTorch's words, and count the new version."""
    if not x.array.flags.writeable:
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a "
            "single memory location. Please clone() the tensor before performing the operation."
        )
    try:
        with np.errstate(all="ignore"):
            write()
    except TypeError:
        raise RuntimeError(
            f"result type Float can't be cast to the desired output type {x.array.dtype}"
        ) from None
    except ValueError as error:
        raise RuntimeError(f"output with shape {list(x.shape)} does not fit: {error}") from None
    x._version_cell[0] += 1


def _follow_version(result: Tensor, x: Tensor) -> None:
    """`result` became the value of `x`: a node that saved it is told when x changes again."""
    node = None if result._edge is None else result._edge[0]
    if node is not None:
        node._saved_versions = [
            (x._version_cell, x._version, array) if cell is result._version_cell else entry
            for entry in node._saved_versions
            for cell, _, array in [entry]
        ]


def old_value(x: Tensor, array: Array) -> Tensor:
    """The value x had, at x's old place in the graph."""
    old = wrap(array)
    old._edge, old._requires_grad = x._edge, x._requires_grad
    return old


def rebase(x: Tensor, result: Tensor) -> None:
    """Move x to the place of `result` in the graph; what is retained moves along, hooks stay."""
    if x._base is not None:
        _rebase_view(x, result)
        return
    retained = x._retains_grad
    if retained:
        _stop_retaining(x)
    x._edge, x._requires_grad = result._edge, True
    x._backward_hooks = None
    if retained:
        x.retain_grad()


def become_view(x: Tensor, view: Tensor) -> Tensor:
    """Make x what `view`, a view of it, is: its shape, and its place in the graph if recorded."""
    x.array = view.array
    x._version_cell[0] += 1
    if view._edge is not None:  # what is retained stays with the old place, as in PyTorch
        x._edge, x._backward_hooks = view._edge, None
    return x


def _stop_retaining(x: Tensor) -> None:
    assert x._edge is not None
    node, output_nr = x._edge
    if node is not None and node._hooks is not None:
        node._hooks.retained.pop(output_nr, None)
    x._retains_grad = False


def _rebase_view(x: Tensor, result: Tensor) -> None:
    """The base's new value is its old one with `result` in x's place; x is a view of that."""
    base = x._base
    assert base is not None
    written = wrap(base.array)
    node = WriteWindow.record(written, old_value(base, base.array), result)
    assert node is not None
    node.window = window_on(base.array, x.array)
    rebase(base, written)
    read_from_base(x, base)
