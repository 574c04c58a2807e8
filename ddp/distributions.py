"""The distributions that policies and variational models draw from: Categorical, Bernoulli, Normal.

PyTorch's `torch.distributions`, as far as it is here: names, arguments, errors, and from the same
seed the same samples. `log_prob`, `entropy` and `rsample` have gradients; `sample` has none.

Left out: transforms, independent dimensions, and all other families.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from ddp.autograd.creation import randn, tensor
from ddp.autograd.grad_mode import no_grad
from ddp.autograd.memory import Size
from ddp.autograd.ops import elementwise, sampling, select
from ddp.autograd.tensor import Tensor

Shape = Sequence[int]


class Distribution:
    """Parameters of shape `batch_shape` (Categorical: one axis more), a sample for each."""

    arguments: tuple[str, ...] = ()  # what `repr` tells

    def __init__(self, batch_shape: Shape) -> None:
        self.batch_shape, self.event_shape = Size(batch_shape), Size()

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        """Values of shape `sample_shape` + `batch_shape`, without a gradient."""
        raise NotImplementedError

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability, or of its density, at `value`."""
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """The entropy in nats, per batch element."""
        raise NotImplementedError

    def _extended(self, sample_shape: Shape) -> tuple[int, ...]:
        return (*sample_shape, *self.batch_shape)

    def _require_support(self, value: Tensor, inside: Any, support: str) -> None:
        if not np.all(inside):
            raise ValueError(
                f"Expected value argument (Tensor of shape {tuple(value.shape)}) to be within the "
                f"support ({support}) of the distribution {self!r}, but found invalid values:\n"
                f"{value}"
            )

    def __repr__(self) -> str:
        told = [(name, getattr(self, name)) for name in self.arguments]
        texts = [f"{name}: {x.shape if x.array.ndim else x.item()}" for name, x in told]
        return f"{type(self).__name__}({', '.join(texts)})"


class _ByProbsOrLogits(Distribution):
    """Of `probs` or `logits` one is given, and the other follows from it."""

    probs: Tensor
    logits: Tensor

    def __init__(self, probs: Any, logits: Any) -> None:
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")
        self.arguments = ("logits",) if probs is None else ("probs",)


class Categorical(_ByProbsOrLogits):
    """The numbers 0 … K-1; `probs` (…, K), which are normalised, or `logits`."""

    def __init__(
        self,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        super().__init__(probs, logits)
        given: Any = probs if logits is None else logits
        if given.ndim < 1:
            raise ValueError("`probs` or `logits` parameter must be at least one-dimensional.")
        Distribution.__init__(self, given.shape[:-1])
        if probs is not None:
            _require(
                "probs", probs, (probs.array >= 0) & (probs.array.sum(-1) > 0)[..., None], self
            )
            self.probs = probs / probs.sum(-1, keepdim=True)
            self.logits = _clamped(self.probs).log()
        else:
            self.logits = given - given.logsumexp(-1, keepdim=True)
            self.probs = self.logits.softmax(-1)

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        rows = self.probs.detach().reshape(-1, self.probs.shape[-1])
        drawn = sampling.multinomial(rows, math.prod(sample_shape), replacement=True)
        return drawn.t().reshape(self._extended(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        classes = self.logits.shape[-1]
        inside = (value.array >= 0) & (value.array < classes) & (value.array % 1 == 0)
        support = f"IntegerInterval(lower_bound=0, upper_bound={classes - 1})"
        self._require_support(value, inside, support)
        shape = np.broadcast_shapes(value.shape, self.batch_shape)
        index = value.long().expand(shape).unsqueeze(-1)
        return self.logits.expand((*shape, classes)).gather(-1, index).squeeze(-1)

    def entropy(self) -> Tensor:
        least = float(np.finfo(self.logits.dtype).min)
        return -(select.clamp(self.logits, min=least) * self.probs).sum(-1)


class Bernoulli(_ByProbsOrLogits):
    """0 or 1; `probs` is how likely 1 is, `logits` its log odds."""

    def __init__(
        self,
        probs: Tensor | float | None = None,
        logits: Tensor | float | None = None,
        validate_args: bool | None = None,
    ) -> None:
        super().__init__(probs, logits)
        given = _as_tensor(probs if logits is None else logits)
        Distribution.__init__(self, given.shape)
        if logits is None:
            _require("probs", given, (given.array >= 0) & (given.array <= 1), self)
            self.probs = given
            self.logits = _clamped(given).log() - elementwise.log1p(-_clamped(given))
        else:
            self.logits, self.probs = given, given.sigmoid()

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        return sampling.bernoulli(self.probs.detach().expand(self._extended(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        self._require_support(value, (value.array == 0) | (value.array == 1), "Boolean()")
        return -self._cost(value)

    def entropy(self) -> Tensor:
        return self._cost(self.probs)

    def _cost(self, value: Tensor) -> Tensor:
        """Binary cross entropy: logits - logits · value + log(1 + e^-logits)."""
        x = self.logits
        overflowing = select.clamp(-x, min=0)
        log_sum = ((-overflowing).exp() + (-x - overflowing).exp()).log()
        return x - x * value + overflowing + log_sum


class Normal(Distribution):
    """The mean `loc` and the standard deviation `scale`, broadcast."""

    arguments = ("loc", "scale")

    def __init__(
        self, loc: Tensor | float, scale: Tensor | float, validate_args: bool | None = None
    ) -> None:
        mean, deviation = _as_tensor(loc), _as_tensor(scale)
        shape = np.broadcast_shapes(mean.shape, deviation.shape)
        super().__init__(shape)
        self.loc, self.scale = mean.expand(shape), deviation.expand(shape)
        _require("scale", self.scale, self.scale.array > 0, self)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def stddev(self) -> Tensor:
        return self.scale

    @property
    def variance(self) -> Tensor:
        return self.scale.pow(2)

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        shape = self._extended(sample_shape)
        with no_grad():
            return sampling.normal(self.loc.expand(shape), self.scale.expand(shape))

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """A sample whose gradient flows to `loc` and `scale`."""
        return self.loc + randn(self._extended(sample_shape), dtype=self.loc.dtype) * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        value = _as_tensor(value)
        self._require_support(value, ~np.isnan(value.array), "Real()")
        off = (value - self.loc) ** 2 / (2 * self.variance)
        return -off - self.scale.log() - math.log(math.sqrt(2 * math.pi))

    def entropy(self) -> Tensor:
        return 0.5 + 0.5 * math.log(2 * math.pi) + self.scale.log()


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """KL(p ‖ q) of two distributions of one family, per batch element."""
    if isinstance(p, Normal) and isinstance(q, Normal):
        ratio = (p.scale / q.scale) ** 2
        return 0.5 * (ratio + ((p.loc - q.loc) / q.scale) ** 2 - 1 - ratio.log())
    if isinstance(p, Categorical) and isinstance(q, Categorical):
        return (p.probs * (p.logits - q.logits)).sum(-1)
    raise NotImplementedError(
        f"No KL(p || q) is implemented for p type {type(p).__name__} and q type {type(q).__name__}"
    )


def _as_tensor(value: Any) -> Tensor:
    return tensor(value) if isinstance(value, numbers.Number) else value


def _clamped(probs: Tensor) -> Tensor:
    """Away from 0 and 1 by the last digit, so that logarithms are finite."""
    eps = float(np.finfo(probs.dtype).eps)
    return select.clamp(probs, eps, 1 - eps)


def _require(name: str, parameter: Tensor, inside: Any, distribution: Distribution) -> None:
    if not np.all(inside):
        raise ValueError(
            f"Expected parameter {name} (Tensor of shape {tuple(parameter.shape)}) of distribution "
            f"{type(distribution).__name__} to satisfy its constraint, but found invalid values:\n"
            f"{parameter}"
        )
