"""Our side of `benchmarks.ours` with a note of when each phase of a step began and ended.

The phases are taken from outside, by wrapping what a step calls: the same works for checkouts of
other days. A note costs about a microsecond, and there are 10 to 30 in a step.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks import ours
from benchmarks.baton import Answer, serve
from ddp.autograd.tensor import Tensor
from ddp.nn import functional

BUFFERS = ("begin_step", "restore", "end_shard", "start_exchange", "finish_exchange", "settle")


class Notes:
    """The spans of the present step."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, float, float]] = []

    def wrap(self, owner: Any, name: str, phase: str) -> None:
        """Note every call of `owner.name` as `phase`."""
        setattr(owner, name, self.noting(getattr(owner, name), phase))

    def noting(self, call: Callable[..., Any], phase: str) -> Callable[..., Any]:
        def noted(*args: Any, **named: Any) -> Any:
            start_s = time.perf_counter()
            try:
                return self._result(call(*args, **named), phase)
            finally:
                self.spans.append((phase, start_s, time.perf_counter()))

        return noted

    def _result(self, result: Any, phase: str) -> Any:
        """Exchanges under way (older checkouts return them) are waited for later: note that too."""
        if isinstance(result, list) and all(hasattr(work, "wait") for work in result):
            return [Waited(self.noting(work.wait, "wait")) for work in result]
        return result


class Waited:
    """An exchange whose `wait` is noted."""

    def __init__(self, wait: Callable[..., Any]) -> None:
        self.wait = wait


def watch(side: ours.Service, notes: Notes) -> None:
    """Wrap the parts of a step."""
    notes.wrap(side._model, "forward", "forward")
    notes.wrap(functional, "cross_entropy", "forward")
    notes.wrap(Tensor, "backward", "backward")
    notes.wrap(side._reducer, "_close", "exchange")
    notes.wrap(side._reducer, "reduce", "wait")
    for name in BUFFERS:
        notes.wrap(side._buffers, name, "exchange")
    notes.wrap(side, "_clip_coefficient", "wait")
    notes.wrap(side._optimizer, "step", "optimizer")
    notes.wrap(side._optimizer, "gather", "wait")


def trace(side: ours.Service, notes: Notes, steps: int) -> Answer:
    """Each step as [start, stop, spans], in seconds of the machine's monotonic clock."""
    side.barrier()
    found = []
    for _ in range(steps):
        notes.spans = []
        start_s = time.perf_counter()
        side.step()
        found.append([start_s, time.perf_counter(), notes.spans])
    return {"steps": found}


def main() -> None:
    side, notes = ours.Service(json.loads(sys.argv[1])), Notes()

    def begin(_: Any) -> Answer:
        watch(side, notes)
        return {}

    serve(side, watch=begin, trace=lambda steps: trace(side, notes, steps))


if __name__ == "__main__":
    main()
