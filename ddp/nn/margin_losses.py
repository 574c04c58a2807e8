"""Losses with a margin, as modules."""

from __future__ import annotations

from collections.abc import Callable

from ddp.autograd.tensor import Tensor
from ddp.nn import functional as F
from ddp.nn.loss_layers import _Loss, _WeightedLoss
from ddp.nn.pairs import PairwiseDistance


class SoftMarginLoss(_Loss):
    """`functional.soft_margin_loss`: scores with signs."""

    function = staticmethod(F.soft_margin_loss)


class MultiLabelMarginLoss(_Loss):
    """`functional.multilabel_margin_loss`: scores (N, C) with lists of classes."""

    function = staticmethod(F.multilabel_margin_loss)


class MultiLabelSoftMarginLoss(_WeightedLoss):
    """`functional.multilabel_soft_margin_loss`: scores (N, C) with zeros and ones."""

    function = staticmethod(F.multilabel_soft_margin_loss)


class MultiMarginLoss(_WeightedLoss):
    """`functional.multi_margin_loss`: scores (N, C) with class indices (N,)."""

    function = staticmethod(F.multi_margin_loss)
    options = ("p", "margin", "weight")

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        if p not in (1, 2):
            raise ValueError("only p == 1 and p == 2 supported")
        if weight is not None and weight.ndim != 1:
            raise ValueError("weight must be one-dimensional")
        self.p = p
        self.margin = margin


class HingeEmbeddingLoss(_Loss):
    """`functional.hinge_embedding_loss`: distances with signs."""

    function = staticmethod(F.hinge_embedding_loss)
    options = ("margin",)

    def __init__(
        self,
        margin: float = 1.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin


class _LossOfTwo(_Loss):
    """A loss of two inputs and a target, with a margin."""

    options = ("margin",)

    def __init__(
        self,
        margin: float = 0.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(  # type: ignore[override]  # two inputs, as in PyTorch
        self, input1: Tensor, input2: Tensor, target: Tensor
    ) -> Tensor:
        """Two inputs and their target → 0-d, or one loss each without a reduction."""
        return self._of(input1, input2, target)


class CosineEmbeddingLoss(_LossOfTwo):
    """`functional.cosine_embedding_loss`: vectors that should be alike (1) or not (-1)."""

    function = staticmethod(F.cosine_embedding_loss)


class MarginRankingLoss(_LossOfTwo):
    """`functional.margin_ranking_loss`: which of two is larger."""

    function = staticmethod(F.margin_ranking_loss)


class TripletMarginLoss(_Loss):
    """`functional.triplet_margin_loss`: the positive nearer to the anchor than the negative."""

    function = staticmethod(F.triplet_margin_loss)
    options = ("margin", "p", "eps", "swap")

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        if margin <= 0:
            raise ValueError(
                f"TripletMarginLoss: expected margin to be greater than 0, got {margin} instead"
            )
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(  # type: ignore[override]  # three inputs, as in PyTorch
        self, anchor: Tensor, positive: Tensor, negative: Tensor
    ) -> Tensor:
        """(N, D) each → 0-d, or (N,) without a reduction."""
        return self._of(anchor, positive, negative)


class TripletMarginWithDistanceLoss(_Loss):
    """The same with any function as distance."""

    function = staticmethod(F.triplet_margin_with_distance_loss)
    options = ("distance_function", "margin", "swap")

    def __init__(
        self,
        *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        if margin <= 0:
            raise ValueError(
                "TripletMarginWithDistanceLoss: expected margin to be greater than 0, got "
                f"{margin} instead"
            )
        self.distance_function = distance_function or PairwiseDistance()
        self.margin = margin
        self.swap = swap

    def forward(  # type: ignore[override]  # three inputs, as in PyTorch
        self, anchor: Tensor, positive: Tensor, negative: Tensor
    ) -> Tensor:
        """(N, D) each → 0-d, or (N,) without a reduction."""
        return self._of(anchor, positive, negative)
