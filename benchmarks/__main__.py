"""How fast we are beside PyTorch's DistributedDataParallel, on the same cores, in one run.

    python -m benchmarks                                  # everything: about ten minutes
    python -m benchmarks --only blitz-b64 --rounds 3      # one workload, 1 and 2 workers
    python -m benchmarks --only gpt-128 --workers 1 --clock cpu
    python -m benchmarks --before ../old                  # and another checkout of ours

Both sides train the same model from the same weights on the same inputs; that their first losses
agree is checked before anything is measured.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.ratios import ratio, verdict
from benchmarks.table import as_text, number
from benchmarks.turns import Measured, Who, compare
from benchmarks.workloads import BY_NAME, WORKLOADS, Workload

SCRIPT = Who("ddp, script", "benchmarks.ours", {"side": "script"})
SERVICE = Who("ddp", "benchmarks.ours", {"side": "service"})
RIVAL = Who("PyTorch", "benchmarks.rival")
HEADS = ("workload", "workers", "side", "ms", "ratio", "quartiles", "must", "aim", "")


def main() -> None:
    arguments = parse()
    rival = importlib.util.find_spec("torch") is not None
    if not rival:
        print("PyTorch is not installed here: ours is measured alone", file=sys.stderr)
    rows = []
    for workload in arguments.only or WORKLOADS:
        for ranks in arguments.workers:
            chosen = sides(ranks, rival, arguments.before)
            results = compare(workload, ranks, chosen, arguments.rounds, arguments.block_s)
            new = rows_of(workload, ranks, results, arguments.clock)
            rows += new
            print(f"{workload.name}, {ranks}: done", file=sys.stderr)
    print(as_text(HEADS, rows))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--only", nargs="+", type=workload_named, metavar="WORKLOAD")
    parser.add_argument("--workers", nargs="+", type=int, choices=(1, 2), default=[1, 2])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--block-s", type=float, default=0.3, help="seconds one side's turn takes")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--before", type=Path, help="another checkout to compare with")
    return parser.parse_args()


def workload_named(name: str) -> Workload:
    if name not in BY_NAME:
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(BY_NAME)}, got {name!r}")
    return BY_NAME[name]


def sides(ranks: int, rival: bool, before: Path | None) -> list[Who]:
    """Who takes part; the first one is what the goals are about."""
    ours = [SERVICE] if ranks > 1 else [SCRIPT, SERVICE]
    earlier = []
    if before is not None:
        root = before.resolve()
        earlier = [Who(f"{who.name}, before", who.module, who.spec, root) for who in ours]
    return [*ours, *([RIVAL] if rival else []), *earlier]


def rows_of(
    workload: Workload, ranks: int, results: Mapping[str, Measured], clock: str
) -> list[Sequence[str]]:
    """A line per side; ratios are to PyTorch."""
    rows = []
    rival = results.get(RIVAL.name)
    for name, result in results.items():
        times = result.times(clock)
        cells = [workload.name, str(ranks), name, number(statistics.median(times))]
        if rival is None or result is rival:
            rows.append([*cells, "", "", "", "", ""])
            continue
        found, goal = ratio(times, rival.times(clock)), workload.goals[ranks]
        spread = f"{found.low:.2f}–{found.high:.2f}"
        goals = [f"{goal.must:g}", f"{goal.aim:g}", verdict(found.median, goal)]
        rows.append([*cells, f"{found.median:.2f}", spread, *goals])
    return rows


if __name__ == "__main__":
    main()
