"""The world of one rank: every exchange is complete as soon as it is started.

Single-process training runs the same step as any other, on this communicator.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from ddp.comm.communicator import Array, Arrays, Communicator, Mailbox, check_exchange


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


class SoloMailbox(Mailbox):
    """The mailbox of a rank that can only write to itself."""

    rank = 0
    size = 1

    def __init__(self) -> None:
        self._letters: deque[tuple[int, list[bytes]]] = deque()

    def post(self, rank: int, frames: Sequence[bytes | memoryview | Array]) -> None:
        assert rank == self.rank
        self._letters.append((rank, [bytes(frame) for frame in frames]))

    def poll(self, timeout_s: float) -> tuple[int, list[bytes]] | None:
        """The next message; None at once if there is none, for nobody else can send one."""
        return self._letters.popleft() if self._letters else None

    def close(self) -> None:
        """There is nothing to give back."""
