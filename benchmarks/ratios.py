"""What rounds of turns say: medians, and the ratio of neighbours with its spread. Pure.

A ratio is taken within each round, between blocks that ran one right after the other: what else
the machine did then fell on both. Its spread is told by the quartiles over the rounds.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.workloads import Goal


@dataclass(frozen=True)
class Ratio:
    """How many times as fast as the other side: the median over the rounds, and the quartiles."""

    low: float
    median: float
    high: float


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """`theirs` / `ours`, round by round: above 1, ours is faster.

    >>> ratio([1.0, 2.0, 4.0], [4.0, 4.0, 4.0])
    Ratio(low=1.5, median=2.0, high=3.0)
    """
    values = [b / a for a, b in zip(ours, theirs, strict=True)]
    low, high = quartiles(values)
    return Ratio(low, statistics.median(values), high)


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """The lower and the upper quartile, between neighbours on a straight line; of one value: it."""
    if len(values) == 1:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def verdict(value: float, goal: Goal) -> str:
    """What a ratio means for its goal."""
    if value >= goal.aim:
        return "aim"
    return "must" if value >= goal.must else "MISSED"


def agree(ours: Sequence[float], theirs: Sequence[float], rtol: float) -> bool:
    """Whether two runs' losses are the same within `rtol`, none of them infinite or NaN."""
    return len(ours) == len(theirs) and all(
        math.isfinite(a) and math.isclose(a, b, rel_tol=rtol)
        for a, b in zip(ours, theirs, strict=True)
    )


def block_steps(step_s: float, block_s: float) -> int:
    """How many steps fill a block; at least one."""
    return max(1, round(block_s / step_s))
