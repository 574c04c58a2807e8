"""Layers without windows: linear, activations, flatten, dropout, identity.

Constructors take PyTorch's arguments; layers that draw random numbers also take `generator=`
(default: the thread's `current_generator()`), which they use for their initial values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ddp.autograd.random import RandomSource
from ddp.autograd.tensor import Tensor
from ddp.nn import functional as F
from ddp.nn.factory import Factory
from ddp.nn.init import default_weight_and_bias_
from ddp.nn.module import Module
from ddp.nn.parameter import Parameter


class Identity(Module):
    """Gives back its input; takes and ignores any arguments."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        """Any shape."""
        return input


class Linear(Module):
    """y = x @ weightᵀ + bias. weight: (out_features, in_features), bias: (out_features,)."""

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        generator: RandomSource | None = None,
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        new = Factory(device, dtype)
        self.weight = Parameter(new.empty(out_features, in_features))
        self.register_parameter("bias", Parameter(new.empty(out_features)) if bias else None)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: RandomSource | None = None) -> None:
        """Draw the initial values anew."""
        default_weight_and_bias_(self.weight, self.bias, generator)

    def forward(self, input: Tensor) -> Tensor:
        """(..., in_features) → (..., out_features)."""
        weight, bias = self._weight_and_bias()
        return F.linear(input, weight, bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class ReLU(Module):
    """max(x, 0)."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Any shape."""
        return F.relu(input, inplace=self.inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Sigmoid(Module):
    """1 / (1 + exp(-x))."""

    def forward(self, input: Tensor) -> Tensor:
        """Any shape."""
        return F.sigmoid(input)


class Tanh(Module):
    """The hyperbolic tangent."""

    def forward(self, input: Tensor) -> Tensor:
        """Any shape."""
        return F.tanh(input)


class Softmax(Module):
    """Probabilities along `dim`."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """Any shape."""
        return F.softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """Logarithms of the probabilities along `dim`."""

    def forward(self, input: Tensor) -> Tensor:
        """Any shape."""
        return F.log_softmax(input, self.dim)


class Flatten(Module):
    """Axes `start_dim` to `end_dim` become one, in the order of the shape."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C·H·W) by default."""
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Dropout(Module):
    """In training: zero each element with probability `p`, scale the others by 1 / (1 - p).

    The mask comes from `current_generator()` at the time of the call.
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        F.check_dropout_probability(p)
        self.p = p
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Any shape."""
        return F.dropout(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout1d(Dropout):
    """Dropout of whole channels."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, L) or (C, L)."""
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(Dropout):
    """Dropout of whole channels of images."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W)."""
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Unflatten(Module):
    """One axis becomes several, of the sizes `unflattened_size`."""

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C·H·W) → (N, C, H, W) for axis 1 and the sizes (C, H, W)."""
        axis = self.dim % input.ndim
        shape = input.shape
        return input.reshape(*shape[:axis], *self.unflattened_size, *shape[axis + 1 :])

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
