"""Rows as a report: tables for a terminal, or for a document.

python -m benchmarks.report benchmarks/results/FILE.json      # Markdown
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.rows import HEADS, Row, cells, from_json, missed, sections
from benchmarks.table import as_markdown, as_text, number


def for_terminal(rows: Sequence[Row]) -> str:
    """The tables of all sections, what was measured beside them, and what was missed."""
    parts = [
        as_text((title, *HEADS[1:]), [cells(row) for row in inside])
        for title, inside in sections(rows)
    ]
    beside = [
        (row.name, name, number(statistics.median(values)), row.unit)
        for row in rows
        for name, values in row.beside.items()
    ]
    if beside:
        parts.append(as_text(("beside these", "", "", ""), beside))
    return "\n\n".join([*parts, conclusion(rows)])


def conclusion(rows: Sequence[Row]) -> str:
    """Which goals were missed, and how many could not be judged."""
    short = missed(rows)
    told = f"missed: {'; '.join(short)}" if short else "no goal missed"
    alone = sum(row.must is not None and not row.theirs for row in rows)
    return f"{told}; {alone} not judged, for want of PyTorch" if alone else told


def for_document(rows: Sequence[Row]) -> str:
    """One Markdown table for each section."""
    return "\n\n".join(
        as_markdown((title, *HEADS[1:]), [cells(row) for row in inside])
        for title, inside in sections(rows)
    )


if __name__ == "__main__":
    found = json.loads(Path(sys.argv[1]).read_text())
    print(for_document([from_json(row) for row in found["rows"]]))
