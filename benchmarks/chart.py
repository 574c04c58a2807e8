"""A picture of a results file: how many times as fast as PyTorch, workload by workload.

    python -m benchmarks.chart benchmarks/results/FILE.json benchmarks/results/steps.png

Bars are medians, whiskers the quartiles over the rounds, ticks across the bars what must be; the
line at 1 is PyTorch. The scale is logarithmic: twice as fast is as far up as half as fast is down.
Needs matplotlib (`pip install '.[bench]'`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.rows import COMPILED_STEP, STEP, Row, from_json

COLORS = {
    (1, False): "#4c78a8",
    (1, True): "#9ecae9",
    (2, False): "#f58518",
    (2, True): "#ffbf79",
}  # by workers, and whether kernels are compiled
GOAL_LINE: dict[str, Any] = {"color": "black", "linewidth": 1, "linestyle": ":"}
WIDTH = 0.21


@dataclass(frozen=True)
class Bar:
    """One bar: how high, its whisker, and the goal."""

    workload: str
    workers: int
    compiled: bool
    height: float
    low: float
    high: float
    must: float


def bars(rows: Sequence[Row]) -> list[Bar]:
    """The bars of the training steps that were measured on both sides. Pure."""
    found = []
    for row in rows:
        if row.section not in (STEP, COMPILED_STEP) or row.ratio is None or row.must is None:
            continue
        workload, workers = row.name.rsplit(", ", 1)
        spread = row.ratio
        kind = (workload, int(workers), row.section == COMPILED_STEP)
        found.append(Bar(*kind, spread.median, spread.low, spread.high, row.must))
    return found


def draw(chosen: Sequence[Bar], machine: dict[str, Any], path: Path) -> None:
    """Write the chart as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(dict.fromkeys(bar.workload for bar in chosen))
    figure, axes = pyplot.subplots(figsize=(11, 4.4), layout="constrained")
    kinds = [kind for kind in COLORS if any((b.workers, b.compiled) == kind for b in chosen)]
    for number, kind in enumerate(kinds):
        mine = [bar for bar in chosen if (bar.workers, bar.compiled) == kind]
        draw_bars(axes, mine, names, (number - (len(kinds) - 1) / 2) * WIDTH, COLORS[kind])
    axes.axhline(1, color="black", linewidth=1)
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    axes.set_xticks(range(len(names)), names)
    axes.set_ylabel("times as fast as PyTorch")
    axes.set_title("A training step: ddp beside PyTorch's DistributedDataParallel", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.plot([], [], label="what must be", **GOAL_LINE)
    axes.legend(frameon=False)
    caption = f"{machine['processor']}, {machine['cores']} cores, {machine['date'][:10]}"
    figure.text(0.99, 0.965, caption, ha="right", fontsize=7, color="gray")
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def draw_bars(
    axes: Any, chosen: Sequence[Bar], names: Sequence[str], shift: float, color: str
) -> None:
    """The bars of one kind, from the line at 1 up or down."""
    at = [names.index(bar.workload) + shift for bar in chosen]
    heights = [bar.height - 1 for bar in chosen]
    plural = "s" if chosen[0].workers > 1 else ""
    label = f"{chosen[0].workers} worker{plural}{', numba' * chosen[0].compiled}"
    axes.bar(at, heights, WIDTH * 0.92, bottom=1, color=color, label=label)
    for x, bar in zip(at, chosen, strict=True):
        axes.plot([x, x], [bar.low, bar.high], color="black", linewidth=1)
        across = [x - WIDTH * 0.46, x + WIDTH * 0.46]
        axes.plot(across, [bar.must, bar.must], **GOAL_LINE)
        axes.annotate(
            f"{bar.height:.2g}×",
            (x, max(bar.high, 1)),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            fontsize=7,
        )


def draw_results(source: Path, target: Path) -> None:
    """Draw what a results file holds."""
    found = json.loads(source.read_text())
    draw(bars([from_json(row) for row in found["rows"]]), found["machine"], target)


if __name__ == "__main__":
    draw_results(Path(sys.argv[1]), Path(sys.argv[2]))
