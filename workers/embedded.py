"""The link of the rank whose process hosts the coordinator.

What it sends is handled on the spot, and while it waits for an answer it serves the other ranks.
Apart from the other links, so that a worker process need not load the coordinator.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from ddp.comm.communicator import Array, Mailbox
from ddp.errors import PeerProtocolError
from workers import messages as m
from workers.coordination import Coordination
from workers.events import Received
from workers.link import Order


class EmbeddedLink:
    """The link of the rank whose process hosts the coordinator."""

    def __init__(self, coordination: Coordination, mailbox: Mailbox) -> None:
        self._coordination = coordination
        self._mailbox = mailbox
        self._inbox: deque[Order] = deque()
        coordination.post = self._post

    def _post(self, member: str, message: m.FromCoordinator, arrays: Sequence[Array] = ()) -> None:
        if int(member) == self._mailbox.rank:
            self._inbox.append((message, arrays))
        else:
            self._mailbox.post(int(member), m.to_frames(message, arrays))

    def send(self, message: m.FromWorker, arrays: Sequence[Array] = ()) -> None:
        self._coordination.handle(Received(str(self._mailbox.rank), message, arrays))

    def receive(self, timeout_s: float) -> Order | None:
        self._coordination.tick()
        if not self._inbox:
            self._serve(timeout_s)
        return self._inbox.popleft() if self._inbox else None

    def _serve(self, timeout_s: float) -> None:
        """Handle what the other ranks sent."""
        letter = self._mailbox.poll(timeout_s)
        while letter is not None:
            source, frames = letter
            try:
                message, arrays = m.worker_message(frames)
            except PeerProtocolError as error:
                self._coordination.lost(str(source), str(error))
            else:
                self._coordination.handle(Received(str(source), message, arrays))
            letter = None if self._inbox else self._mailbox.poll(0.0)

    def close(self) -> None:
        """Serve until the run is over: the other ranks have yet to say goodbye."""
        while not self._coordination.is_over:
            self._coordination.tick()
            self._serve(0.1)
        self._mailbox.close()
