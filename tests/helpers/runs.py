"""Real training runs for tests: started as a user starts them, watched, and never left behind."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from tests.helpers.spawn import environment, kill_group

DDP = (sys.executable, "-m", "launcher")


class Run:
    """A training run under way, its output in a file."""

    started: ClassVar[list[Run]] = []  # the fixture in tests/e2e/conftest.py ends them

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
        self.started.append(self)

    @property
    def text(self) -> str:
        return self.log.read_text()

    def wait_for_step(self, step: int) -> None:
        metrics = self.out / "metrics.jsonl"
        self.wait_until(lambda: metrics.exists() and metrics.read_text().count("\n") >= step)

    def wait_until(self, is_so: Callable[[], bool], limit_s: float = 30.0) -> None:
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
            kill_group(self.process)


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


def ddp(*arguments: str | Path, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run one `ddp` command to its end."""
    argv = [*DDP, *map(str, arguments)]
    return subprocess.run(
        argv, env=environment(), capture_output=True, text=True, timeout=timeout_s, check=False
    )


def fingerprint(out: Path) -> str:
    """What the run in `out` ended with."""
    return str(json.loads((out / "summary.json").read_text())["fingerprint"])
