"""Activations beyond `ReLU`, `Sigmoid` and `Tanh` as layers.

Each is the function of its name with what the constructor was given. `inplace` is accepted, shown
and changes nothing: the result is new memory all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ddp.autograd.tensor import Tensor
from ddp.nn import functional as F
from ddp.nn.factory import Factory
from ddp.nn.layers import Softmax
from ddp.nn.module import Module
from ddp.nn.parameter import Parameter


class _Activation(Module):
    """`function` of any shape. `numbers` are its further arguments, in the order they are shown."""

    function: ClassVar[Callable[..., Tensor]]
    numbers: ClassVar[tuple[str, ...]] = ()
    inplace = False

    def forward(self, input: Tensor) -> Tensor:
        """Any shape → the same, but for `GLU`."""
        return type(self).function(input, *[getattr(self, name) for name in self.numbers])

    def extra_repr(self) -> str:
        shown = [f"{name}={getattr(self, name)!r}" for name in self.numbers]
        return ", ".join([*shown, "inplace=True"] if self.inplace else shown)


class _Plain(_Activation):
    """An activation without numbers."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace


class SELU(_Plain):
    """The self-normalising exponential linear unit."""

    function = staticmethod(F.selu)


class SiLU(_Plain):
    """x · sigmoid(x)."""

    function = staticmethod(F.silu)


class Mish(_Plain):
    """x · tanh(softplus(x))."""

    function = staticmethod(F.mish)


class Hardsigmoid(_Plain):
    """(x + 3) / 6 held within [0, 1]."""

    function = staticmethod(F.hardsigmoid)

    def extra_repr(self) -> str:
        return ""


class Hardswish(_Plain):
    """x · hardsigmoid(x)."""

    function = staticmethod(F.hardswish)

    def extra_repr(self) -> str:
        return ""


class LogSigmoid(_Activation):
    """The logarithm of sigmoid(x)."""

    function = staticmethod(F.logsigmoid)


class Softsign(_Activation):
    """x / (1 + |x|)."""

    function = staticmethod(F.softsign)


class Tanhshrink(_Activation):
    """x - tanh(x)."""

    function = staticmethod(F.tanhshrink)


class LeakyReLU(_Activation):
    """x where x > 0, else `negative_slope` · x."""

    function = staticmethod(F.leaky_relu)
    numbers = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace


class ELU(_Activation):
    """x where x > 0, else `alpha` · (exp(x) - 1)."""

    function = staticmethod(F.elu)
    numbers = ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace


class CELU(ELU):
    """x where x > 0, else `alpha` · (exp(x / alpha) - 1)."""

    function = staticmethod(F.celu)


class GELU(_Activation):
    """x · Φ(x); with `approximate="tanh"` by the formula with tanh."""

    function = staticmethod(F.gelu)
    numbers = ("approximate",)

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate


class Softplus(_Activation):
    """log(1 + exp(beta · x)) / beta; x where beta · x is over the threshold."""

    function = staticmethod(F.softplus)
    numbers = ("beta", "threshold")

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold


class Hardtanh(_Activation):
    """x held within [min_val, max_val]."""

    function = staticmethod(F.hardtanh)
    numbers = ("min_val", "max_val")

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        assert max_val > min_val
        self.min_val = min_val
        self.max_val = max_val
        self.inplace = inplace


class ReLU6(Hardtanh):
    """x held within [0, 6]."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Threshold(_Activation):
    """x where x is over the threshold, else `value`."""

    function = staticmethod(F.threshold)
    numbers = ("threshold", "value")

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold = threshold
        self.value = value
        self.inplace = inplace


class _Shrink(_Activation):
    """0 where |x| ≤ `lambd`."""

    numbers = ("lambd",)

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def extra_repr(self) -> str:
        return str(self.lambd)


class Hardshrink(_Shrink):
    """x where |x| > `lambd`, else 0."""

    function = staticmethod(F.hardshrink)


class Softshrink(_Shrink):
    """x, nearer to 0 by `lambd`, where |x| > `lambd`, else 0."""

    function = staticmethod(F.softshrink)


class PReLU(_Activation):
    """x where x > 0, else `weight` · x, with a slope per channel of (N, C, ...) or one for all."""

    weight: Parameter

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.weight = Parameter(Factory(device, dtype).full(num_parameters, init))

    def forward(self, input: Tensor) -> Tensor:
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class GLU(_Activation):
    """a · sigmoid(b) for the halves a, b of the input along `dim`."""

    function = staticmethod(F.glu)
    numbers = ("dim",)

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim


class Softmin(Softmax):
    """Softmax of -x along `dim`."""

    def forward(self, input: Tensor) -> Tensor:
        """Any shape."""
        return F.softmin(input, self.dim)


class Softmax2d(Module):
    """Softmax over the channels of every pixel."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) or (C, H, W)."""
        if input.ndim not in (3, 4):
            raise ValueError(f"Softmax2d: expected input to be 3D or 4D, got {input.ndim}D instead")
        return F.softmax(input, -3)
