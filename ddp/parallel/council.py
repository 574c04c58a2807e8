"""What ranks tell each other of a step, so that all can decide on it alike.

Each rank has a record, of float64:

    wants to pause, is finite, used (one for each parameter), sums of squares (its blocks)

On a single host the records lie in the arena: one is written and published, then all are read. Its
owner writes again only in a later step, whose partial sums it has from all neighbours by then: they
have read what was there before. Ranks of several hosts send each other their records.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ddp.comm.communicator import Communicator
from ddp.comm.neighbours import Arena
from ddp.parallel.flat import Array


class Vote(NamedTuple):
    """What one rank says of a step."""

    pauses: bool  # ask the coordinator about this step
    is_finite: bool
    used: list[bool]  # by parameter: whether it got a gradient here
    squares: list[float]  # the sums of squares of the blocks of the rank


def record_size(parameters: int, blocks: int) -> int:
    """How many numbers a record has."""
    return 2 + parameters + blocks


class Council:
    """The records of all ranks; `blocks[r]` is how many blocks rank r owns."""

    def __init__(
        self,
        arena: Arena,
        comm: Communicator,
        parameters: int,
        blocks: Sequence[int],
        channel: int,
    ) -> None:
        self._arena, self._comm, self._channel = arena, comm, channel
        self._parameters = parameters
        self._shares = len(arena.hosts) == 1
        sizes = [record_size(parameters, count) for count in blocks]
        self._records: list[Array] = [
            arena.of[rank][-8 * size :].view(np.float64) if self._shares else np.zeros(size)
            for rank, size in enumerate(sizes)
        ]
        self._mine = self._records[comm.rank]
        self._number = 0

    def hold(self, vote: Vote, timeout_s: float) -> list[Vote]:
        """Tell all ranks this one's vote; the votes of all, by rank. Each wait is limited."""
        self._mine[:] = (vote.pauses, vote.is_finite, *vote.used, *vote.squares)
        self._tell(timeout_s)
        return [self._read(record.tolist()) for record in self._records]

    def _tell(self, timeout_s: float) -> None:
        if self._shares:
            self._number += 1
            self._arena.barrier(self._channel, self._number, timeout_s)
            return
        receive = [() if record is self._mine else (record,) for record in self._records]
        self._comm.all_gather((self._mine,), receive).wait(timeout_s)

    def _read(self, record: list[float]) -> Vote:
        pauses, is_finite, *rest = record
        used = [value != 0.0 for value in rest[: self._parameters]]
        return Vote(pauses != 0.0, is_finite != 0.0, used, rest[self._parameters :])
