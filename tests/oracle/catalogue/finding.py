"""What came of one sample, and how a run's findings are counted.

A sample is *equal* (same structure, shape, dtype, values within tolerance, gradients; or an error
of the same class), *refused* (ours raised NotImplementedError or AttributeError, or has no such
dtype), or *differs*. A difference stands only with an excuse from `excuses.toml`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

EQUAL, REFUSED, DIFFERS = "equal", "refused", "differs"


@dataclass(frozen=True)
class Finding:
    """The verdict on sample `number` of `subject`, as run by `ring` (float32, errors, …)."""

    subject: str
    ring: str
    number: int
    verdict: str
    detail: str = ""

    @property
    def place(self) -> str:
        return f"{self.subject} {self.ring} #{self.number}"

    @property
    def names_what_is_absent(self) -> bool:
        """Whether ours said that it has no such name at all."""
        return self.verdict == REFUSED and self.detail.startswith("AttributeError")


@dataclass
class Findings:
    """All findings of one database, and the names only PyTorch has."""

    title: str
    found: list[Finding] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)

    @property
    def covered(self) -> set[str]:
        """The subjects with at least one equal sample."""
        return {finding.subject for finding in self.found if finding.verdict == EQUAL}

    def having(self, verdict: str) -> list[Finding]:
        return [finding for finding in self.found if finding.verdict == verdict]
