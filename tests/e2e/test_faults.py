"""What a user sees when a worker dies, hangs, leaves or raises, and that nothing is lost.

Each fault hits one worker in the middle of an epoch, under local ZeroMQ and under mpiexec. All
others must be gone within 5 s (a stopped worker is found by its heartbeat), the exit code is not
0, the culprit is named, no process is left, and --resume ends with the undisturbed fingerprint.
"""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.helpers.faults import STEPS, write_config
from tests.helpers.runs import DDP, Run, assert_all_gone, ddp, fingerprint
from tests.helpers.spawn import find_mpiexec

pytestmark = pytest.mark.slow  # real processes: two to four seconds each

TRANSPORTS = ["zeromq", pytest.param("mpi", marks=pytest.mark.mpi)]
WORKERS = 3
END_LIMIT_S = 5.0


def command(transport: str, config: Path, out: Path, *more: str) -> list[str]:
    train = [*DDP, "train", str(config), "--out", str(out), *more]
    if transport == "mpi":
        return [find_mpiexec(), "-n", str(WORKERS), *train]
    return [*train, "--workers", str(WORKERS)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The fingerprint of the run that nothing happens to."""
    directory = tmp_path_factory.mktemp("undisturbed")
    config, out = write_config(directory), directory / "run"
    done = ddp("train", config, "--out", out, "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert f"finished {STEPS} steps" in done.stdout
    return fingerprint(out)


def assert_resumes(config: Path, out: Path, expected: str) -> None:
    """The same command with --resume and another number of workers ends with the same bits."""
    done = ddp("train", config, "--out", out, "--workers", "2", "--resume")
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
    assert_resumes(clean, out, undisturbed)


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
