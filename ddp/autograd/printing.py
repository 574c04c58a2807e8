"""How a tensor prints: PyTorch's text, as far as eyes can tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ddp.autograd.node import Array

if TYPE_CHECKING:
    from ddp.autograd.tensor import Tensor

THRESHOLD = 1000  # elements; larger tensors are abbreviated
DIGITS = 4
_DEFAULT_DTYPES = ("float32", "int64", "bool")


def tensor_text(x: Tensor, name: str = "tensor") -> str:
    """`tensor([1., 2.], grad_fn=<MulBackward0>)`."""
    prefix = f"{name}("
    facts = [] if x.dtype.name in _DEFAULT_DTYPES else [f"dtype={x.dtype.name}"]
    if x.grad_fn is not None:
        facts.append(f"grad_fn=<{x.grad_fn.name()}>")
    elif x.requires_grad:
        facts.append("requires_grad=True")
    return prefix + ", ".join([array_text(x.array, len(prefix)), *facts]) + ")"


def array_text(array: Array, indent: int) -> str:
    """The elements in nested brackets, continued lines indented by `indent`."""
    with np.printoptions(threshold=THRESHOLD):
        if array.dtype.kind != "f":
            return np.array2string(array, separator=", ", prefix=" " * indent)
        text: Any = _Element(array).text
        return np.array2string(
            array, separator=", ", prefix=" " * indent, formatter={"float_kind": text}
        )


class _Element:
    """Formats one float the way all of its tensor need: `2.`, `0.5000` or `1.0000e-10`."""

    def __init__(self, array: Array) -> None:
        shown = array[np.isfinite(array)].astype(np.float64)
        finite = np.abs(shown[shown != 0])
        low, high = (finite.min(), finite.max()) if finite.size else (1.0, 1.0)
        self.whole = bool((finite == np.floor(finite)).all())
        self.scientific = bool(high > 1e8 or (not self.whole and (high / low > 1000 or low < 1e-4)))
        self.width = 0
        if array.size <= THRESHOLD:  # non-finite values do not widen a column of whole numbers
            widest = shown if self.whole else array.reshape(-1)
            self.width = max((len(self.text(value)) for value in widest), default=0)

    def text(self, value: float) -> str:
        """`value`, padded to the widest element."""
        if not np.isfinite(value):
            text = str(float(value))
        elif self.scientific:
            text = f"{value:.{DIGITS}e}"
        elif self.whole:
            text = f"{value:.0f}."
        else:
            text = f"{value:.{DIGITS}f}"
        return text.rjust(self.width)
