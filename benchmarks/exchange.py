"""All-reduce between two local processes: our ordered sum beside gloo's, in turns."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.baton import Participant
from benchmarks.ratios import block_steps
from benchmarks.rows import Row

KIB, MIB = 1 << 10, 1 << 20
MUST = {KIB: 20.0, 64 * KIB: 10.0, MIB: 5.0, 25 * MIB: 2.5, 100 * MIB: 2.5}


def exchange_rows(rival: bool, rounds: int, block_s: float) -> list[Row]:
    """A row for each size."""
    with tempfile.TemporaryDirectory(prefix="ddp-bench-") as directory:
        sides = [Participant("ddp", "benchmarks.ours_exchange", {}, 2)]
        try:
            if rival:
                spec = {"meeting": str(Path(directory) / "meeting")}
                sides.append(Participant("gloo", "benchmarks.rival_exchange", spec, 2))
            return [row(sides, nbytes, rounds, block_s) for nbytes in MUST]
        finally:
            for side in sides:
                side.close()


def row(sides: list[Participant], nbytes: int, rounds: int, block_s: float) -> Row:
    """Milliseconds per all-reduce, block by block; each side has checked its sum by itself."""
    for side in sides:
        side.ask("size", nbytes)
    turns = [block_steps(milliseconds(side, 3) / 1e3, block_s) for side in sides]
    values: list[list[float]] = [[] for _ in sides]
    for _ in range(rounds):
        for side, count, found in zip(sides, turns, values, strict=True):
            found.append(milliseconds(side, count))
    return Row(
        section="all-reduce between 2 local workers",
        name=size_name(nbytes),
        unit="ms",
        ours=values[0],
        theirs=values[1] if len(sides) > 1 else [],
        must=MUST[nbytes],
    )


def milliseconds(side: Participant, turns: int) -> float:
    answers = side.ask("steps", turns)
    return float(max(answer["wall_s"] for answer in answers)) / turns * 1e3


def size_name(nbytes: int) -> str:
    """
    >>> size_name(64 * KIB), size_name(25 * MIB)
    ('64 KiB', '25 MiB')
    """
    return f"{nbytes // MIB} MiB" if nbytes >= MIB else f"{nbytes // KIB} KiB"
