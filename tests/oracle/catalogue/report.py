"""What a run comes to: counts, refusals by what they say, excuses by reason, what is wrong."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from tests.oracle.catalogue.excuses import Excuse, excuse_for
from tests.oracle.catalogue.finding import DIFFERS, EQUAL, REFUSED, Finding, Findings


@dataclass(frozen=True)
class Report:
    """The findings of one database, its differences divided into excused and wrong."""

    findings: Findings
    excused: tuple[tuple[Finding, Excuse], ...]
    wrong: tuple[Finding, ...]

    @property
    def equal(self) -> int:
        return len(self.findings.having(EQUAL))

    @property
    def share(self) -> float:
        """Of all samples of what both have, those that came out equal."""
        return self.equal / max(1, len(self.findings.found))

    def lines(self, wide: bool) -> list[str]:
        """The summary; with every refusal, excuse and absent name if `wide`."""
        refused = self.findings.having(REFUSED)
        told = [
            f"{self.findings.title}: {len(self.findings.covered)} covered, "
            f"{len(self.findings.found):,} samples, {self.equal:,} equal ({self.share:.2%}), "
            f"{len(refused)} refused by name, {len(self.excused)} excused, "
            f"{len(self.wrong)} wrong; {len(self.findings.absent)} only in PyTorch"
        ]
        if wide:
            told += [f"  refused  {line}" for line in _counted(map(_refusal, refused))]
            reasons = (f"{excuse.kind}: {excuse.reason}" for _, excuse in self.excused)
            told += [f"  excused  {line}" for line in _counted(reasons)]
            told.append("  only in PyTorch: " + ", ".join(self.findings.absent))
        told += [f"  WRONG    {w.place}: {' '.join(w.detail.split())[:200]}" for w in self.wrong]
        return told


def report(findings: Findings, excuses: list[Excuse]) -> Report:
    """Divide the differences into what is excused and what is wrong."""
    differing = [(found, excuse_for(found, excuses)) for found in findings.having(DIFFERS)]
    return Report(
        findings,
        tuple((found, excuse) for found, excuse in differing if excuse is not None),
        tuple(found for found, excuse in differing if excuse is None),
    )


def _refusal(finding: Finding) -> str:
    """What a refusal says, without its numbers."""
    said = finding.detail.removeprefix("NotImplementedError: ").removeprefix("AttributeError: ")
    return re.sub(r"\(got .*", "", " ".join(said.split()))[:90]


def _counted(lines: object) -> list[str]:
    return [f"{count:5} × {line}" for line, count in Counter(lines).most_common()]  # type: ignore[call-overload]
