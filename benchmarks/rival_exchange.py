"""gloo's all-reduce through `torch.distributed`, one rank; started by `benchmarks.baton`."""

from __future__ import annotations

import json
import sys
from typing import Any

import torch
import torch.distributed as dist

from benchmarks.baton import Answer, serve


class Gloo:
    """`spec`: meeting (a new file)."""

    address = ""

    def __init__(self, spec: dict[str, Any]) -> None:
        torch.set_num_threads(1)
        self._spec = spec

    def connect(self, addresses: list[str]) -> None:
        meeting = f"file://{self._spec['meeting']}"
        rank, size = self._spec["rank"], len(addresses)
        dist.init_process_group("gloo", meeting, rank=rank, world_size=size)

    def resize(self, nbytes: int) -> Answer:
        """Reduce arrays of so many bytes from now on; see once that the sum is right."""
        self._tensor = torch.full((nbytes // 4,), float(dist.get_rank() + 1))
        self.step()
        assert bool((self._tensor == 3.0).all())
        self._tensor.zero_()  # stays finite however often it is added to itself
        return {}

    def barrier(self) -> None:
        dist.barrier()

    def step(self) -> None:
        dist.all_reduce(self._tensor)


if __name__ == "__main__":
    side = Gloo(json.loads(sys.argv[1]))
    serve(side, size=side.resize)
