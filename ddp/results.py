"""What ranks report of their work, as plain numbers, and how such reports are added up. Pure.

Apart from the code that computes them (ddp.train, ddp.evaluate), so that a coordinator, which
computes nothing, need not load a model's code. Left out: the arrays of a report, and its frame
(workers.messages).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec


class ShardResult(msgspec.Struct, frozen=True):
    """What a shard's forward pass gave."""

    shard: int
    loss: float  # mean over its samples
    correct: int | None  # right answers; None: not a classification
    samples: int


class Seconds(msgspec.Struct, frozen=True):
    """Where a rank's time went in a step (up to its report)."""

    forward: float
    backward: float
    waiting: float


class BatchResult(msgspec.Struct, frozen=True):
    """What one batch of the data set gave."""

    loss: float  # mean over its samples
    correct: int | None  # right answers; None: not a classification
    samples: int


def exact_sum(values: Iterable[float]) -> float:
    """The sum of finite values, rounded once, whatever their order; NaN if one is not finite."""
    terms = list(values)
    return math.fsum(terms) if all(map(math.isfinite, terms)) else math.nan


def summarize(results: Sequence[BatchResult]) -> tuple[float, float | None]:
    """The mean loss and the share of right answers (None: not a classification)."""
    samples = sum(result.samples for result in results)
    correct = [result.correct for result in results if result.correct is not None]
    loss = exact_sum(result.loss * result.samples for result in results) / samples
    return loss, sum(correct) / samples if correct else None
