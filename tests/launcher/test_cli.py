"""The command line: what is understood, what is refused in one sentence, what it leads to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ddp import cores
from ddp.version import VERSION
from launcher import machine
from launcher.cli import main
from launcher.threads import THREAD_VARIABLES
from tests.helpers.spawn import find_mpiexec, spawn

ROOT = Path(__file__).parents[2]
CONFIG = str(ROOT / "configs" / "quick.toml")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a shell has it: no thread settings, no MPI; what `main` changes is undone."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    for name in (*THREAD_VARIABLES, "PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK"):
        os.environ.pop(name, None)


def refusal(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """The one sentence with which `argv` is refused."""
    assert main(argv) == 2
    output = capsys.readouterr()
    assert output.out == ""
    (sentence,) = output.err.splitlines()
    assert sentence.startswith("ddp: ")
    return sentence


def test_the_version_is_that_of_the_library(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--version"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out == f"ddp {VERSION}\n"


def test_the_command_line_can_be_read_without_numpy() -> None:
    program = "import sys, launcher.cli; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_thread_settings_are_in_the_environment_before_numpy_is_loaded() -> None:
    program = """
import builtins, os, sys
load = builtins.__import__
def watching(name, *rest, **named):
    if name.split(".")[0] == "numpy" and "numpy" not in sys.modules:
        print("loading", os.environ.get("OPENBLAS_NUM_THREADS"))
    return load(name, *rest, **named)
builtins.__import__ = watching
from launcher.cli import main
main(["inspect", "/nowhere"])
"""
    environ = {k: v for k, v in os.environ.items() if k not in THREAD_VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environ
    )
    assert done.stdout.splitlines()[:1] == ["loading 1"]


def test_a_dry_run_shows_the_processes_and_starts_none(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert main(["train", CONFIG, "--workers", "2", "--out", str(out), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "coordinator:" in shown
    assert "rank 1:" in shown
    assert f"--out {out}" in shown
    assert "OPENBLAS_NUM_THREADS=1" in shown
    assert not out.exists()


def test_one_worker_needs_no_other_process(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", CONFIG, "--workers", "1", "--dry-run"]) == 0
    assert capsys.readouterr().out == "solo: this process trains alone\n"


def test_one_worker_over_zeromq_is_to_be_had(capsys: pytest.CaptureFixture[str]) -> None:
    main(["train", CONFIG, "--workers", "1", "--transport", "zeromq", "--dry-run"])
    assert "rank 0:" in capsys.readouterr().out


@pytest.mark.parametrize("variable", ["PMI_RANK", "OMPI_COMM_WORLD_RANK"])
def test_under_mpiexec_this_process_is_a_rank(
    variable: str, capsys: pytest.CaptureFixture[str]
) -> None:
    os.environ[variable] = "0"
    assert main(["train", CONFIG, "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("mpi: ")


@pytest.mark.mpi
@pytest.mark.slow  # mpiexec, and three Pythons
def test_under_mpiexec_the_number_of_workers_is_not_ours_to_choose() -> None:
    ddp = [sys.executable, "-m", "launcher", "train", CONFIG, "--workers", "2"]
    done = spawn([find_mpiexec(), "-n", "3", *ddp])
    assert done.returncode == 2
    assert done.stderr.count("under mpiexec the number of ranks is that of workers") == 1


def test_solo_with_several_workers_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    sentence = refusal(capsys, "train", CONFIG, "--workers", "2", "--transport", "solo")
    assert "2 workers" in sentence


def test_a_missing_config_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "nowhere.toml" in refusal(capsys, "train", "nowhere.toml")


def test_an_unknown_key_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    sentence = refusal(capsys, "train", CONFIG, "--set", "optimizer.lrr=1")
    assert "optimizer.lr" in sentence


def test_a_missing_checkpoint_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "/nowhere" in refusal(capsys, "inspect", "/nowhere")


@pytest.mark.parametrize("number", ["0", "-1", "two", "1.5"])
def test_a_number_of_workers_is_a_number_of_workers(
    number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["train", CONFIG, f"--workers={number}"])
    assert exit_.value.code == 2
    assert "expected a whole number from 1 up" in capsys.readouterr().err


def test_workers_default_to_one_per_core(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores, "usable_cores", lambda: 3)
    main(["train", CONFIG, "--dry-run"])
    shown = capsys.readouterr().out
    assert "rank 2:" in shown
    assert "rank 3:" not in shown


def test_no_more_workers_by_default_than_there_are_shards(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores, "usable_cores", lambda: 64)
    main(["train", CONFIG, "--set", "train.shards=2", "--dry-run"])
    shown = capsys.readouterr().out
    assert "rank 1:" in shown
    assert "rank 2:" not in shown


def test_workers_can_be_counted_by_the_addresses_of_a_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from workers import coordinator

    asked: list[int] = []

    def run(config: object, listen: str, workers: int, out: Path, resume: bool) -> int:
        asked.append(workers)
        return 0

    monkeypatch.setattr(coordinator, "run", run)
    monkeypatch.setattr(machine, "count_addresses", {"worker": 3, "nobody": 0}.__getitem__)
    assert (
        main(["coordinator", CONFIG, "--listen", "tcp://127.0.0.1:0", "--workers", "worker"]) == 0
    )
    assert asked == [3]
    sentence = refusal(capsys, "coordinator", CONFIG, "--listen", "x", "--workers", "nobody")
    assert "nobody" in sentence


def test_this_machine_has_one_loopback_address() -> None:
    assert machine.count_addresses("localhost") == 1


@pytest.mark.slow  # asks MPI, in a process of its own
def test_the_doctor_finds_the_same_for_people_and_for_programs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    os.environ["OMP_NUM_THREADS"] = "7"
    assert main(["doctor", "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)
    assert findings["versions"]["ddp"] == VERSION
    assert findings["machine"]["cores usable"] >= 1
    assert findings["threads"]["OPENBLAS_NUM_THREADS"] == "1 (set by ddp)"
    assert findings["threads"]["OMP_NUM_THREADS"].startswith("7 (set by you")
    assert set(findings) == {"versions", "machine", "BLAS", "threads", "MPI"}


def test_the_doctor_answers_when_numpy_is_broken(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("raise ImportError('libopenblas.so: no such file')")
    done = spawn(
        [sys.executable, "-m", "launcher", "doctor"],
        extra={"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
    )
    assert done.returncode == 0
    assert "NumPy cannot be loaded: ImportError: libopenblas.so: no such file" in done.stdout


@pytest.mark.slow  # real processes
def test_a_users_file_called_workers_is_not_taken_for_ours(tmp_path: Path) -> None:
    (tmp_path / "workers.py").write_text("print('not the one that was meant')")
    ddp = "import sys; sys.path.remove(''); from launcher.cli import main; sys.exit(main())"
    settings = ["--workers", "1", "--transport", "zeromq", "--set", "train.steps=1"]
    argv = [sys.executable, "-c", ddp, "train", CONFIG, "--out", str(tmp_path / "run"), *settings]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(argv, cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "not the one" not in done.stderr
    assert (tmp_path / "run" / "summary.json").exists()
