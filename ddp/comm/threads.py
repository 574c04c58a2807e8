"""A world of N ranks that are threads of one process: for tests, demonstrations and simulation.

The two ends of a transfer meet in a table; whichever end comes second copies the bytes straight
from the sender's array to the receiver's, in its own thread. So nothing is buffered, progress
needs no helper, and a four-rank exchange costs some tens of microseconds. A rank that leaves
(closes, or fails and is told so by `leave`) is gone for all: whoever still awaits it gets PeerLost.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ddp.comm.communicator import (
    Array,
    Arrays,
    Communicator,
    Mailbox,
    check_exchange,
    exchange_timeout,
    total_bytes,
)
from ddp.errors import CommError, LocalProtocolError, PeerLost, PeerProtocolError

# A transfer is known to both ends by who sends, who receives, and the number of the exchange.
Key = tuple[int, int, int]
Letter = tuple[int, list[bytes]]


def make_world(size: int) -> list[tuple[ThreadsCommunicator, ThreadsMailbox]]:
    """A communicator and a mailbox for each of `size` ranks; give each pair to its own thread."""
    if size < 1:
        raise LocalProtocolError(f"a world needs at least one rank, got {size}")
    world = _World(size)
    return [(ThreadsCommunicator(world, r), ThreadsMailbox(world, r)) for r in range(size)]


class _World:
    """What the ranks share: the table of transfers half begun, who has left, and the letters."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.changed = threading.Condition()
        self.waiting: dict[Key, _End] = {}
        self.departed: dict[int, str] = {}
        self.letters: list[queue.SimpleQueue[Letter]] = [queue.SimpleQueue() for _ in range(size)]

    def loss(self, ranks: Iterable[int]) -> PeerLost | None:
        """What to raise if one of the ranks has left."""
        lost = sorted(set(ranks) & self.departed.keys())
        return PeerLost(lost[0], self.departed[lost[0]]) if lost else None


@dataclass(frozen=True)
class _End:
    """One end of a transfer: the arrays to read from or to fill, and the exchange it is part of."""

    arrays: Arrays
    exchange: ThreadsWork


class ThreadsCommunicator(Communicator):
    """One rank's end of a world of threads."""

    def __init__(self, world: _World, rank: int) -> None:
        self.rank = rank
        self.size = world.size
        self._world = world
        self._exchanges = 0

    def all_to_all(self, send: Sequence[Arrays], receive: Sequence[Arrays]) -> ThreadsWork:
        check_exchange(self.rank, send, receive, self.size)
        exchange = ThreadsWork(self, self._world, self._exchanges)
        self._exchanges += 1
        ends = {(self.rank, peer, exchange.number): arrays for peer, arrays in enumerate(send)}
        ends |= {(peer, self.rank, exchange.number): arrays for peer, arrays in enumerate(receive)}
        for key, arrays in ends.items():
            if total_bytes(arrays):
                self._begin(key, _End(arrays, exchange))
        return exchange

    def _begin(self, key: Key, mine: _End) -> None:
        world = self._world
        with world.changed:
            mine.exchange.open.add(key)
            theirs = world.waiting.pop(key, None)
            if theirs is None:
                world.waiting[key] = mine
                return
        source, destination = (mine, theirs) if key[0] == self.rank else (theirs, mine)
        error = _transfer(key, source.arrays, destination.arrays)
        with world.changed:
            for end in (mine, theirs):
                end.exchange.open.discard(key)
                end.exchange.error = end.exchange.error or error
            world.changed.notify_all()

    def cancel(self, error: CommError) -> None:
        with self._world.changed:
            super().cancel(error)
            self._world.changed.notify_all()

    def failure(self, ranks: Iterable[int]) -> Exception | None:
        return self._cancelled or self._world.loss(ranks)

    def cancelled(self) -> CommError | None:
        """What `cancel` was given, if it was called."""
        return self._cancelled

    def leave(self, why: str) -> None:
        """Go, and let the others know why: a wait that needs this rank raises PeerLost."""
        world = self._world
        with world.changed:
            world.departed.setdefault(self.rank, why)
            for key in [k for k, end in world.waiting.items() if end.exchange.rank == self.rank]:
                del world.waiting[key]
            world.changed.notify_all()

    def close(self) -> None:
        self.leave("it closed its communicator")


def _transfer(key: Key, source: Arrays, destination: Arrays) -> PeerProtocolError | None:
    """Copy the arrays, or say in what the two ends differ."""
    sent = [(array.dtype.name, array.size) for array in source]
    awaited = [(array.dtype.name, array.size) for array in destination]
    if sent != awaited:
        return PeerProtocolError(
            f"rank {key[0]} sent {sent} to rank {key[1]} in exchange {key[2]}, "
            f"which awaited {awaited}"
        )
    for to, array in zip(destination, source, strict=True):
        np.copyto(to.reshape(-1), array.reshape(-1))
    return None


class ThreadsWork:
    """An exchange of one rank: complete when both ends of each of its transfers have met."""

    def __init__(self, communicator: ThreadsCommunicator, world: _World, number: int) -> None:
        self.rank = communicator.rank
        self.number = number
        self.open: set[Key] = set()
        self.error: CommError | PeerProtocolError | None = None
        self._communicator = communicator
        self._world = world

    def wait(self, timeout_s: float) -> None:
        with self._world.changed:
            if not self._world.changed.wait_for(self._settled, timeout_s):
                raise exchange_timeout(self.rank, self.number, timeout_s, self._awaited())
            error = self._error()
        if error is not None:
            raise error

    def done(self) -> bool:
        with self._world.changed:
            return self._settled()

    def _settled(self) -> bool:
        return not self.open or self._error() is not None

    def _error(self) -> Exception | None:
        return self._communicator.cancelled() or self.error or self._world.loss(self._awaited())

    def _awaited(self) -> set[int]:
        return {rank for key in self.open for rank in key[:2]} - {self.rank}


class ThreadsMailbox(Mailbox):
    """One rank's letter box: a queue."""

    def __init__(self, world: _World, rank: int) -> None:
        self.rank = rank
        self.size = world.size
        self._letters = world.letters

    def post(self, rank: int, frames: Sequence[bytes | memoryview | Array]) -> None:
        self._letters[rank].put((self.rank, [bytes(frame) for frame in frames]))

    def poll(self, timeout_s: float) -> tuple[int, list[bytes]] | None:
        try:
            return self._letters[self.rank].get(timeout=timeout_s)
        except queue.Empty:
            return None

    def close(self) -> None:
        """Letters not yet read go with the world."""
