"""Where the time of a step goes: spans of time, by phase. Pure.

A span may lie inside another (an exchange starts inside backward): what is inside belongs to the
inner one alone. What no span covers is the step's own bookkeeping, in Python.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

PHASES = ("forward", "backward", "exchange", "wait", "optimizer", "Python")


class Span(NamedTuple):
    """Seconds on one clock for all processes."""

    phase: str
    start_s: float
    stop_s: float


class Step(NamedTuple):
    """A step of one rank, and its spans in the order in which they ended."""

    start_s: float
    stop_s: float
    spans: list[Span]


def by_phase(step: Step) -> dict[str, float]:
    """Seconds in each phase; they add up to the step.

    >>> inner, outer = Span("exchange", 2.0, 3.0), Span("backward", 1.0, 4.0)
    >>> {name: s for name, s in by_phase(Step(0.0, 5.0, [inner, outer])).items() if s}
    {'backward': 2.0, 'exchange': 1.0, 'Python': 2.0}
    """
    seconds = dict.fromkeys(PHASES, 0.0)
    for number, span in enumerate(step.spans):
        seconds[span.phase] += span.stop_s - span.start_s
        outer = _around(span, step.spans[number + 1 :])
        seconds[outer] -= span.stop_s - span.start_s
    seconds["Python"] += step.stop_s - step.start_s
    return seconds


def _around(span: Span, later: Sequence[Span]) -> str:
    """The phase of the nearest span that holds this one: the first to end after it."""
    holding = (s.phase for s in later if s.start_s <= span.start_s and s.stop_s >= span.stop_s)
    return next(holding, "Python")


def medians_ms(steps: Sequence[Step]) -> dict[str, float]:
    """Milliseconds by phase, the median of each over the steps, and of the whole as "step"."""
    tables = [by_phase(step) for step in steps]
    found = {phase: statistics.median(table[phase] for table in tables) for phase in PHASES}
    found["step"] = statistics.median(step.stop_s - step.start_s for step in steps)
    return {phase: seconds * 1e3 for phase, seconds in found.items()}


def fixed_ms(small: Mapping[str, float], full: Mapping[str, float], samples: int) -> float:
    """What forward and backward would take without samples: the line through 1 and `samples`.

    >>> fixed_ms({"forward": 1.5, "backward": 1.5}, {"forward": 6.0, "backward": 6.0}, 10)
    2.0
    """
    one, many = (part["forward"] + part["backward"] for part in (small, full))
    return one - (many - one) / (samples - 1)
