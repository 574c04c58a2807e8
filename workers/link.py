"""A worker's end of the control channel, and the kind that talks through a mailbox (MPI, threads).

Left out: the link over sockets (worker.py), and that of the rank that hosts the coordinator
(embedded.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ddp.comm.communicator import Array, Mailbox
from ddp.errors import CommError
from workers import messages as m

COORDINATOR_RANK = 0
Order = tuple[m.FromCoordinator, Sequence[Array]]


class RunEnded(CommError):
    """The run is over for this worker, for a reason that is not its own."""


class Link(Protocol):
    """A worker's end of the control channel."""

    def send(self, message: m.FromWorker, arrays: Sequence[Array] = ()) -> None: ...

    def receive(self, timeout_s: float) -> Order | None:
        """The next order, or None after `timeout_s` seconds. Signal handlers run meanwhile."""

    def close(self) -> None: ...


class MailboxLink:
    """The link of a rank other than the coordinator's."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    def send(self, message: m.FromWorker, arrays: Sequence[Array] = ()) -> None:
        self._mailbox.post(COORDINATOR_RANK, m.to_frames(message, arrays))

    def receive(self, timeout_s: float) -> Order | None:
        letter = self._mailbox.poll(timeout_s)
        return None if letter is None else m.coordinator_message(letter[1])

    def close(self) -> None:
        self._mailbox.close()
