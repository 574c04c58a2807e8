"""The time line of a step with two workers: forward, backward, exchange, wait, optimizer, Python.

    python -m benchmarks.timeline --out benchmarks/results/FILE.json --before ../old

Prints a table and draws one step of both ranks, the one of median length, before (another checkout
with its own `benchmarks`), now, and now with the kernels of numba where it is installed. `wait` is
for the other rank and for the bytes, and has the sum over the ranks in it; "Python" is what lies
between the phases. What Python and the overhead of NumPy's calls take inside forward and backward
is estimated by a line through the times with one sample and with all, read off at none: "fixed".
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.baton import ROOT, Participant
from benchmarks.spans import PHASES, Span, Step, fixed_ms, medians_ms
from benchmarks.table import as_text, number
from benchmarks.turns import write_weights
from benchmarks.workloads import BY_NAME, Workload
from ddp import kernels

RANKS, ROUNDS, STEPS, WARM_UP_STEPS = 2, 5, 8, 5
COLORS = dict(
    zip(PHASES, ("#4c78a8", "#72b7b2", "#f58518", "#e8e8e8", "#54a24b", "#b279a2"), strict=True)
)
Lines = list[list[Step]]  # by rank


def main() -> None:
    arguments = parse()
    facts = machine.describe()
    lanes = {"now": (ROOT, "numpy")}
    if arguments.before is not None:
        lanes = {"before": (arguments.before.resolve(), "numpy"), **lanes}
    if kernels.is_available():
        lanes["with numba"] = (ROOT, "numba")
    found = {name: measure(BY_NAME[name], lanes) for name in arguments.only}
    for name, labels in found.items():
        print(report(name, labels), end="\n\n")
    if arguments.out is not None:
        content = {"machine": facts, "workloads": found}
        arguments.out.write_text(json.dumps(content) + "\n")
        if importlib.util.find_spec("matplotlib") is not None:
            draw(found, arguments.out.with_suffix(".png"))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.timeline")
    default = ["blitz-b64", "gpt-128"]
    parser.add_argument("--only", nargs="+", choices=list(BY_NAME), default=default)
    parser.add_argument("--before", type=Path, help="another checkout of ours")
    parser.add_argument("--out", type=Path, help="a JSON file; the picture (.png) comes beside it")
    return parser.parse_args()


def measure(workload: Workload, lanes: dict[str, tuple[Path, str]]) -> dict[str, dict[str, Any]]:
    """By label, of a checkout and kernels: the median step's spans, and milliseconds by phase."""
    with tempfile.TemporaryDirectory(prefix="ddp-bench-") as directory, ExitStack() as stack:
        weights = Path(directory) / "weights.npz"
        write_weights(workload, weights)
        spec = {"workload": workload.name, "weights": str(weights)}
        sides = {}
        for label, (root, kind) in lanes.items():
            for batch in (1, workload.batch):
                own = {**spec, "batch": batch, "kernels": kind}
                side = Participant(label, "benchmarks.ours_traced", own, RANKS, root)
                stack.callback(side.close)
                side.ask("losses", WARM_UP_STEPS)
                side.ask("watch")
                sides[label, batch] = side
        steps: dict[tuple[str, int], Lines] = {key: [[], []] for key in sides}
        for _ in range(ROUNDS):
            for key, side in sides.items():
                for rank, answer in enumerate(side.ask("trace", STEPS)):
                    steps[key][rank] += map(as_step, answer["steps"])
    return {
        label: summarize(steps[label, 1], steps[label, workload.batch], workload.batch)
        for label in lanes
    }


def as_step(value: Sequence[Any]) -> Step:
    start_s, stop_s, spans = value
    return Step(start_s, stop_s, [Span(*span) for span in spans])


def summarize(small: Lines, full: Lines, batch: int) -> dict[str, Any]:
    """What is kept of the steps with one sample and with all."""
    phases = medians_ms(full[0])
    order = sorted(range(len(full[0])), key=lambda n: full[0][n].stop_s - full[0][n].start_s)
    middle = order[len(order) // 2]
    chosen = [rank[middle] for rank in full]
    zero_s = min(step.start_s for step in chosen)
    return {
        "phases_ms": phases,
        "fixed_ms": fixed_ms(medians_ms(small[0]), phases, batch),
        "ranks": [
            [[s.phase, (s.start_s - zero_s) * 1e3, (s.stop_s - zero_s) * 1e3] for s in step.spans]
            + [["Python", (step.start_s - zero_s) * 1e3, (step.stop_s - zero_s) * 1e3]]
            for step in chosen
        ],
    }


def report(name: str, labels: dict[str, dict[str, Any]]) -> str:
    """Milliseconds by phase, a line per checkout."""
    heads = (f"{name}, {RANKS} workers: ms", *PHASES, "step", "fixed")
    rows = [
        (label, *map(number, [*found["phases_ms"].values(), found["fixed_ms"]]))
        for label, found in labels.items()
    ]
    return as_text(heads, rows)


def draw(found: dict[str, dict[str, dict[str, Any]]], path: Path) -> None:
    """A panel per workload; a lane per checkout, kernels and rank."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(
        len(found), 1, figsize=(9, 0.4 + 1.9 * len(found)), layout="constrained", squeeze=False
    )
    for axes, (name, labels) in zip(panels[:, 0], found.items(), strict=True):
        lanes = [
            (f"{label}, rank {r}", lane)
            for label in labels
            for r, lane in enumerate(labels[label]["ranks"])
        ]
        for height, (_, spans) in enumerate(lanes):
            for phase, start_ms, stop_ms in reversed(spans):  # the outer ones first
                axes.barh(height, stop_ms - start_ms, 0.8, start_ms, color=COLORS[phase])
        axes.set_yticks(range(len(lanes)), [title for title, _ in lanes], fontsize=8)
        axes.invert_yaxis()
        axes.set_title(f"{name}, a step with two workers (ms)", loc="left", fontsize=10)
        axes.spines[["top", "right", "left"]].set_visible(False)
    marks = [pyplot.Rectangle((0, 0), 1, 1, color=color) for color in COLORS.values()]
    figure.legend(marks, COLORS, ncols=len(COLORS), loc="outside lower center", frameon=False)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
