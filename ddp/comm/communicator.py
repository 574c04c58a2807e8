"""What every transport promises: one exchange, non-blocking, with a limit on every wait.

A communicator moves bytes between a fixed group of ranks and never adds: the order of a
floating-point sum is part of a run's result, so it is decided above (ddp.parallel) and no
transport can change a bit. A transport implements `all_to_all` and `close`; `all_gather`,
`broadcast` and `barrier` are stated here once, in terms of `all_to_all`.

Cost, for N ranks and b bytes per rank: all_to_all sends b·(N-1)/N bytes per rank in one round;
all_gather and broadcast send b·(N-1) from each source in one round (no tree: N is small, and
the exchanged slices are what is left after the reduction tree has been folded locally).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Arrays = Sequence[Array]


class Work(Protocol):
    """An exchange under way."""

    def wait(self, timeout_s: float) -> None:
        """Return when every receive buffer is filled and every send buffer is free again.

        Raises CommTimeout, naming the ranks still awaited, after `timeout_s` seconds, and
        PeerLost when a rank is known to be gone. After an error the communicator is good for
        `close` only.
        """

    def done(self) -> bool:
        """Make what progress is possible without blocking; say whether `wait` would return."""


class Communicator(ABC):
    """A fixed group of `size` ranks that start the same exchanges in the same order.

    Buffers are C-contiguous arrays of any dtype and belong to the communicator from the call
    until `Work.wait` returns. Sender and receiver agree on count, lengths and dtypes
    beforehand: nothing is negotiated, a mismatch is a PeerProtocolError.
    """

    rank: int
    size: int

    @abstractmethod
    def all_to_all(self, send: Sequence[Arrays], receive: Sequence[Arrays]) -> Work:
        """Send the arrays `send[r]` to each rank r; fill `receive[r]` with what r sent here.

        Both sequences have one entry per rank; an entry may be empty, and the entries for this
        rank itself must be. Returns at once.
        """

    @abstractmethod
    def close(self) -> None:
        """Give back sockets, threads and memory. Never blocks for long; may be called twice."""

    def all_gather(self, send: Arrays, receive: Sequence[Arrays]) -> Work:
        """Send the arrays `send` to every other rank; fill `receive[r]` with those of rank r."""
        others: list[Arrays] = [() if r == self.rank else send for r in range(self.size)]
        return self.all_to_all(others, receive)

    def broadcast(self, buffers: Arrays, root: int) -> Work:
        """Copy `buffers` of rank `root` into `buffers` of every other rank, in place."""
        nothing: list[Arrays] = [()] * self.size
        if self.rank == root:
            return self.all_gather(buffers, nothing)
        return self.all_to_all(nothing, [buffers if r == root else () for r in range(self.size)])

    def barrier(self, timeout_s: float) -> None:
        """Return when every rank has entered."""
        token = np.zeros(1, np.uint8)
        receive = [() if r == self.rank else (np.empty(1, np.uint8),) for r in range(self.size)]
        self.all_gather([token], receive).wait(timeout_s)


class Mailbox(ABC):
    """Small control messages between the ranks of a group, apart from the data path.

    A message is a list of byte frames. Messages from one rank to another keep their order.
    """

    rank: int
    size: int

    @abstractmethod
    def post(self, rank: int, frames: Sequence[bytes | memoryview | Array]) -> None:
        """Send a message to `rank` (itself included). Copies what it needs; never blocks long."""

    @abstractmethod
    def poll(self, timeout_s: float) -> tuple[int, list[bytes]] | None:
        """The next message as (source rank, frames), or None after `timeout_s` seconds.

        Python signal handlers run while it waits.
        """

    @abstractmethod
    def close(self) -> None:
        """Give back what it holds; may be called twice."""
