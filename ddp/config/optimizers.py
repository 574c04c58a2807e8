"""`[optimizer]`: one struct per optimizer, with PyTorch's arguments and defaults.

Those of PyTorch's optimizers that update each element by itself: only they can be split over the
workers without a change of bits. Hints for speed, such as `foreach`, are left out.
"""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec import structs

from ddp.config.section import Fraction, NotNegative, Section
from ddp.errors import ConfigError


class Optimizer(Section, frozen=True, kw_only=True, tag_field="name"):
    """`[optimizer]`: `name` chooses the class; the other keys are its arguments in PyTorch."""

    name: ClassVar[str]
    lr: NotNegative  # before warm-up and schedule

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments for the optimizer's constructor (lr included)."""
        return structs.asdict(self)


class SGD(Optimizer, frozen=True, kw_only=True, tag="SGD"):
    """Stochastic gradient descent; defaults as torch.optim.SGD."""

    name: ClassVar[str] = "SGD"
    momentum: NotNegative = 0.0
    dampening: float = 0.0
    weight_decay: NotNegative = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise ConfigError(
                "'optimizer.nesterov' is true: expected 'optimizer.momentum' above 0 and "
                "'optimizer.dampening' 0 with it"
            )


class Adam(Optimizer, frozen=True, kw_only=True, tag="Adam"):
    """Adam; defaults as torch.optim.Adam (weight decay is added to the gradient)."""

    name: ClassVar[str] = "Adam"
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    eps: NotNegative = 1e-8
    weight_decay: NotNegative = 0.0
    amsgrad: bool = False


class AdamW(Optimizer, frozen=True, kw_only=True, tag="AdamW"):
    """Adam with decoupled weight decay; defaults as torch.optim.AdamW."""

    name: ClassVar[str] = "AdamW"
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    eps: NotNegative = 1e-8
    weight_decay: NotNegative = 0.01
    amsgrad: bool = False


class RMSprop(Optimizer, frozen=True, kw_only=True, tag="RMSprop"):
    """RMSprop; defaults as torch.optim.RMSprop."""

    name: ClassVar[str] = "RMSprop"
    alpha: NotNegative = 0.99
    eps: NotNegative = 1e-8
    weight_decay: NotNegative = 0.0
    momentum: NotNegative = 0.0
    centered: bool = False


class Adagrad(Optimizer, frozen=True, kw_only=True, tag="Adagrad"):
    """Adagrad; defaults as torch.optim.Adagrad."""

    name: ClassVar[str] = "Adagrad"
    lr_decay: NotNegative = 0.0
    weight_decay: NotNegative = 0.0
    initial_accumulator_value: NotNegative = 0.0
    eps: NotNegative = 1e-10


class Adadelta(Optimizer, frozen=True, kw_only=True, tag="Adadelta"):
    """Adadelta; defaults as torch.optim.Adadelta."""

    name: ClassVar[str] = "Adadelta"
    rho: Fraction = 0.9
    eps: NotNegative = 1e-6
    weight_decay: NotNegative = 0.0


class Adamax(Optimizer, frozen=True, kw_only=True, tag="Adamax"):
    """Adam with the largest gradient in place of the second moment; as torch.optim.Adamax."""

    name: ClassVar[str] = "Adamax"
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    eps: NotNegative = 1e-8
    weight_decay: NotNegative = 0.0


class NAdam(Optimizer, frozen=True, kw_only=True, tag="NAdam"):
    """Adam with Nesterov momentum; defaults as torch.optim.NAdam."""

    name: ClassVar[str] = "NAdam"
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    eps: NotNegative = 1e-8
    weight_decay: NotNegative = 0.0
    momentum_decay: NotNegative = 4e-3
    decoupled_weight_decay: bool = False


class RAdam(Optimizer, frozen=True, kw_only=True, tag="RAdam"):
    """Adam with a rectified variance; defaults as torch.optim.RAdam."""

    name: ClassVar[str] = "RAdam"
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    eps: NotNegative = 1e-8
    weight_decay: NotNegative = 0.0
    decoupled_weight_decay: bool = False


AnyOptimizer = SGD | Adam | AdamW | RMSprop | Adagrad | Adadelta | Adamax | NAdam | RAdam
