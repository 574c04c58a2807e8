"""Our all-reduce of one array, one rank; started by `benchmarks.baton`.

As in a training step, each rank's array already lies where its neighbours can read it (backward
writes it there), each rank adds one slice of both in the order of the ranks, and the result is one
copy that all of them see. A step ends when the whole sum is there.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np

from benchmarks.baton import Answer, serve
from ddp.comm.arena import open_arena
from ddp.comm.zeromq import TOKEN_BYTES, Listener

LIMIT_S = 60.0
READY, ADDED = range(2)  # channels: what I wrote may be read; my slice of the sum is there


class OrderedSum:
    """A rank of two that share memory."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._rank = spec["rank"]
        self._listener = Listener("ipc://@")
        self.address = self._listener.address

    def connect(self, addresses: list[str]) -> None:
        self._comm = self._listener.connect(self._rank, addresses, bytes(TOKEN_BYTES))

    def resize(self, nbytes: int) -> Answer:
        """Reduce arrays of so many bytes from now on; see once that the sum is right."""
        size = self._comm.size
        self._arena = open_arena(self._comm, nbytes, [nbytes] * size, channels=2, timeout_s=LIMIT_S)
        assert len(self._arena.neighbours) == size, self._arena.note
        total = self._arena.common.view(np.float32)
        cut = slice(total.size * self._rank // size, total.size * (self._rank + 1) // size)
        self._parts = [self._arena.of[r].view(np.float32)[cut] for r in range(size)]
        self._sum = total[cut]
        self._arena.of[self._rank].view(np.float32).fill(self._rank + 1)
        self._number = 0
        self.step()
        assert bool((total == 3.0).all())
        return {}

    def barrier(self) -> None:
        self._comm.barrier(LIMIT_S)

    def step(self) -> None:
        self._number += 1
        self._arena.barrier(READY, self._number, LIMIT_S)
        np.add(*self._parts, out=self._sum)
        self._arena.barrier(ADDED, self._number, LIMIT_S)


if __name__ == "__main__":
    side = OrderedSum(json.loads(sys.argv[1]))
    serve(side, size=side.resize)
