"""The world of one rank: every exchange is complete as soon as it is started.

Single-process training runs the same step as any other, on this communicator.
"""

from __future__ import annotations

from collections.abc import Sequence

from ddp.comm.communicator import Arrays, Communicator, check_exchange


class SoloCommunicator(Communicator):
    """A group whose only member is this rank."""

    rank = 0
    size = 1

    def all_to_all(self, send: Sequence[Arrays], receive: Sequence[Arrays]) -> SoloWork:
        check_exchange(self.rank, send, receive, self.size)
        return SoloWork(self)

    def close(self) -> None:
        """There is nothing to give back."""

    def check(self) -> None:
        """Raise what `cancel` was given, if it was called."""
        if self._cancelled is not None:
            raise self._cancelled


class SoloWork:
    """An exchange with nobody."""

    def __init__(self, communicator: SoloCommunicator) -> None:
        self._communicator = communicator

    def wait(self, timeout_s: float) -> None:
        self._communicator.check()

    def done(self) -> bool:
        return True
