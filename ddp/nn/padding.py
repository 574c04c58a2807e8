"""Padding layers: zeros, a constant, mirrored, the edge again, or the other side."""

from __future__ import annotations

from collections.abc import Sequence

from ddp.autograd.tensor import Tensor
from ddp.nn import functional as F
from ddp.nn.module import Module


class _Pad(Module):
    """Pads the last `axes` axes by `padding`: (before, after) of the last one first."""

    axes: int
    mode = "constant"
    value: float | None = None

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__()
        if isinstance(padding, int):
            padding = (padding,) * (2 * self.axes)
        self.padding = tuple(padding)

    def forward(self, input: Tensor) -> Tensor:
        """(..., H, W) → (..., H + top + bottom, W + left + right)."""
        if self.mode == "circular" and input.ndim - self.axes not in (1, 2):
            raise ValueError(
                f"expected {self.axes + 1}D or {self.axes + 2}D input (got {input.ndim}D input)"
            )
        return F.pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    """Pads with `value`."""

    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """`value` before and after the last axis."""

    axes = 1


class ConstantPad2d(_ConstantPad):
    """`value` around the last two axes."""

    axes = 2


class ZeroPad1d(_Pad):
    """Zeros before and after the last axis."""

    axes = 1


class ZeroPad2d(_Pad):
    """Zeros around the last two axes."""

    axes = 2


class ReflectionPad1d(_Pad):
    """The last axis, mirrored at its ends."""

    axes = 1
    mode = "reflect"


class ReflectionPad2d(_Pad):
    """The last two axes, mirrored at their ends."""

    axes = 2
    mode = "reflect"


class ReplicationPad1d(_Pad):
    """The ends of the last axis again."""

    axes = 1
    mode = "replicate"


class ReplicationPad2d(_Pad):
    """The edges of the last two axes again."""

    axes = 2
    mode = "replicate"


class CircularPad1d(_Pad):
    """The last axis, continued from its other end."""

    axes = 1
    mode = "circular"


class CircularPad2d(_Pad):
    """The last two axes, continued from their other ends."""

    axes = 2
    mode = "circular"


class ConstantPad3d(_ConstantPad):
    """`value` around the last three axes."""

    axes = 3


class ZeroPad3d(_Pad):
    """Zeros around the last three axes."""

    axes = 3


class ReflectionPad3d(_Pad):
    """The last three axes, mirrored at their ends."""

    axes = 3
    mode = "reflect"


class ReplicationPad3d(_Pad):
    """The faces of the last three axes again."""

    axes = 3
    mode = "replicate"


class CircularPad3d(_Pad):
    """The last three axes, continued from their other ends."""

    axes = 3
    mode = "circular"
