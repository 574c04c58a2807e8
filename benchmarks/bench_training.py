"""How fast a whole run trains, and how soon it begins, with one worker and with more.

    python benchmarks/bench_training.py                          # 1 and 2 workers in turn, 3 rounds
    python benchmarks/bench_training.py --workers 1 2 4 --rounds 5
    python benchmarks/bench_training.py --transport mpi          # needs an mpiexec

Each run is `ddp train CONFIG` as a user types it, in a directory of its own. The numbers of workers
take turns (1 2, 1 2, …), so that what else the machine does falls on all of them alike. Prints a
JSON line per run and one of medians; `ratio` compares with the first number of workers.

    samples_per_s   training samples over `wall_s`: what summary.json says
    wall_s          all workers ready → last checkpoint written, tests after each epoch included
    first_step_s    command given → first step committed on every worker
    command_s       command given → command ended
    load_before     the machine's load average when the command was given

Runs of one config have equal fingerprints whatever the workers: anything else is an error here.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from launcher.doctor import examine
from launcher.threads import one_thread

ROOT = Path(__file__).parents[1]
LIMIT_S = 600.0
POLL_S = 0.005
MEASURED = ("samples_per_s", "wall_s", "first_step_s", "command_s")


def main() -> None:
    arguments = parse()
    machine = describe_machine()
    runs = []
    for turn in range(arguments.rounds):
        for workers in arguments.workers:
            run = measure(arguments.config, workers, arguments.transport)
            runs.append(run)
            date = datetime.now(UTC).isoformat(timespec="seconds")
            print(json.dumps({"date": date, **machine, "round": turn + 1, **run}), flush=True)
    if len({run["fingerprint"] for run in runs}) > 1:
        sys.exit("the runs ended with different fingerprints: there is a mistake in ddp")
    print(json.dumps({**machine, **summarize(runs, arguments.workers)}))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "digits.toml")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--transport",
        choices=("auto", "zeromq", "threads", "mpi"),
        default="auto",
        help="auto: one worker in this process, more over ZeroMQ",
    )
    return parser.parse_args()


def describe_machine() -> dict[str, Any]:
    """What the numbers depend on."""
    os.environ.update(one_thread(os.environ))  # as every worker has it
    findings = examine(os.environ)
    return {
        "processor": findings["machine"]["processor"],
        "cores": findings["machine"]["cores usable"],
        "python": findings["versions"]["python"],
        "numpy": findings["versions"]["numpy"],
        "blas": findings["BLAS"]["kernel"],
    }


def measure(config: Path, workers: int, transport: str) -> dict[str, Any]:
    """One run from the command to its end."""
    with tempfile.TemporaryDirectory(prefix="ddp-bench-") as directory:
        out = Path(directory) / "run"
        load = os.getloadavg()[0]
        started_s = time.perf_counter()
        process = subprocess.Popen(
            command(config, workers, transport, out),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        try:
            await_first_step(process, out / "metrics.jsonl")
            first_step_s = time.perf_counter() - started_s
            code = process.wait(LIMIT_S)
        finally:
            process.kill()
            process.wait()
        command_s = time.perf_counter() - started_s
        if code != 0:
            sys.exit(f"the run with {workers} workers ended with exit code {code}")
        result = json.loads((out / "summary.json").read_text())
    return {
        "config": config.name,
        "transport": result["transport"],
        "workers": workers,
        "shards": result["shards"],
        "load_before": round(load, 2),
        "samples_per_s": round(result["samples_per_s"], 1),
        "wall_s": round(result["wall_s"], 3),
        "first_step_s": round(first_step_s, 3),
        "command_s": round(command_s, 3),
        "test_accuracy": result["test_accuracy"],
        "fingerprint": result["fingerprint"],
    }


def command(config: Path, workers: int, transport: str, out: Path) -> list[str]:
    train = [sys.executable, "-m", "launcher", "train", str(config), "--out", str(out)]
    if transport == "mpi":
        return [find_mpiexec(), "-n", str(workers), *train]
    return [*train, "--workers", str(workers), "--transport", transport]


def find_mpiexec() -> str:
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    found = shutil.which("mpiexec", path=os.pathsep.join(places))
    return found or sys.exit("there is no mpiexec here: pip install 'ddp[mpi]'")


def await_first_step(process: subprocess.Popen[bytes], metrics: Path) -> None:
    """Wait for the first line of metrics.jsonl, or the end of the process."""
    while process.poll() is None and not (metrics.exists() and metrics.stat().st_size):
        time.sleep(POLL_S)


def summarize(runs: Sequence[dict[str, Any]], counts: Sequence[int]) -> dict[str, Any]:
    """Medians by number of workers, and how many times as fast as with the first number."""
    of = {n: [run for run in runs if run["workers"] == n] for n in counts}
    medians = {
        str(n): {key: round(statistics.median(r[key] for r in of[n]), 3) for key in MEASURED}
        for n in counts
    }
    base = medians[str(counts[0])]["samples_per_s"]
    ratio = {n: round(median["samples_per_s"] / base, 3) for n, median in medians.items()}
    return {"rounds": len(of[counts[0]]), "median": medians, "ratio": ratio}


if __name__ == "__main__":
    main()
