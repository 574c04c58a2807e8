"""The processes of a comparison take turns: only one side computes at a time.

Each side of a comparison is a *participant*: one process per rank, which waits for a command on
its standard input, carries it out and answers on its standard output, a JSON object per line
each. A waiting process uses no core. The parent hands the baton round: a block of steps on one
side, a block on the next, and again.

    Participant        the parent's end: start, ask all ranks, close
    serve              the child's end

A child whose parent is gone reads the end of its input, and ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

ROOT = Path(__file__).parents[1]
PATIENCE_S = 5.0
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")

Answer = dict[str, Any]


class Failure(Exception):
    """A process of a comparison ended, or computed something else than the other side."""


class Participant:
    """One side's processes, `python -m MODULE SPEC`, with SPEC completed by their rank."""

    def __init__(
        self, name: str, module: str, spec: Mapping[str, Any], ranks: int, root: Path = ROOT
    ) -> None:
        """`root`: the directory `ddp` and `benchmarks` are imported from."""
        self.name = name
        self._processes = [
            _start(module, {**spec, "rank": rank, "size": ranks}, root) for rank in range(ranks)
        ]
        try:
            started = [self._read(process) for process in self._processes]
            self._ask({"connect": [answer["address"] for answer in started]})
        except Failure:
            self.close()
            raise

    def ask(self, command: str, argument: Any = None) -> list[Answer]:
        """Give all ranks a command at once; return their answers."""
        return self._ask({command: argument})

    def _ask(self, message: Mapping[str, Any]) -> list[Answer]:
        for process in self._processes:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # then there is no answer either
                process.stdin.write(json.dumps(message) + "\n")
                process.stdin.flush()
        return [self._read(process) for process in self._processes]

    def _read(self, process: subprocess.Popen[str]) -> Answer:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise Failure(f"a process of {self.name} ended with exit code {process.wait()}")
        answer: Answer = json.loads(line)
        return answer

    def close(self) -> None:
        """End the processes: politely, then at once."""
        for process in self._processes:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        for process in self._processes:
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()


def _start(module: str, spec: Mapping[str, Any], root: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", module, json.dumps(spec)],
        cwd=root,
        env={**os.environ, **ONE_THREAD, "PYTHONPATH": str(root)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # the kernel may share a busy machine out by session: one for each
    )


# -- the child's end --------------------------------------------------------------------------


class Side(Protocol):
    """What a child computes."""

    address: str  # where its peers reach it; may be empty

    def connect(self, addresses: list[str]) -> None:
        """Meet the other ranks."""

    def step(self) -> Any:
        """What is measured: one training step, which gives its loss; or one exchange."""

    def barrier(self) -> None:
        """Return when every rank has entered."""


def serve(side: Side, **more: Callable[[Any], Answer]) -> None:
    """Carry out what the parent asks for, until it closes the pipe; `more`: commands of its own."""
    say, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no answer
    handlers: dict[str, Callable[[Any], Answer]] = {
        "connect": lambda addresses: side.connect(addresses) or {},
        "losses": lambda steps: {"losses": [side.step().item() for _ in range(steps)]},
        "steps": lambda steps: time_steps(side, steps),
        "memory": lambda _: memory_bytes(),
        **more,
    }
    print(json.dumps({"address": side.address}), file=say, flush=True)
    with contextlib.suppress(BrokenPipeError):  # the parent was killed
        for line in sys.stdin:
            ((command, argument),) = json.loads(line).items()
            print(json.dumps(handlers[command](argument)), file=say, flush=True)


def time_steps(side: Side, steps: int) -> Answer:
    """Seconds of wall clock and of this process's CPU time for a block of steps."""
    side.barrier()
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    for _ in range(steps):
        side.step()
    return {"wall_s": time.perf_counter() - wall_s, "cpu_s": time.process_time() - cpu_s}


def memory_bytes() -> Answer:
    """The largest resident set so far, and the present share of this process in all its pages.

    The first counts a page that two processes share in both, the second halves it.
    """
    peak = _read_kib("/proc/self/status", "VmHWM:")
    return {"peak_bytes": peak, "share_bytes": _read_kib("/proc/self/smaps_rollup", "Pss:")}


def _read_kib(path: str, key: str) -> int | None:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return None
    values = [int(line.split()[1]) * 1024 for line in lines if line.startswith(key)]
    return values[0] if values else None
