"""How a tensor prints: PyTorch's text.

One difference: a dtype is named by this library, `dtype=ddp.float64`, so that what is printed can
be typed in again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ddp.autograd.dtypes import get_default_dtype
from ddp.autograd.node import Array

if TYPE_CHECKING:
    from ddp.autograd.tensor import Tensor


@dataclass
class Options:
    """What `set_printoptions` sets. Tensors of more than `threshold` elements are abbreviated."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES = {
    "default": Options(),
    "short": Options(precision=2, edgeitems=2),
    "full": Options(threshold=math.inf),
}
_options = Options()


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Change how tensors print; `profile` is "default", "short" or "full"."""
    if profile is not None:
        vars(_options).update(vars(_PROFILES[profile]))
    given = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    vars(_options).update({name: value for name, value in given.items() if value is not None})
    _options.sci_mode = sci_mode


def tensor_text(x: Tensor, name: str = "tensor") -> str:
    """`tensor([1., 2.], grad_fn=<MulBackward0>)`."""
    prefix = f"{name}("
    text = "[]" if x.array.size == 0 else array_text(x.array, len(prefix))
    return _with_facts(prefix + text, len(prefix), _facts(x))


def _facts(x: Tensor) -> list[str]:
    facts = []
    if x.array.size == 0 and x.ndim != 1:
        facts.append(f"size={tuple(x.shape)}")
    usual = x.dtype == get_default_dtype() or x.dtype in (np.bool_, np.int64)
    if not usual or (x.array.size == 0 and x.dtype != get_default_dtype()):
        facts.append(f"dtype=ddp.{x.dtype.name}")
    if x.grad_fn is not None:
        facts.append(f"grad_fn=<{x.grad_fn.name().rpartition('::')[2]}>")
    elif x.requires_grad:
        facts.append("requires_grad=True")
    return facts


def _with_facts(text: str, indent: int, facts: list[str]) -> str:
    """Facts follow on the same line while they fit, else on one of their own."""
    length = len(text) - text.rfind("\n") + 1
    for fact in facts:
        if length + len(fact) + 2 > _options.linewidth:
            text += ",\n" + " " * indent + fact
            length = indent + len(fact)
        else:
            text += ", " + fact
            length += len(fact) + 2
    return text + ")"


def array_text(array: Array, indent: int) -> str:
    """The elements in nested brackets, continued lines indented by `indent`."""
    abbreviated = array.size > _options.threshold
    shown = _edges(array) if abbreviated else array
    return _nested(array, indent, abbreviated, _Element(shown))


def _edges(array: Array) -> Array:
    """The elements that an abbreviated text shows."""
    edge = _options.edgeitems
    for axis, length in enumerate(array.shape):
        if length > 2 * edge:
            array = np.take(array, [*range(edge), *range(length - edge, length)], axis)
    return array


def _nested(array: Array, indent: int, abbreviated: bool, element: _Element) -> str:
    if array.ndim == 0:
        return element.text(array[()])
    rows = _visible(array, abbreviated)
    if array.ndim == 1:
        texts = [" ..." if row is None else element.text(row) for row in rows]
        return _line(texts, indent, element.width)
    parts = [
        "..." if row is None else _nested(row, indent + 1, abbreviated, element) for row in rows
    ]
    return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def _visible(array: Array, abbreviated: bool) -> list[Any]:
    """The entries of the first axis; None stands for those that are left out."""
    edge = _options.edgeitems
    if abbreviated and len(array) > 2 * edge:
        return [*array[:edge], None, *array[-edge:]]
    return list(array)


def _line(texts: list[str], indent: int, width: int) -> str:
    """Innermost brackets, broken into as many lines as `linewidth` asks for."""
    per_line = max(1, (_options.linewidth - indent) // (width + 2))
    lines = [", ".join(texts[i : i + per_line]) for i in range(0, len(texts), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


class _Element:
    """Formats one element the way all of its tensor need: `2.`, `0.5000` or `1.0000e-10`."""

    def __init__(self, shown: Array) -> None:
        self.floating = shown.dtype.kind == "f"
        self.whole, self.scientific, self.width = True, False, 1
        if self.floating:
            self._suit(shown[np.isfinite(shown) & (shown != 0)].astype(np.float64))
        else:
            self.width = max((len(str(value)) for value in shown.reshape(-1).tolist()), default=1)

    def _suit(self, values: Array) -> None:
        """Choose the form and the width by the finite values that are not 0."""
        if not values.size:
            return
        sizes = np.abs(values)
        low, high = sizes.min(), sizes.max()
        self.whole = bool((values == np.ceil(values)).all())
        extreme = high / low > 1000.0 or high > 1.0e8 or (not self.whole and low < 1.0e-4)
        self.scientific = bool(extreme) if _options.sci_mode is None else _options.sci_mode
        self.width = max(len(self.text(value)) for value in values)

    def text(self, value: Any) -> str:
        """`value`, padded to the widest element."""
        if not self.floating:
            text = str(value.item())
        elif self.scientific:
            text = f"{float(value):.{_options.precision}e}"
        elif self.whole:
            text = f"{float(value):.0f}" + ("." if np.isfinite(value) else "")
        else:
            text = f"{float(value):.{_options.precision}f}"
        return text.rjust(self.width)
