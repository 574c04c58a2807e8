"""The differences we stand by, each with its reason, from `excuses.toml`.

An excuse names subjects (all with `["*"]`), may name rings, may quote a part of what the finding
says, and of numbers it says `within` what they may be off. The narrower it is, the less it hides;
an error of Python's own (a NameError, say) is never excused.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from tests.oracle.catalogue.finding import Finding

TABLE = Path(__file__).with_name("excuses.toml")


@dataclass(frozen=True)
class Excuse:
    """Why findings on these subjects, in these rings, that say this, may differ."""

    kind: str
    reason: str
    subjects: tuple[str, ...]
    rings: tuple[str, ...] = ()
    saying: str = ""
    within: float = 0.0

    def covers(self, finding: Finding) -> bool:
        return (
            (self.subjects == ("*",) or finding.subject in self.subjects)
            and (not self.rings or finding.ring in self.rings)
            and self.saying in finding.detail
            and not finding.detail.startswith(OURS)
            and off_by(finding) <= self.within
        )


# Errors that only a mistake of our own raises.
OURS = ("AttributeError", "AssertionError", "NameError", "StopIteration", "UnboundLocalError")


def off_by(finding: Finding) -> float:
    """How far numbers are off, 0 for findings about something else (`comparison.py`)."""
    told = re.search(r", off by (\S+)$", finding.detail)
    return 0.0 if told is None else float(told[1])


def load() -> list[Excuse]:
    """All excuses of the table, in its order."""
    rows = tomllib.loads(TABLE.read_text(encoding="utf-8"))["excuse"]
    return [
        Excuse(**row | {key: tuple(row[key]) for key in ("subjects", "rings") if key in row})
        for row in rows
    ]


def excuse_for(finding: Finding, excuses: list[Excuse]) -> Excuse | None:
    """The first excuse that covers it."""
    return next((excuse for excuse in excuses if excuse.covers(finding)), None)
