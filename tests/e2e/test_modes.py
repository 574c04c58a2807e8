"""Promise 1 as a user meets it: every way to start a run ends with the same fingerprint.

Compose, the remaining way, needs a Docker engine: test_compose.py.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
from pathlib import Path

import pytest

from tests.helpers.runs import DDP, Run, ddp, fingerprint
from tests.helpers.spawn import ROOT, find_mpiexec, spawn

pytestmark = pytest.mark.slow  # real processes: about a second each

QUICK = ROOT / "configs" / "quick.toml"


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory of `ddp train configs/quick.toml --workers 1`."""
    out = tmp_path_factory.mktemp("alone") / "run"
    done = ddp("train", QUICK, "--workers", "1", "--out", out)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_one_process_leaves_a_summary_metrics_and_a_checkpoint(alone: Path) -> None:
    summary = json.loads((alone / "summary.json").read_text())
    assert summary["transport"] == "solo"
    assert (summary["workers"], summary["shards"], summary["steps"]) == (1, 4, 40)
    assert summary["test_accuracy"] > 0.8
    rows = [json.loads(line) for line in (alone / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 41))
    assert set(rows[0]["seconds"][0]) == {"forward", "backward", "waiting", "optimizer"}
    assert (alone / "step-00000040" / "model.safetensors").exists()


@pytest.mark.parametrize("workers", ["2", "3", "4"])
def test_local_workers_over_zeromq(workers: str, alone: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = ddp("train", QUICK, "--workers", workers, "--out", out)
    assert done.returncode == 0, done.stdout + done.stderr
    assert fingerprint(out) == fingerprint(alone)


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", ["1", "3"])
def test_mpi_ranks(ranks: str, alone: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = spawn([find_mpiexec(), "-n", ranks, *DDP, "train", QUICK, "--out", out])
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("finished 40 steps") == 1
    assert fingerprint(out) == fingerprint(alone)


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


@pytest.mark.parametrize(
    "programs",
    [
        ((*DDP, "coordinator"), (*DDP, "worker")),
        (
            (sys.executable, "-m", "workers", "coordinator"),
            (sys.executable, "-m", "workers", "worker"),
        ),
    ],
    ids=["ddp", "python -m workers"],
)
def test_a_coordinator_and_workers_started_by_hand_in_any_order(
    programs: tuple[tuple[str, ...], tuple[str, ...]], alone: Path, tmp_path: Path
) -> None:
    lead, work = programs
    address, out = free_address(), tmp_path / "run"
    early = Run([*work, "--coordinator", address], tmp_path / "early", out)
    listen = ["--listen", address, "--workers", "2", "--out", str(out)]
    coordinator = Run([*lead, str(QUICK), *listen], tmp_path / "coordinator", out)
    late = Run([*work, "--coordinator", address], tmp_path / "late", out)
    assert coordinator.end(30) == 0
    assert (early.end(5), late.end(5)) == (0, 0)
    assert fingerprint(out) == fingerprint(alone)


def test_threads_of_one_process(alone: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = ddp("train", QUICK, "--workers", "3", "--transport", "threads", "--out", out)
    assert done.returncode == 0, done.stdout + done.stderr
    assert fingerprint(out) == fingerprint(alone)


def test_a_finished_run_is_not_overwritten_and_resuming_it_changes_nothing(
    alone: Path, tmp_path: Path
) -> None:
    again = ddp("train", QUICK, "--workers", "1", "--out", alone)
    assert again.returncode == 2
    assert "--resume" in again.stderr
    assert "--out" in again.stderr
    before = fingerprint(alone)
    resumed = ddp("train", QUICK, "--workers", "2", "--out", alone, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert fingerprint(alone) == before


def test_a_run_whose_coordinator_is_killed_goes_on_from_its_checkpoint(
    alone: Path, tmp_path: Path
) -> None:
    out, address = tmp_path / "run", free_address()
    slower = ["--set", "checkpoint.every_steps=5"]
    listen = ["--listen", address, "--workers", "1", "--out", str(out)]
    coordinator = Run([*DDP, "coordinator", str(QUICK), *listen, *slower], tmp_path / "c", out)
    worker = Run([*DDP, "worker", "--coordinator", address], tmp_path / "w", out)
    coordinator.wait_for_step(12)
    coordinator.process.send_signal(signal.SIGKILL)
    assert coordinator.end(5) == -signal.SIGKILL
    assert worker.end(10) == 1
    assert f"the coordinator at {address}" in worker.text
    done = ddp("train", QUICK, "--workers", "3", "--out", out, "--resume")
    assert done.returncode == 0, done.stderr
    assert fingerprint(out) == fingerprint(alone)
