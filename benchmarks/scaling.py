"""How the cost of a step grows: with workers, with the size of the model, with shards.

    python -m benchmarks.scaling --out benchmarks/results/FILE.json

    workers    1, 2 and 4 processes, each with its own batch: samples per second of all together,
               PyTorch's beside. On fewer cores than workers nothing can be gained; the question is
               how much is lost.
    model      two workers and hardly any samples, networks from a thousand to millions of
               parameters: what lies in exchange, wait and optimizer
    shards     one worker, one batch, cut into more and more shards

All cases of a table take turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.baton import Answer, Participant
from benchmarks.ratios import block_steps
from benchmarks.spans import Step, medians_ms
from benchmarks.table import as_text, number
from benchmarks.timeline import as_step
from benchmarks.turns import slowest, write_weights
from benchmarks.workloads import BY_NAME, workload_of

WORKERS = (1, 2, 4)
SCALED = ("blitz-b64", "mlp1024", "gpt-128")
WIDTHS = (16, 64, 256, 1024, 2048)
SHARDS = (1, 2, 4, 8, 16)
SHARDED = ("digits-mlp", "blitz-b64")
WARM_UP_STEPS = 5


@dataclass(frozen=True)
class Case:
    """One way to run one workload."""

    key: tuple[Any, ...]
    module: str
    spec: Mapping[str, Any]
    ranks: int


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--block-s", type=float, default=0.3)
    parser.add_argument("--out", type=Path, help="a JSON file")
    arguments = parser.parse_args()
    facts = machine.describe()
    run = Turns(arguments.rounds, arguments.block_s)
    tables = {
        "workers": workers_table(run, facts["torch"] is not None),
        "model": model_table(run),
        "shards": shards_table(run),
    }
    if arguments.out is not None:
        arguments.out.write_text(json.dumps({"machine": facts, **tables}, indent=1) + "\n")


class Turns:
    """Runs cases in turns."""

    def __init__(self, rounds: int, block_s: float) -> None:
        self._rounds, self._block_s = rounds, block_s

    def milliseconds(self, cases: Sequence[Case]) -> dict[tuple[Any, ...], float]:
        """The median over the rounds of a step's time, by case."""
        return {
            key: statistics.median(slowest(answers, "wall_s") * 1e3 / steps for answers in rounds)
            for key, (steps, rounds) in self._blocks(cases, "steps").items()
        }

    def phases(self, cases: Sequence[Case]) -> dict[tuple[Any, ...], dict[str, float]]:
        """Milliseconds by phase on rank 0, by case."""
        return {
            key: medians_ms([step for answers in rounds for step in steps_of(answers[0])])
            for key, (_, rounds) in self._blocks(cases, "trace").items()
        }

    def _blocks(
        self, cases: Sequence[Case], command: str
    ) -> dict[tuple[Any, ...], tuple[int, list[list[Answer]]]]:
        """How many steps a block has, and what all ranks answered to each."""
        with tempfile.TemporaryDirectory(prefix="ddp-bench-") as directory, ExitStack() as stack:
            sides = {}
            for number_, case in enumerate(cases):
                sides[case.key] = start(case, Path(directory) / str(number_))
                stack.callback(sides[case.key].close)
            counts = {key: self._steps_in_a_block(side) for key, side in sides.items()}
            if command == "trace":
                for side in sides.values():
                    side.ask("watch")
            found: dict[tuple[Any, ...], list[list[Answer]]] = {key: [] for key in sides}
            for _ in range(self._rounds):
                for key, side in sides.items():
                    found[key].append(side.ask(command, counts[key]))
        return {key: (counts[key], found[key]) for key in sides}

    def _steps_in_a_block(self, side: Participant) -> int:
        side.ask("losses", WARM_UP_STEPS)
        return block_steps(slowest(side.ask("steps", 3), "wall_s") / 3, self._block_s)


def start(case: Case, scratch: Path) -> Participant:
    scratch.mkdir()
    weights = scratch / "weights.npz"
    write_weights(workload_of(case.spec), weights)
    spec = {**case.spec, "weights": str(weights), "meeting": str(scratch / "meeting")}
    return Participant(str(case.key), case.module, spec, case.ranks)


def steps_of(answer: Answer) -> list[Step]:
    return [as_step(step) for step in answer["steps"]]


def workers_table(run: Turns, rival: bool) -> list[dict[str, Any]]:
    """Samples per second by workload, library and number of workers."""
    libraries = {"ddp": ("benchmarks.ours", {"side": "service"})}
    if rival:
        libraries["PyTorch"] = ("benchmarks.rival", {})
    lines = []
    for name in SCALED:
        cases = [
            Case((library, workers), module, {"workload": name, **spec}, workers)
            for workers in WORKERS
            for library, (module, spec) in libraries.items()
        ]
        for (library, workers), ms in run.milliseconds(cases).items():
            per_s = BY_NAME[name].batch * workers / ms * 1e3
            line = {"workload": name, "library": library, "workers": workers}
            lines.append({**line, "step_ms": ms, "samples_per_s": per_s})
    heads = ("samples/s", "", *(f"{n} workers" for n in WORKERS), *(f"{n}:1" for n in WORKERS[1:]))
    print(as_text(heads, [row for name in SCALED for row in worker_rows(name, lines)]), end="\n\n")
    return lines


def worker_rows(name: str, lines: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """A row per library: samples per second, and how many times those of one worker."""
    rows = []
    for library in dict.fromkeys(line["library"] for line in lines):
        mine = [x for x in lines if (x["workload"], x["library"]) == (name, library)]
        rates = [line["samples_per_s"] for line in mine]
        ratios = [f"{rate / rates[0]:.2f}×" for rate in rates[1:]]
        rows.append([name, library, *(f"{rate:.0f}" for rate in rates), *ratios])
    return rows


def model_table(run: Turns) -> list[dict[str, Any]]:
    """What a step costs besides forward and backward, by the number of parameters."""
    cases = []
    for width in WIDTHS:
        spec = {"workload": "mlp1024", "batch": 2, "args": {"sizes": [width, width, width, 10]}}
        spec["shape"] = [width]
        cases.append(Case((width,), "benchmarks.ours_traced", spec, 2))
    lines = []
    for (width,), phases in run.phases(cases).items():
        parameters = 2 * (width * width + width) + 10 * width + 10
        rest = {phase: phases[phase] for phase in ("exchange", "wait", "optimizer")}
        lines.append({"parameters": parameters, **rest, "step": phases["step"]})
    heads = ("parameters (2 workers): ms", "exchange", "wait", "optimizer", "step")
    rows = [[f"{line['parameters']:,}", *map(number, list(line.values())[1:])] for line in lines]
    print(as_text(heads, rows), end="\n\n")
    return lines


def shards_table(run: Turns) -> list[dict[str, Any]]:
    """What one batch costs when it is cut into more shards."""
    lines = []
    for name in SHARDED:
        spec = {"workload": name, "side": "service"}
        cases = [Case((n,), "benchmarks.ours", {**spec, "shards": n}, 1) for n in SHARDS]
        for (shards,), ms in run.milliseconds(cases).items():
            lines.append({"workload": name, "shards": shards, "step_ms": ms})
    rows = [
        [name, *(number(line["step_ms"]) for line in lines if line["workload"] == name)]
        for name in SHARDED
    ]
    print(as_text(("ms by shards (1 worker)", *map(str, SHARDS)), rows))
    return lines


if __name__ == "__main__":
    main()
