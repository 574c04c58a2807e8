"""Worlds for tests: one function run by every rank at once, each in a thread.

    results = run_world(3, function, *args)     # on each rank: function(communicator, *args)

The first cause of a failure is raised again in the caller, not the PeerLosts that follow from it.
A function that needs mailboxes too takes those of `make_world(size)` as an argument, by rank.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from ddp.comm.communicator import Communicator
from ddp.comm.threads import ThreadsCommunicator, make_world
from ddp.errors import CommError, PeerLost


def run_world(
    size: int, function: Callable[..., Any], *args: Any, timeout_s: float = 30.0
) -> list[Any]:
    """Run `function(communicator, *args)` on `size` ranks of a new world; the results by rank."""
    communicators = [communicator for communicator, _ in make_world(size)]
    return run_ranks(communicators, function, *args, timeout_s=timeout_s)


def run_ranks(
    communicators: Sequence[Communicator],
    function: Callable[..., Any],
    *args: Any,
    timeout_s: float = 30.0,
) -> list[Any]:
    """Run `function(communicator, *args)` for each communicator, and close it when it ends.

    Ranks still running after `timeout_s` are cancelled, and TimeoutError names them. No thread
    outlives the call, unless a rank hangs outside of the communicator: then it is a daemon.
    """
    ranks = [Rank(communicator, function, args) for communicator in communicators]
    deadline = time.monotonic() + timeout_s
    for rank in ranks:
        rank.join(max(0.0, deadline - time.monotonic()))
    late = [rank for rank in ranks if rank.is_alive()]
    for rank in late:
        rank.communicator.cancel(CommError("the time of the test is up"))
    for rank in late:
        rank.join(5.0)
    _raise_first_cause(ranks)
    if late:
        raise TimeoutError(f"{', '.join(rank.name for rank in late)} still ran at {timeout_s:g} s")
    return [rank.result for rank in ranks]


class Rank(threading.Thread):
    """A thread that keeps what its function returned or raised, and when."""

    def __init__(
        self, communicator: Communicator, function: Callable[..., Any], args: tuple[Any, ...]
    ) -> None:
        super().__init__(name=f"rank {communicator.rank}", daemon=True)
        self.communicator = communicator
        self.result: Any = None
        self.failure: BaseException | None = None
        self.failed_at_s = 0.0
        self._call = (function, args)
        self.start()

    def run(self) -> None:
        function, args = self._call
        try:
            self.result = function(self.communicator, *args)
        except BaseException as error:
            self.failed_at_s = time.monotonic()
            self.failure = error
            if isinstance(self.communicator, ThreadsCommunicator):
                self.communicator.leave(f"{type(error).__name__}: {error}")
        finally:
            self.communicator.close()


def _raise_first_cause(ranks: Sequence[Rank]) -> None:
    failed = [rank for rank in ranks if rank.failure is not None]
    if failed:
        first = min(failed, key=lambda r: (isinstance(r.failure, PeerLost), r.failed_at_s))
        assert first.failure is not None
        first.failure.add_note(f"(raised on {first.name})")
        raise first.failure
