"""What a user sees when a worker dies, hangs, leaves or raises, and that nothing is lost.

Each fault hits one worker in the middle of an epoch, under local ZeroMQ and under mpiexec. All
others must be gone within 5 s (a stopped worker is found by its heartbeat), the exit code is not
0, the culprit is named, no process is left, and --resume ends with the undisturbed fingerprint.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers.faults import STEPS, write_config
from tests.helpers.spawn import environment, find_mpiexec, kill_group

pytestmark = pytest.mark.slow  # real processes: two to four seconds each

TRANSPORTS = ["zeromq", pytest.param("mpi", marks=pytest.mark.mpi)]
WORKERS = 3
END_LIMIT_S = 5.0
DDP = (sys.executable, "-m", "launcher")


def command(transport: str, config: Path, out: Path, *more: str) -> list[str]:
    train = [*DDP, "train", str(config), "--out", str(out), *more]
    if transport == "mpi":
        return [find_mpiexec(), "-n", str(WORKERS), *train]
    return [*train, "--workers", str(WORKERS)]


class Run:
    """A training run under way, its output in a file."""

    def __init__(self, argv: list[str], log: Path, out: Path) -> None:
        self.log, self.out = log, out
        with log.open("w") as file:
            self.process = subprocess.Popen(
                argv,
                env=environment({"PYTHONUNBUFFERED": "1"}),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                text=True,
            )

    @property
    def text(self) -> str:
        return self.log.read_text()

    def wait_for_step(self, step: int) -> None:
        metrics = self.out / "metrics.jsonl"
        self.wait_until(lambda: metrics.exists() and metrics.read_text().count("\n") >= step)

    def wait_until(self, is_so, limit_s: float = 30.0) -> None:  # type: ignore[no-untyped-def]
        deadline_s = time.monotonic() + limit_s
        while not is_so():
            assert time.monotonic() < deadline_s, f"not within {limit_s} s:\n{self.text}"
            assert self.process.poll() is None, f"it ended early:\n{self.text}"
            time.sleep(0.01)

    def pids(self) -> dict[int, int]:
        """The worker processes by rank, as the run tells them."""
        return {
            int(r): int(p) for r, p in re.findall(r"rank (\d+) \([^,]+, pid (\d+)\)", self.text)
        }

    def end(self, limit_s: float) -> int:
        try:
            return self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            pytest.fail(f"still running after {limit_s} s:\n{self.text}")
        finally:
            kill_group(self.process)  # type: ignore[arg-type]


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def assert_all_gone(pids: dict[int, int], limit_s: float = 2.0) -> None:
    deadline_s = time.monotonic() + limit_s
    while any(is_alive(pid) for pid in pids.values()):
        assert time.monotonic() < deadline_s, f"left behind: {pids}"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The fingerprint of the run that nothing happens to."""
    directory = tmp_path_factory.mktemp("undisturbed")
    config, out = write_config(directory), directory / "run"
    subprocess.run(
        [*DDP, "train", str(config), "--out", str(out), "--workers", "1"],
        env=environment(),
        check=True,
        capture_output=True,
        timeout=60,
    )
    return fingerprint(out)


def fingerprint(out: Path) -> str:
    summary = json.loads((out / "summary.json").read_text())
    assert summary["steps"] == STEPS
    return str(summary["fingerprint"])


def assert_resumes(config: Path, out: Path, expected: str) -> None:
    """The same command with --resume and another number of workers ends with the same bits."""
    argv = [*DDP, "train", str(config), "--out", str(out), "--workers", "2", "--resume"]
    done = subprocess.run(
        argv, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "going on after step" in done.stdout
    assert fingerprint(out) == expected


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("number", "limit_s"), [(signal.SIGKILL, END_LIMIT_S), (signal.SIGSTOP, 2.0 + END_LIMIT_S)]
)
def test_a_killed_or_stopped_worker_ends_the_run_and_nothing_is_lost(
    tmp_path: Path, transport: str, number: signal.Signals, limit_s: float, undisturbed: str
) -> None:
    config, out = write_config(tmp_path), tmp_path / "run"
    run = Run(command(transport, config, out), tmp_path / "log", out)
    run.wait_for_step(20)
    pids = run.pids()
    os.kill(pids[1], number)
    code = run.end(limit_s)
    assert code != 0
    assert f"pid {pids[1]}" in run.text.split("\n", 2)[2].casefold()
    assert_all_gone(pids)
    assert_resumes(config, out, undisturbed)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_sigterm_to_one_worker_ends_the_run_at_a_step_border_with_a_checkpoint(
    tmp_path: Path, transport: str, undisturbed: str
) -> None:
    config, out = write_config(tmp_path), tmp_path / "run"
    run = Run(command(transport, config, out), tmp_path / "log", out)
    run.wait_for_step(20)
    pids = run.pids()
    os.kill(pids[1], signal.SIGTERM)
    assert run.end(END_LIMIT_S) == 143
    assert f"pid {pids[1]}) was asked to stop by SIGTERM" in run.text
    assert_all_gone(pids)
    steps = (out / "metrics.jsonl").read_text().count("\n")
    assert (out / f"step-{steps:08d}").is_dir()  # not one step is lost
    assert_resumes(config, out, undisturbed)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("fault", "cause"),
    [("raise", "ValueError: this sample is beyond repair"), ("exit", "called exit(0)")],
)
def test_an_exception_or_an_exit_in_one_worker_ends_the_run_and_is_told_once(
    tmp_path: Path, transport: str, fault: str, cause: str, undisturbed: str
) -> None:
    config, out = write_config(tmp_path, fault), tmp_path / "run"
    run = Run(command(transport, config, out), tmp_path / "log", out)
    run.wait_for_step(1)
    pids = run.pids()
    run.wait_until(lambda: (tmp_path / "marker").exists() or run.process.poll() is not None)
    assert run.end(END_LIMIT_S) not in (0, None)
    (told,) = re.findall(rf"rank \d \([^)]*\): .*{re.escape(cause)}.*", run.text)
    assert told
    assert run.text.count("Traceback") == (1 if fault == "raise" else 0), run.text
    assert_all_gone(pids)
    clean = write_config(tmp_path)  # the marker is there: the fault will not come again
    clean.write_text(clean.read_text().replace('fault = ""', f'fault = "{fault}"'))
    assert_resumes_with_fault(clean, out, undisturbed)


def assert_resumes_with_fault(config: Path, out: Path, expected: str) -> None:
    assert_resumes(config, out, expected)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_launcher_stops_at_the_step_border_with_a_checkpoint(
    tmp_path: Path, number: signal.Signals, undisturbed: str
) -> None:
    config, out = write_config(tmp_path), tmp_path / "run"
    run = Run(command("zeromq", config, out), tmp_path / "log", out)
    run.wait_for_step(20)
    pids = run.pids()
    run.process.send_signal(number)
    assert run.end(END_LIMIT_S) == 128 + number
    assert_all_gone(pids)
    assert_resumes(config, out, undisturbed)


def test_a_killed_launcher_takes_all_its_processes_with_it(tmp_path: Path) -> None:
    config, out = write_config(tmp_path), tmp_path / "run"
    run = Run(command("zeromq", config, out), tmp_path / "log", out)
    run.wait_for_step(5)
    pids = run.pids()
    run.process.kill()
    run.process.wait()
    assert_all_gone(pids, END_LIMIT_S)
