"""The service's own step: `ddp train` whole, with coordinator, reports and metrics, two workers.

Beside it stands the rival's bare step: PyTorch has no coordinator to compare with.

    dataset        what the config names as its data
    service_row    milliseconds per step of runs that write `metrics.jsonl` as always
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.processes import lines_in, running, seconds_until
from benchmarks.rows import Row
from benchmarks.steps import RIVAL, SERVICE
from benchmarks.turns import add_block, warmed_up
from benchmarks.workloads import BY_NAME, MOMENTUM, Workload, batches
from ddp.data.dataset import ArrayDataset

WORKERS = 2
WARM_UP_STEPS = 3
RUN_S = 1.5


def service_row(workload: Workload, rival: bool, rounds: int, block_s: float) -> Row:
    """Whole runs of ours, the rival's bare steps, and ours, in turns."""
    sides = [SERVICE, *([RIVAL] if rival else [])]
    ours = []
    with warmed_up(workload, WORKERS, sides, block_s) as pairs:
        for _ in range(rounds):
            ours.append(milliseconds_per_step(workload))
            for participant, result in pairs:
                add_block(participant, result)
    bare, *theirs = [result.wall_ms for _, result in pairs]
    return Row(
        section="a step of `ddp train`: coordinator, reports and metrics included",
        name=f"{workload.name}, {WORKERS}",
        unit="ms",
        ours=ours,
        theirs=theirs[0] if theirs else [],
        beside={"bare": bare},
    )


def milliseconds_per_step(workload: Workload) -> float:
    """From the steps written down in RUN_S seconds, or a little more, after the first few."""
    with tempfile.TemporaryDirectory(prefix="ddp-bench-") as directory:
        config, out = Path(directory) / "bench.toml", Path(directory) / "run"
        config.write_text(config_text(workload))
        log = out / "metrics.jsonl"
        argv = [sys.executable, "-m", "launcher", "train", str(config)]
        with running([*argv, "--workers", str(WORKERS), "--out", str(out)]) as process:
            wait_for_more(process, log, WARM_UP_STEPS)
            first, start_s = lines_in(log), time.perf_counter()
            seconds_until(process, lambda: time.perf_counter() - start_s > RUN_S)
            wait_for_more(process, log, lines_in(log))
            return (time.perf_counter() - start_s) / (lines_in(log) - first) * 1e3


def wait_for_more(process: subprocess.Popen[bytes], log: Path, lines: int) -> None:
    """Lines are written in batches: a count is good for timing at the moment it changes."""
    seconds_until(process, lambda: lines_in(log) > lines)


def config_text(workload: Workload) -> str:
    """The workload as a run of the service that nobody will see the end of."""
    momentum = f"momentum = {MOMENTUM}" if workload.optimizer == "SGD" else ""
    clip = "" if workload.clip is None else f"clip_norm = {workload.clip}"
    loss = "ddp.models:token_loss" if workload.tokens else "cross_entropy"
    arguments = ", ".join(f"{key} = {json.dumps(value)}" for key, value in workload.args.items())
    return f"""
[model]
factory = "ddp.models:{workload.model}"
args = {{ {arguments} }}
loss = "{loss}"

[data]
factory = "benchmarks.service:dataset"
args = {{ workload = "{workload.name}" }}

[optimizer]
name = "{workload.optimizer}"
lr = {workload.lr}
{momentum}

[train]
steps = 1000000
global_batch = {workload.batch * WORKERS}
shards = {WORKERS}
{clip}

[checkpoint]
every_epochs = 1000000
"""


def dataset(workload: str) -> tuple[ArrayDataset, None]:
    """The batches of both ranks, in memory; there is no test set."""
    pairs = [pair for rank in range(WORKERS) for pair in batches(BY_NAME[workload], rank)]
    inputs, targets = zip(*pairs, strict=True)
    return ArrayDataset(np.concatenate(inputs), np.concatenate(targets)), None
