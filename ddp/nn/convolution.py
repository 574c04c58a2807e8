"""Layers of convolution, plain and transposed, along one axis (N, C, L) or two (N, C, H, W)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ddp.autograd.random import RandomSource
from ddp.autograd.tensor import Tensor
from ddp.nn import functional as F
from ddp.nn.factory import Factory
from ddp.nn.functional.sizes import Size
from ddp.nn.init import default_weight_and_bias_
from ddp.nn.module import Module
from ddp.nn.parameter import Parameter

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _ConvNd(Module):
    """What these layers share: sizes as tuples of `axes` numbers, parameters, print."""

    axes: int
    transposed = False
    function: Callable[..., Tensor]
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...] | str
    dilation: tuple[int, ...]
    output_padding: tuple[int, ...]
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        sizes: dict[str, Size | str],
        groups: int,
        bias: bool,
        padding_mode: str,
        new: Factory,
        generator: RandomSource | None,
    ) -> None:
        super().__init__()
        _check_groups(in_channels, out_channels, groups)
        self.in_channels = in_channels
        self.out_channels = out_channels
        for name, size in sizes.items():
            repeated = (size,) * self.axes if isinstance(size, int) else tuple(size)
            setattr(self, name, size if isinstance(size, str) else repeated)
        self.groups = groups
        self.padding_mode = padding_mode
        rows, columns = out_channels, in_channels // groups
        if self.transposed:
            rows, columns = in_channels, out_channels // groups
        self.weight = Parameter(new.empty(rows, columns, *self.kernel_size))
        self.register_parameter("bias", Parameter(new.empty(out_channels)) if bias else None)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: RandomSource | None = None) -> None:
        """Draw the initial values anew."""
        default_weight_and_bias_(self.weight, self.bias, generator)

    def extra_repr(self) -> str:
        zero, one = (0,) * self.axes, (1,) * self.axes
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        text += f", stride={self.stride}"
        defaults = {"padding": zero, "dilation": one, "output_padding": zero, "groups": 1}
        for name, default in defaults.items():
            value = getattr(self, name)
            text += f", {name}={value}" if value != default else ""
        text += ", bias=False" if self.bias is None else ""
        return text if self.padding_mode == "zeros" else f"{text}, padding_mode={self.padding_mode}"


class _Conv(_ConvNd):
    """Cross-correlation. weight: (out, in / groups, *kernel), bias: (out,) in channels.

    `padding` may be "same" or "valid". `padding_mode` says what is put around the input: "zeros",
    or what `functional.pad` has: "reflect", "replicate", "circular".
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
        *,
        generator: RandomSource | None = None,
    ) -> None:
        if padding_mode not in PADDING_MODES:
            raise ValueError(
                f"padding_mode must be one of {PADDING_MODES}, but got "
                f"padding_mode='{padding_mode}'"
            )
        sizes: dict[str, Size | str] = {
            "kernel_size": kernel_size,
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
            "output_padding": 0,
        }
        F.check_padding(padding, stride)
        new = Factory(device, dtype)
        super().__init__(
            in_channels, out_channels, sizes, groups, bias, padding_mode, new, generator
        )

    def forward(self, input: Tensor) -> Tensor:
        """(N, in_channels, ...) → (N, out_channels, ...), or both without N."""
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, self._frame(), self.padding_mode), (0,) * self.axes
        weight, bias = self._weight_and_bias()
        return type(self).function(
            input, weight, bias, self.stride, padding, self.dilation, self.groups
        )

    def _frame(self) -> list[int]:
        """Before and after, the last axis first, as `functional.pad` takes it."""
        frame: list[int] = []
        for axis in reversed(range(self.axes)):
            if isinstance(self.padding, str):
                total = self.dilation[axis] * (self.kernel_size[axis] - 1)
                total = total if self.padding == "same" else 0
                frame += [total // 2, total - total // 2]
            else:
                frame += [self.padding[axis]] * 2
        return frame


class Conv1d(_Conv):
    """Cross-correlation of sequences, (N, C, L) or (C, L)."""

    axes = 1
    function = staticmethod(F.conv1d)


class Conv2d(_Conv):
    """Cross-correlation of images, (N, C, H, W) or (C, H, W)."""

    axes = 2
    function = staticmethod(F.conv2d)


class _ConvTranspose(_ConvNd):
    """The transpose of a convolution. weight: (in, out / groups, *kernel), bias: (out,)."""

    transposed = True
    padding: tuple[int, ...]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
        *,
        generator: RandomSource | None = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        sizes: dict[str, Size | str] = {
            "kernel_size": kernel_size,
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
            "output_padding": output_padding,
        }
        new = Factory(device, dtype)
        super().__init__(
            in_channels, out_channels, sizes, groups, bias, padding_mode, new, generator
        )

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """(N, in_channels, ...) → (N, out_channels, ...); `output_size` picks one of the sizes
        that a convolution would bring to the input's."""
        extra = self.output_padding
        if output_size is not None:
            extra = self._output_padding(input, output_size)
        return type(self).function(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            extra,
            self.groups,
            self.dilation,
        )

    def _output_padding(self, input: Tensor, output_size: Sequence[int]) -> tuple[int, ...]:
        wanted = output_size[-self.axes :]
        sizes = (input.shape[-self.axes :], self.stride, self.padding, self.dilation)
        smallest = [
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(*sizes, self.kernel_size, strict=True)
        ]
        largest = [size + s - 1 for size, s in zip(smallest, self.stride, strict=True)]
        fits = [a <= w <= b for a, w, b in zip(smallest, wanted, largest, strict=True)]
        if not all(fits):
            raise ValueError(
                f"requested an output size of {wanted}, but valid sizes range from "
                f"{smallest} to {largest} (for an input of {input.shape[-self.axes :]})"
            )
        return tuple([w - a for w, a in zip(wanted, smallest, strict=True)])


class ConvTranspose1d(_ConvTranspose):
    """The transpose of `Conv1d`."""

    axes = 1
    function = staticmethod(F.conv_transpose1d)


class ConvTranspose2d(_ConvTranspose):
    """The transpose of `Conv2d`."""

    axes = 2
    function = staticmethod(F.conv_transpose2d)


def _check_groups(in_channels: int, out_channels: int, groups: int) -> None:
    """Raise ValueError unless both numbers of channels can be cut into `groups`."""
    if groups <= 0:
        raise ValueError("groups must be a positive integer")
    if in_channels % groups:
        raise ValueError("in_channels must be divisible by groups")
    if out_channels % groups:
        raise ValueError("out_channels must be divisible by groups")
