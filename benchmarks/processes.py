"""Commands whose beginning or progress is timed from outside, by what they leave in a file."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.baton import ONE_THREAD, ROOT, Failure

POLL_S = 0.002
LIMIT_S = 120.0
PATIENCE_S = 10.0
SETTLE_S = 0.3  # children end with their parent, but not in the same moment


@contextmanager
def running(argv: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A command in a process group of its own, which is ended with it."""
    environ = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT)}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its byte code
    process = subprocess.Popen(
        argv,
        cwd=ROOT,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        end_group(process)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL for the whole group: what is measured is over, and what is written is thrown away."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(PATIENCE_S)
    time.sleep(SETTLE_S)


def seconds_until(process: subprocess.Popen[bytes], done: Callable[[], bool]) -> float:
    """Look every two milliseconds. Raises Failure when the command ends before, or takes long."""
    start_s = time.perf_counter()
    while not done():
        elapsed_s = time.perf_counter() - start_s
        if process.poll() is not None and not done():
            raise Failure(f"{process.args!r} ended with exit code {process.returncode}")
        if elapsed_s > LIMIT_S:
            raise Failure(f"{process.args!r} was not so far after {LIMIT_S:g} s")
        time.sleep(POLL_S)
    return time.perf_counter() - start_s


def lines_in(path: Path) -> int:
    """How many whole lines the file has; none if it is not there."""
    try:
        return path.read_bytes().count(b"\n")
    except OSError:
        return 0
