"""Two sides (or more) train the same model in turns: checked first, then measured."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.baton import ROOT, Failure, Participant
from benchmarks.ratios import agree, block_steps
from benchmarks.workloads import SEED, Workload

CHECKED_STEPS = 5
RTOL = 1e-4  # of the losses of the checked steps
CALIBRATION = 3  # blocks of two steps, of which the fastest counts


@dataclass(frozen=True)
class Who:
    """One side: which program, and from which checkout."""

    name: str
    module: str
    spec: Mapping[str, Any] = field(default_factory=dict)
    root: Path = ROOT


@dataclass
class Measured:
    """Milliseconds per step, round by round, of the slowest rank; memory per worker."""

    wall_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    steps: int = 1  # in a block
    peak_mb: float = 0.0  # the largest resident set of any rank
    share_mb: float = 0.0  # shared pages divided among those who share them
    losses: list[list[float]] = field(default_factory=list)  # by rank, of the checked steps

    def times(self, clock: str) -> list[float]:
        return self.cpu_ms if clock == "cpu" else self.wall_ms


def compare(
    workload: Workload, ranks: int, sides: Sequence[Who], rounds: int, block_s: float
) -> dict[str, Measured]:
    """Train on all sides in turns. Raises Failure when their losses differ."""
    with warmed_up(workload, ranks, sides, block_s) as pairs:
        for _ in range(rounds):
            for participant, result in pairs:
                add_block(participant, result)
        for participant, result in pairs:
            note_memory(participant, result)
    return {participant.name: result for participant, result in pairs}


@contextmanager
def warmed_up(
    workload: Workload, ranks: int, sides: Sequence[Who], block_s: float
) -> Iterator[list[tuple[Participant, Measured]]]:
    """All sides' processes, after the steps that are checked."""
    with tempfile.TemporaryDirectory(prefix="ddp-bench-") as directory, ExitStack() as stack:
        weights = Path(directory) / "weights.npz"
        write_weights(workload, weights)
        pairs = []
        for number, who in enumerate(sides):
            meeting = str(Path(directory) / f"meeting-{number}")
            spec = {"workload": workload.name, "weights": str(weights), "meeting": meeting}
            participant = Participant(who.name, who.module, {**spec, **who.spec}, ranks, who.root)
            stack.callback(participant.close)
            pairs.append((participant, Measured()))
        for participant, result in pairs:
            warm_up(participant, result, block_s)
        require_agreement(workload, {who.name: result for who, result in pairs})
        yield pairs


def write_weights(workload: Workload, path: Path) -> None:
    """The initial state that all sides start from."""
    from benchmarks.ours import make_model
    from ddp.autograd.random import manual_seed

    manual_seed(SEED)
    state = make_model(workload).state_dict()
    np.savez(path, **{name: tensor.array for name, tensor in state.items()})


def warm_up(participant: Participant, result: Measured, block_s: float) -> None:
    """Take the steps that are checked, then find how many fill a block."""
    result.losses = [answer["losses"] for answer in participant.ask("losses", CHECKED_STEPS)]
    seconds = slowest(participant.ask("steps", 1), "wall_s")
    if seconds < block_s:
        blocks = [slowest(participant.ask("steps", 2), "wall_s") / 2 for _ in range(CALIBRATION)]
        seconds = min(blocks)
    result.steps = block_steps(seconds, block_s)


def require_agreement(workload: Workload, results: Mapping[str, Measured]) -> None:
    """Raise Failure unless every rank had the same losses on all sides."""
    (reference, expected), *others = [(name, r.losses) for name, r in results.items()]
    for name, losses in others:
        for rank, (ours, theirs) in enumerate(zip(expected, losses, strict=True)):
            if not agree(ours, theirs, RTOL):
                raise Failure(
                    f"{workload.name}: the losses of rank {rank} differ by more than {RTOL:g}: "
                    f"{reference} had {ours}, {name} {theirs}"
                )


def add_block(participant: Participant, result: Measured) -> None:
    answers = participant.ask("steps", result.steps)
    result.wall_ms.append(slowest(answers, "wall_s") / result.steps * 1e3)
    result.cpu_ms.append(slowest(answers, "cpu_s") / result.steps * 1e3)


def slowest(answers: Sequence[Mapping[str, Any]], key: str) -> float:
    return max(float(answer[key]) for answer in answers)


def note_memory(participant: Participant, result: Measured) -> None:
    answers = participant.ask("memory")
    result.peak_mb = max(answer["peak_bytes"] or 0 for answer in answers) / 1e6
    result.share_mb = statistics.mean(answer["share_bytes"] or 0 for answer in answers) / 1e6
