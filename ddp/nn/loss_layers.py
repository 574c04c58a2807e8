"""Losses as modules: `criterion = CrossEntropyLoss(); loss = criterion(logits, target)`.

Each is the function of its name, called with what the constructor was given. `size_average` and
`reduce` are the names by which PyTorch's oldest programs ask for a reduction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ddp.autograd.tensor import Tensor
from ddp.nn import functional as F
from ddp.nn.functional.losses import reduction_of
from ddp.nn.module import Module


class _Loss(Module):
    """`function`, with a `reduction` and the attributes that `options` names."""

    function: ClassVar[Callable[..., Tensor]]
    options: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        if size_average is not None or reduce is not None:
            reduction = reduction_of(reduction, size_average, reduce)
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two tensors, mostly of one shape → 0-d, or one loss each without a reduction."""
        return self._of(input, target)

    def _of(self, *tensors: Tensor) -> Tensor:
        options: dict[str, Any] = {name: getattr(self, name) for name in self.options}
        return type(self).function(*tensors, reduction=self.reduction, **options)


class _WeightedLoss(_Loss):
    """A loss with constant weights, kept as a buffer."""

    options: ClassVar[tuple[str, ...]] = ("weight",)
    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)


class CrossEntropyLoss(_WeightedLoss):
    """`functional.cross_entropy`: logits (N, C, ...) with class indices (N, ...) or probabilities.

    One loss per row without a reduction.
    """

    function = staticmethod(F.cross_entropy)
    options = ("weight", "ignore_index", "label_smoothing")

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Logits and classes → 0-d, or one loss each without a reduction."""
        return F.cross_entropy(
            input,
            target,
            self._buffers.get("weight"),
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(_WeightedLoss):
    """`functional.nll_loss`: log-probabilities (N, C, ...) with class indices (N, ...)."""

    function = staticmethod(F.nll_loss)
    options = ("weight", "ignore_index")

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index


class MSELoss(_Loss):
    """`functional.mse_loss`: squared differences."""

    function = staticmethod(F.mse_loss)


class L1Loss(_Loss):
    """`functional.l1_loss`: absolute differences."""

    function = staticmethod(F.l1_loss)


class SmoothL1Loss(_Loss):
    """`functional.smooth_l1_loss`: squares near zero, absolute values from `beta` on."""

    function = staticmethod(F.smooth_l1_loss)
    options = ("beta",)

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta


class HuberLoss(_Loss):
    """`functional.huber_loss`: squares near zero, absolute values from `delta` on."""

    function = staticmethod(F.huber_loss)
    options = ("delta",)

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta


class BCELoss(_WeightedLoss):
    """`functional.binary_cross_entropy`: probabilities with probabilities."""

    function = staticmethod(F.binary_cross_entropy)


class BCEWithLogitsLoss(_WeightedLoss):
    """`functional.binary_cross_entropy_with_logits`: logits with probabilities."""

    function = staticmethod(F.binary_cross_entropy_with_logits)
    options = ("weight", "pos_weight")
    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.register_buffer("pos_weight", pos_weight)


class KLDivLoss(_Loss):
    """`functional.kl_div`: log-probabilities with probabilities, or with their logarithms."""

    function = staticmethod(F.kl_div)
    options = ("log_target",)

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target


class PoissonNLLLoss(_Loss):
    """`functional.poisson_nll_loss`: rates, or their logarithms, with counts."""

    function = staticmethod(F.poisson_nll_loss)
    options = ("log_input", "full", "eps")

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: bool | None = None,
        eps: float = 1e-8,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps


class GaussianNLLLoss(_Loss):
    """`functional.gaussian_nll_loss`: means and variances with samples."""

    function = staticmethod(F.gaussian_nll_loss)
    options = ("full", "eps")

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full = full
        self.eps = eps

    def forward(  # type: ignore[override]  # the variance is a third input, as in PyTorch
        self, input: Tensor, target: Tensor, var: Tensor | float
    ) -> Tensor:
        """Means, samples, variances → 0-d, or the means' shape without a reduction."""
        options: dict[str, Any] = {name: getattr(self, name) for name in self.options}
        return F.gaussian_nll_loss(input, target, var, reduction=self.reduction, **options)
