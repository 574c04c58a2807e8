"""A line search for the strong Wolfe conditions.

Nocedal and Wright, Numerical Optimization (2006), algorithms 3.5 and 3.6, in the variant of
Mark Schmidt's minFunc that PyTorch uses: cubic interpolation, and a trial that keeps falling near
an end of its bracket is moved away from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Number = Any  # a float, or a NumPy scalar of the parameters' dtype

ARMIJO = 1e-4  # the loss falls at least by this part of what the slope promises
CURVATURE = 0.9  # and the slope flattens at least to this part


class Trial(NamedTuple):
    """The objective at a distance `t` along the direction; `slope` is its derivative there."""

    t: Number
    loss: Number
    gradient: Array
    slope: Number


class Search:
    """One search from `start` (t = 0), with at most `max_evaluations` after the first."""

    def __init__(
        self,
        evaluate: Callable[[Number], Trial],
        start: Trial,
        direction_size: Number,
        max_evaluations: int,
        tolerance_change: float,
    ) -> None:
        self._evaluate = evaluate
        self._start = start
        self._direction_size = direction_size  # its largest component
        self._left = max_evaluations
        self._tolerance_change = tolerance_change
        self.evaluations = 0

    def run(self, t: Number) -> Trial:
        """The best point found, trying `t` first."""
        bracket, done = self._bracket(t)
        return bracket[0] if done else self._zoom(bracket)

    def _try(self, t: Number) -> Trial:
        self.evaluations += 1
        return self._evaluate(t)

    def _falls_too_little(self, trial: Trial) -> bool:
        promised = ARMIJO * trial.t * self._start.slope
        return bool(trial.loss > self._start.loss + promised)

    def _is_flat(self, trial: Trial) -> bool:
        return bool(abs(trial.slope) <= -CURVATURE * self._start.slope)

    def _bracket(self, t: Number) -> tuple[list[Trial], bool]:
        """Two points with a minimum between them, or one that will do and True."""
        previous, trial = self._start, self._try(t)
        rounds = 0
        while self._left > 0:
            rises = rounds > 1 and trial.loss >= previous.loss
            if self._falls_too_little(trial) or rises:
                return [previous, trial], False
            if self._is_flat(trial):
                return [trial], True
            if trial.slope >= 0:
                return [previous, trial], False
            nearest = trial.t + 0.01 * (trial.t - previous.t)
            t = cubic_minimum(previous, trial, nearest, trial.t * 10)
            previous, trial = trial, self._try(t)
            self._left -= 1
            rounds += 1
        return [self._start, trial], False

    def _zoom(self, bracket: list[Trial]) -> Trial:
        """Narrow the bracket until its lower end will do."""
        low = _lower(bracket)
        close_before = False
        while self._left > 0:
            width = abs(bracket[1].t - bracket[0].t)
            if width * self._direction_size < self._tolerance_change:
                break
            t, close_before = _step_inside(bracket, close_before)
            trial = self._try(t)
            self._left -= 1
            high = 1 - low
            if self._falls_too_little(trial) or trial.loss >= bracket[low].loss:
                bracket[high] = trial
                low = _lower(bracket)
                continue
            done = self._is_flat(trial)
            if not done and trial.slope * (bracket[high].t - bracket[low].t) >= 0:
                bracket[high] = bracket[low]
            bracket[low] = trial
            if done:
                break
        return bracket[low]


def _lower(bracket: list[Trial]) -> int:
    return 0 if bracket[0].loss <= bracket[1].loss else 1


def _step_inside(bracket: list[Trial], close_before: bool) -> tuple[Number, bool]:
    """Where to try next, and whether that is close to an end for the first time in a row."""
    left, right = sorted(trial.t for trial in bracket)
    t = cubic_minimum(bracket[0], bracket[1], left, right)
    margin = 0.1 * (right - left)
    if min(right - t, t - left) >= margin:
        return t, False
    if not (close_before or t >= right or t <= left):
        return t, True
    return (right - margin if abs(t - right) < abs(t - left) else left + margin), False


@np.errstate(divide="ignore", invalid="ignore", over="ignore")  # then: half-way
def cubic_minimum(a: Trial, b: Trial, lowest: Number, highest: Number) -> Number:
    """Where the cubic through two points with their slopes is least, within the bounds.

    Half-way between the bounds where the cubic has no minimum.
    """
    first, second = (a, b) if a.t <= b.t else (b, a)
    d1 = first.slope + second.slope - 3 * (first.loss - second.loss) / (first.t - second.t)
    square = d1**2 - first.slope * second.slope
    if not square >= 0:
        return (lowest + highest) / 2.0
    d2 = math.sqrt(square) if isinstance(square, float) else np.sqrt(square)
    part = (second.slope + d2 - d1) / (second.slope - first.slope + 2 * d2)
    t = second.t - (second.t - first.t) * part
    return min(max(t, lowest), highest)
