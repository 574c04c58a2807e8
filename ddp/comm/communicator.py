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
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ddp.errors import CommError, CommTimeout, LocalProtocolError

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
        """Make what progress is possible without blocking; say whether `wait` would end at once."""


class Communicator(ABC):
    """A fixed group of `size` ranks that start the same exchanges in the same order.

    Buffers are C-contiguous arrays of any dtype and belong to the communicator from the call
    until `Work.wait` returns. Sender and receiver agree on count, lengths and dtypes
    beforehand: nothing is negotiated. A transport that sees a mismatch raises PeerProtocolError;
    bytes that never come are a CommTimeout. Zero bytes are no message: nobody waits for them.
    One thread at a time may use a communicator, except for `cancel`.
    """

    rank: int
    size: int
    _cancelled: CommError | None = None

    @abstractmethod
    def all_to_all(self, send: Sequence[Arrays], receive: Sequence[Arrays]) -> Work:
        """Send the arrays `send[r]` to each rank r; fill `receive[r]` with what r sent here.

        Both sequences have one entry per rank; an entry may be empty, and the entries for this
        rank itself must be. Returns at once.
        """

    @abstractmethod
    def close(self) -> None:
        """Give back sockets, threads and memory. Never blocks for long; may be called twice."""

    def cancel(self, error: CommError) -> None:
        """Make this rank's present and future waits raise `error` within a tenth of a second.

        Any thread may call it; the first error stays. It is how a watcher that learns of a loss
        (heartbeats, the coordinator) frees a rank that sits in `wait`.
        """
        if self._cancelled is None:
            self._cancelled = error

    def failure(self, ranks: Iterable[int]) -> Exception | None:
        """Why a wait for one of `ranks` is in vain, as far as it is known; never blocks.

        For those who wait for a rank by other means than an exchange (ddp.comm.arena).
        """
        return self._cancelled

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
    One thread at a time may use a mailbox, whatever other threads do with other mailboxes.
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


def check_exchange(rank: int, send: Sequence[Arrays], receive: Sequence[Arrays], size: int) -> None:
    """Raise LocalProtocolError unless the arguments of an `all_to_all` keep its promise."""
    if len(send) != size or len(receive) != size:
        raise LocalProtocolError(
            f"all_to_all on rank {rank} needs one entry for each of {size} ranks, "
            f"got {len(send)} to send and {len(receive)} to receive"
        )
    if send[rank] or receive[rank]:
        raise LocalProtocolError(f"all_to_all on rank {rank} has an entry for that rank itself")
    for arrays in (*send, *receive):
        if not all(array.flags.c_contiguous for array in arrays):
            raise LocalProtocolError(f"all_to_all on rank {rank} needs C-contiguous arrays")
    if not all(array.flags.writeable for arrays in receive for array in arrays):
        raise LocalProtocolError(f"all_to_all on rank {rank} cannot fill a read-only array")


def total_bytes(arrays: Arrays) -> int:
    """How many bytes the arrays hold together."""
    return sum(array.nbytes for array in arrays)


def exchange_timeout(
    rank: int, number: int, timeout_s: float, awaited: Iterable[int]
) -> CommTimeout:
    """The error of a `wait` that ran out of time; `number` counts the exchanges of the rank."""
    ranks = ", ".join(map(str, sorted(set(awaited))))
    return CommTimeout(
        f"exchange {number} on rank {rank} still awaits rank(s) {ranks} after {timeout_s:g} s: "
        f"look at their output for what stopped them"
    )
