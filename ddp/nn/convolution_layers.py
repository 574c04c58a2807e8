"""Convolution along one axis and transposed convolution: layers beside `Conv2d`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ddp.autograd.random import RandomSource
from ddp.autograd.tensor import Tensor
from ddp.nn import functional as F
from ddp.nn.convolution import check_groups
from ddp.nn.factory import Factory
from ddp.nn.functional.sizes import Size
from ddp.nn.init import default_weight_and_bias_
from ddp.nn.module import Module
from ddp.nn.parameter import Parameter


class _Convolution(Module):
    """What these layers share: sizes as tuples of `axes` numbers, parameters, print."""

    axes: int
    transposed = False
    output_padding: tuple[int, ...] = ()
    weight: Parameter
    bias: Parameter | None

    def _build(
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
        check_groups(in_channels, out_channels, groups)
        if padding_mode != "zeros":
            raise ValueError(f"padding_mode must be 'zeros', but got padding_mode='{padding_mode}'")
        self.in_channels = in_channels
        self.out_channels = out_channels
        for name, size in sizes.items():
            setattr(self, name, size if isinstance(size, str) else self._tuple(size))
        self.groups = groups
        rows, columns = (out_channels, in_channels // groups)
        if self.transposed:
            rows, columns = in_channels, out_channels // groups
        kernel: tuple[int, ...] = self.kernel_size
        self.weight = Parameter(new.empty(rows, columns, *kernel))
        self.register_parameter("bias", Parameter(new.empty(out_channels)) if bias else None)
        self.reset_parameters(generator)

    def _tuple(self, size: Size) -> tuple[int, ...]:
        return (size,) * self.axes if isinstance(size, int) else tuple(size)

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
            text += f", {name}={value}" if value not in (default, ()) else ""
        return text if self.bias is not None else f"{text}, bias=False"


class Conv1d(_Convolution):
    """Cross-correlation along one axis. weight: (out, in / groups, k), bias: (out,) in channels.

    `padding` may be "same" or "valid". Only zero padding is implemented.
    """

    axes = 1

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
        super().__init__()
        sizes = {
            "kernel_size": kernel_size,
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
        }
        if isinstance(padding, str):
            F.check_padding(padding, (1, self._tuple(stride)[0]))
        new = Factory(device, dtype)
        self._build(in_channels, out_channels, sizes, groups, bias, padding_mode, new, generator)

    def forward(self, input: Tensor) -> Tensor:
        """(N, in_channels, L) → (N, out_channels, Lo)."""
        return F.conv1d(
            input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )


class _ConvTranspose(_Convolution):
    """The transpose of a convolution. weight: (in, out / groups, *kernel), bias: (out,)."""

    transposed = True
    function: Callable[..., Tensor]

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
        super().__init__()
        sizes: dict[str, Size | str] = {
            "kernel_size": kernel_size,
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
            "output_padding": output_padding,
        }
        new = Factory(device, dtype)
        self._build(in_channels, out_channels, sizes, groups, bias, padding_mode, new, generator)

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
