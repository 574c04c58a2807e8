"""Rows of training steps: eight workloads, one and two workers; memory beside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.rows import COMPILED_STEP, STEP, Row
from benchmarks.turns import Measured, Who, compare
from benchmarks.workloads import Workload

SCRIPT = Who("ddp", "benchmarks.ours", {"side": "script"})
REDUCER = Who("reducer", "benchmarks.ours", {"side": "service"})
SERVICE = Who("ddp", "benchmarks.ours", {"side": "service"})
NUMBA = "ddp with numba"
RIVAL = Who("PyTorch", "benchmarks.rival")
MEMORY_OF = "resnet18-64"


def step_rows(
    workload: Workload,
    ranks: int,
    rival: bool,
    numba: bool,
    before: Path | None,
    rounds: int,
    block_s: float,
    clock: str,
) -> list[Row]:
    """The step time of one workload; for one of them the memory of its workers too."""
    chosen = sides(ranks, rival, numba, before)
    results = compare(workload, ranks, chosen, rounds, block_s)
    ours, theirs = results.pop("ddp"), results.pop("PyTorch", None)
    compiled = results.pop(NUMBA, None)
    goal = workload.goals[ranks]
    row = Row(
        section=STEP,
        name=f"{workload.name}, {ranks}",
        unit="ms",
        ours=ours.times(clock),
        theirs=theirs.times(clock) if theirs else [],
        must=goal.must,
        aim=goal.aim,
        beside={name: result.times(clock) for name, result in results.items()},
    )
    rows = [row]
    if compiled is not None:
        rows.append(replace(row, section=COMPILED_STEP, ours=compiled.times(clock), beside={}))
    wanted = workload.name == MEMORY_OF and ranks > 1
    return [*rows, *(memory_rows(ours, theirs) if wanted else [])]


def sides(ranks: int, rival: bool, numba: bool, before: Path | None) -> list[Who]:
    """Who takes part. One worker is a plain script on both sides, our reducer alone beside it."""
    ours = [SERVICE] if ranks > 1 else [SCRIPT, REDUCER]
    compiled = replace(ours[0], name=NUMBA, spec={**ours[0].spec, "kernels": "numba"})
    earlier = []
    if before is not None:
        root = before.resolve()
        earlier = [Who(f"{who.name} before", who.module, who.spec, root) for who in ours]
    return [
        ours[0],
        *([RIVAL] if rival else []),
        *([compiled] if numba else []),
        *ours[1:],
        *earlier,
    ]


def memory_rows(ours: Measured, theirs: Measured | None) -> list[Row]:
    """Resident memory per worker, with shared pages counted in each, and divided."""
    return [
        Row(
            section="memory of a worker",
            name=f"{MEMORY_OF}, 2: {what}",
            unit="MB",
            ours=[of(ours)],
            theirs=[of(theirs)] if theirs else [],
            must=1.0,
        )
        for what, of in (
            ("largest resident set", lambda result: result.peak_mb),
            ("present set, shared pages divided", lambda result: result.share_mb),
        )
    ]
