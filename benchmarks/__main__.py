"""How fast we are beside PyTorch's DistributedDataParallel, on the same cores, in one run.

    python -m benchmarks                                   # everything: a quarter of an hour
    python -m benchmarks --only blitz-b64 --rounds 3       # one workload, 1 and 2 workers
    python -m benchmarks --only gpt-128 --workers 1 --clock cpu
    python -m benchmarks --only start installed
    python -m benchmarks --only mlp1024 --before ../old    # beside another checkout of ours

Both sides train the same model from the same weights on the same inputs; that their first losses
agree is checked before anything is measured. Where PyTorch is missing, ours is measured alone.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import machine
from benchmarks.baton import Failure
from benchmarks.chart import bars, draw_results
from benchmarks.exchange import exchange_rows
from benchmarks.installed import installed_row
from benchmarks.report import for_terminal
from benchmarks.rows import Row, cells, to_json
from benchmarks.service import WORKERS, service_row
from benchmarks.start import start_row
from benchmarks.steps import step_rows
from benchmarks.workloads import BY_NAME, WORKLOADS, Workload

EXTRAS = ("service", "exchange", "start", "installed")
FEW = 3  # rounds of what takes long and varies little


def main() -> int:
    arguments = parse()
    facts = machine.describe()
    rival = facts["torch"] is not None
    if not rival:
        print("PyTorch is not installed here: ours is measured alone", file=sys.stderr)
    rows: list[Row] = []
    try:
        for row in measure(arguments, rival):
            rows.append(row)
            print(" | ".join(cell for cell in cells(row) if cell), file=sys.stderr)
    except Failure as failure:
        print(f"benchmarks: {failure}", file=sys.stderr)
        return 1
    facts["load_after"] = round(os.getloadavg()[0], 2)
    print(for_terminal(rows))
    if arguments.out is not None:
        write(arguments.out, facts, arguments, rows)
        if importlib.util.find_spec("matplotlib") is not None and bars(rows):
            draw_results(arguments.out, arguments.out.with_suffix(".png"))
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [*BY_NAME, *EXTRAS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="ROW")
    parser.add_argument("--workers", nargs="+", type=int, choices=(1, 2), default=[1, 2])
    parser.add_argument("--rounds", type=int, help="default 9")
    parser.add_argument("--quick", action="store_true", help="3 rounds of short turns")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--before", type=Path, help="another checkout of ours to compare with")
    parser.add_argument("--out", type=Path, help="a JSON file; a chart (.png) comes beside it")
    arguments = parser.parse_args()
    arguments.rounds = arguments.rounds or (FEW if arguments.quick else 9)
    arguments.block_s = 0.1 if arguments.quick else 0.3
    return arguments


def measure(arguments: argparse.Namespace, rival: bool) -> Iterator[Row]:
    """The rows that were asked for, one by one."""
    few = min(FEW, arguments.rounds)
    for workload in WORKLOADS:
        if workload.name not in arguments.only:
            continue
        for ranks in arguments.workers:
            yield from steps_of(workload, ranks, arguments, rival)
        if "service" in arguments.only and WORKERS in arguments.workers:
            yield service_row(workload, rival, few, arguments.block_s)
    if "exchange" in arguments.only:
        yield from exchange_rows(rival, arguments.rounds, arguments.block_s)
    if "start" in arguments.only:
        yield start_row(rival, few)
    if "installed" in arguments.only:
        yield installed_row(rival)


def steps_of(
    workload: Workload, ranks: int, arguments: argparse.Namespace, rival: bool
) -> list[Row]:
    return step_rows(
        workload,
        ranks,
        rival,
        importlib.util.find_spec("numba") is not None,
        arguments.before,
        arguments.rounds,
        arguments.block_s,
        arguments.clock,
    )


def write(
    path: Path, facts: dict[str, object], arguments: argparse.Namespace, rows: list[Row]
) -> None:
    """Everything that was measured, with the machine it was measured on."""
    settings = {"rounds": arguments.rounds, "block_s": arguments.block_s, "clock": arguments.clock}
    found = {"machine": facts, "settings": settings, "rows": [to_json(row) for row in rows]}
    path.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
