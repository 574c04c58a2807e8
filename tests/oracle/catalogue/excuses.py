"""The differences we stand by, each with its reason, from `excuses.toml`.

An excuse names subjects (all with `["*"]`), may name rings, and may quote a part of what the
finding says. The narrower it is, the less it can hide.
"""

from __future__ import annotations

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

    def covers(self, finding: Finding) -> bool:
        return (
            (self.subjects == ("*",) or finding.subject in self.subjects)
            and (not self.rings or finding.ring in self.rings)
            and self.saying in finding.detail
        )


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
