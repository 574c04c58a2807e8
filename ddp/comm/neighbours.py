"""What ranks that share memory may count on, `Arena`, and the one of a rank that shares with none.

    arena.neighbours     the ranks that share memory with this one, itself included, ascending
    arena.common         memory of all neighbours together; whose turn it is to write, they agree
    arena.of[rank]       memory that belongs to one neighbour: it writes, the others read
    arena.publish(channel, number)            what I wrote for `number` on `channel` may be read
    arena.wait(channel, number, timeout_s)    until every neighbour has published so much

How memory comes to be shared, and how one waits, is in `ddp.comm.arena`; nothing here knows a clock
or a process.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ddp.comm.communicator import Communicator

Memory = NDArray[np.uint8]
Ranks = tuple[int, ...]

LINE_BYTES = 64


class Arena(ABC):
    """Memory that this rank has in common with its neighbours.

    `hosts` has the neighbours of every rank, once each, ascending. `note` says for people what
    could not be shared, on the one rank that is to say it.
    """

    rank: int
    hosts: tuple[Ranks, ...]
    neighbours: Ranks
    common: Memory
    of: Mapping[int, Memory]
    note: str = ""

    @abstractmethod
    def publish(self, channel: int, number: int) -> None:
        """Let the neighbours see what was written until now, as `number` on `channel`.

        Numbers on a channel ascend.
        """

    @abstractmethod
    def has(self, channel: int, number: int) -> bool:
        """Whether a `wait` would end at once. If so, what was published may be read."""

    @abstractmethod
    def wait(self, channel: int, number: int, timeout_s: float) -> None:
        """Return when every other neighbour has published `number`, or more, on `channel`.

        Raises CommTimeout, naming the ranks awaited, and what the communicator knows of a loss.
        """

    def barrier(self, channel: int, number: int, timeout_s: float) -> None:
        """Return when every neighbour has come here: `publish`, then `wait`."""
        self.publish(channel, number)
        self.wait(channel, number, timeout_s)

    @property
    def leads(self) -> bool:
        """Whether this is the lowest rank of its host."""
        return self.rank == self.neighbours[0]


class PrivateArena(Arena):
    """The arena of a rank whose only neighbour is itself: there is nobody to wait for."""

    def __init__(
        self,
        comm: Communicator,
        common_bytes: int,
        own_bytes: Sequence[int],
        hosts: Sequence[Ranks] = (),
        note: str = "",
    ) -> None:
        """Without `hosts` nobody shares memory with anybody."""
        self.rank = comm.rank
        self.hosts = tuple(hosts) or tuple((rank,) for rank in range(comm.size))
        self.neighbours = (comm.rank,)
        self.note = note
        self.common = aligned_bytes(common_bytes)
        self.of = {comm.rank: aligned_bytes(own_bytes[comm.rank])}

    def publish(self, channel: int, number: int) -> None:
        """Nobody reads it."""

    def has(self, channel: int, number: int) -> bool:
        return True

    def wait(self, channel: int, number: int, timeout_s: float) -> None:
        """Nobody is awaited."""


def aligned_bytes(nbytes: int) -> Memory:
    """Zeros that begin on a cache line."""
    memory = np.zeros(nbytes + LINE_BYTES, np.uint8)
    start = -memory.ctypes.data % LINE_BYTES
    return memory[start : start + nbytes]
