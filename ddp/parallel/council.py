"""What ranks that share memory tell each other of a step, so that all can decide on it alike.

Each rank has a record in its part of the arena, of float64:

    wants to pause, is finite, used (one for each parameter), sums of squares (its blocks)

A record is written and published, then all are read. Its owner writes again only in a later step,
whose partial sums it has from all neighbours by then: they have read what was there before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ddp.comm.neighbours import Arena


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
        self, arena: Arena, rank: int, parameters: int, blocks: Sequence[int], channel: int
    ) -> None:
        self._arena, self._rank, self._channel = arena, rank, channel
        self._parameters = parameters
        self._records = {
            peer: memory[-8 * record_size(parameters, blocks[peer]) :].view(np.float64)
            for peer, memory in arena.of.items()
        }
        self._number = 0

    def hold(self, vote: Vote, timeout_s: float) -> list[Vote]:
        """Tell the neighbours this rank's vote; the votes of all, by rank."""
        self._number += 1
        mine = self._records[self._rank]
        mine[:2] = vote.pauses, vote.is_finite
        mine[2 : 2 + self._parameters] = vote.used
        mine[2 + self._parameters :] = vote.squares
        self._arena.barrier(self._channel, self._number, timeout_s)
        return [self._read(self._records[peer].tolist()) for peer in self._arena.neighbours]

    def _read(self, record: list[float]) -> Vote:
        pauses, is_finite, *rest = record
        used = [value != 0.0 for value in rest[: self._parameters]]
        return Vote(pauses != 0.0, is_finite != 0.0, used, rest[self._parameters :])
