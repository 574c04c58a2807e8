"""Layers that make columns of windows, and images of columns."""

from __future__ import annotations

from ddp.autograd.tensor import Tensor
from ddp.nn import functional as F
from ddp.nn.functional.sizes import Size
from ddp.nn.module import Module


class Unfold(Module):
    """The pixels of every window as a column."""

    def __init__(
        self, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C · kh · kw, windows)."""
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, "
            f"stride={self.stride}"
        )


class Fold(Unfold):
    """What columns say of each pixel, added up."""

    def __init__(
        self,
        output_size: Size,
        kernel_size: Size,
        dilation: Size = 1,
        padding: Size = 0,
        stride: Size = 1,
    ) -> None:
        super().__init__(kernel_size, dilation, padding, stride)
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        """(N, C · kh · kw, windows) → (N, C, *output_size)."""
        sizes = (self.kernel_size, self.dilation, self.padding, self.stride)
        return F.fold(input, self.output_size, *sizes)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}, {super().extra_repr()}"
