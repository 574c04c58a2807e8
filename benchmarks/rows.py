"""A row: one thing measured on both sides, round by round, beside its goal. Pure.

Smaller is better for whatever a row holds (milliseconds, seconds, megabytes), so the ratio is
always theirs / ours, and above 1 we are ahead.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.ratios import Ratio, ratio
from benchmarks.table import number

HEADS = ("", "ddp", "PyTorch", "", "ratio", "quartiles", "must", "aim", "reached")
MISSED = "MISSED"

# Sections of which there is a chart: NumPy computes, or kernels compiled by numba.
STEP = "a training step"
COMPILED_STEP = "a training step, kernels compiled by numba"


@dataclass(frozen=True, kw_only=True)
class Row:
    """Values of one thing. Goals are ratios, but for `at_most`, which limits our own value."""

    section: str
    name: str
    unit: str
    ours: list[float]
    theirs: list[float] = field(default_factory=list)  # empty: not measured
    must: float | None = None
    aim: float | None = None
    at_most: float | None = None
    beside: dict[str, list[float]] = field(default_factory=dict)  # other variants, by name

    @property
    def ratio(self) -> Ratio | None:
        return ratio(self.ours, self.theirs) if self.theirs else None

    @property
    def reached(self) -> str:
        """ "aim", "must" or "MISSED"; empty without a goal, or without the other side."""
        within = self.at_most is None or statistics.median(self.ours) <= self.at_most
        found = self.ratio
        if self.must is None or found is None:
            return "" if self.at_most is None else "must" if within else MISSED
        if not within or found.median < self.must:
            return MISSED
        return "aim" if self.aim is not None and found.median >= self.aim else "must"


def cells(row: Row) -> tuple[str, ...]:
    """The row for a table under HEADS."""
    found = row.ratio
    must = [] if row.must is None else [f"{row.must:g}×"]
    must += [] if row.at_most is None else [f"≤ {row.at_most:g} {row.unit}"]
    return (
        row.name,
        number(statistics.median(row.ours)),
        number(statistics.median(row.theirs)) if row.theirs else "",
        row.unit,
        "" if found is None else f"{number(found.median)}×",
        "" if found is None else f"{number(found.low)}–{number(found.high)}",
        ", ".join(must),
        "" if row.aim is None else f"{row.aim:g}×",
        row.reached,
    )


def sections(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """The rows by section, in the order in which sections first come."""
    names = list(dict.fromkeys(row.section for row in rows))
    return [(name, [row for row in rows if row.section == name]) for name in names]


def missed(rows: Iterable[Row]) -> list[str]:
    """The rows whose goal was missed; those of compiled kernels with a word that they are."""
    return [
        f"{row.name} with numba" if row.section == COMPILED_STEP else row.name
        for row in rows
        if row.reached == MISSED
    ]


def to_json(row: Row) -> dict[str, Any]:
    """The row with what follows from it, for a results file."""
    found = row.ratio
    return {
        **asdict(row),
        "ours_median": statistics.median(row.ours),
        "theirs_median": statistics.median(row.theirs) if row.theirs else None,
        "ratio": None if found is None else asdict(found),
        "reached": row.reached,
    }


def from_json(value: dict[str, Any]) -> Row:
    """The row of a results file."""
    return Row(**{key: value[key] for key in Row.__dataclass_fields__})
