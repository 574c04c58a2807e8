"""docker-compose.yml as a user runs it: real containers, and the bits of one process.

Needs a Docker engine with compose (`.ci/docker-engine` provides one).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = "ddp-test"
CONFIG = "configs/digits.toml"

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]


def compose(*arguments: str, timeout_s: float = 300.0) -> str:
    argv = ["docker", "compose", "--project-name", PROJECT, *arguments]
    done = subprocess.run(
        argv, cwd=ROOT, capture_output=True, text=True, timeout=timeout_s, env=os.environ.copy()
    )
    assert done.returncode == 0, f"{argv}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def summary() -> dict[str, Any]:
    """The summary of the run in the volume."""
    program = "print(open('runs/digits/summary.json').read())"
    arguments = ("run", "--rm", "--no-deps", "--entrypoint", "python", "coordinator", "-c", program)
    found: dict[str, Any] = json.loads(compose(*arguments))
    return found


def exit_codes() -> dict[str, int]:
    lines = compose("ps", "--all", "--format", "json").splitlines()
    return {line["Name"]: line["ExitCode"] for line in map(json.loads, lines)}


@pytest.fixture(scope="module")
def one_process(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The summary of the same config, trained by one process of this machine."""
    out = tmp_path_factory.mktemp("compose") / "solo"
    argv = [sys.executable, "-m", "launcher", "train", CONFIG, "--workers", "1", "--out", str(out)]
    subprocess.run(argv, cwd=ROOT, check=True, timeout=300, capture_output=True)
    found: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return found


@pytest.fixture(scope="module", autouse=True)
def image() -> Iterator[None]:
    compose("build")
    yield
    compose("down", "--volumes", "--remove-orphans", "--rmi", "local")


@pytest.fixture(autouse=True)
def no_containers() -> Iterator[None]:
    yield
    compose("down", "--volumes", "--remove-orphans")


@pytest.mark.parametrize("workers", [2, 3])
def test_containers_give_the_bits_of_one_process(workers: int, one_process: dict[str, Any]) -> None:
    scale = [] if workers == 2 else ["--scale", f"worker={workers}"]
    log = compose("up", "--build", *scale)
    assert set(exit_codes().values()) == {0}, log
    found = summary()
    assert found["workers"] == workers
    assert found["fingerprint"] == one_process["fingerprint"]


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_run_of_containers_that_was_ended_goes_on(how: str, one_process: dict[str, Any]) -> None:
    compose("up", "--detach")
    argv = ["docker", "compose", "--project-name", PROJECT, "logs", "--follow", "coordinator"]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as logs:
        assert logs.stdout is not None
        past_a_checkpoint = any("after epoch 6" in line for line in logs.stdout)
        compose(how)
    assert past_a_checkpoint
    ended_with = exit_codes()[f"{PROJECT}-coordinator-1"]
    assert ended_with == {"kill": 137, "stop": 143}[how], "stopped: after a checkpoint"
    log = compose("up", "--scale", "worker=1")
    assert "going on after step" in log
    found = summary()
    assert found["workers"] == 1
    assert found["fingerprint"] == one_process["fingerprint"]
