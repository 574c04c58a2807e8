"""From the command to the first committed step: `ddp train` and `torchrun`, two workers each.

Both train the same small network on the digits, in batches of 48 per worker. Ours counts as begun
when the coordinator has written the step down, the rival when rank 0 has.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.processes import LIMIT_S, lines_in, running, seconds_until
from benchmarks.rows import Row

OURS_AT_MOST_S = 0.7
CONFIG = "configs/digits.toml"


def start_row(rival: bool, rounds: int) -> Row:
    ours, theirs = [], []
    for _ in range(rounds + 1):
        ours.append(our_start_s())
        if rival:
            theirs.append(their_start_s())
    ours, theirs = ours[1:], theirs[1:]  # the first ones read from disk and write byte code
    return Row(
        section="process start to first committed step",
        name="digits.toml, 2",
        unit="s",
        ours=ours,
        theirs=theirs,
        must=1.0,
        at_most=OURS_AT_MOST_S,
    )


def our_start_s() -> float:
    with tempfile.TemporaryDirectory(prefix="ddp-bench-") as directory:
        out = Path(directory) / "run"
        train = ["-m", "launcher", "train", CONFIG, "--workers", "2", "--out", str(out)]
        with running([sys.executable, *train]) as process:
            return seconds_until(process, lambda: lines_in(out / "metrics.jsonl") > 0)


def their_start_s() -> float:
    with tempfile.TemporaryDirectory(prefix="ddp-bench-") as directory:
        log = Path(directory) / "steps"
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        argv = [sys.executable, *torchrun, "-m", "benchmarks.rival_digits", str(log)]
        with running(argv) as process:
            seconds = seconds_until(process, lambda: lines_in(log) > 0)
            process.wait(LIMIT_S)  # its workers would outlive it, and take our next start's time
            return seconds
