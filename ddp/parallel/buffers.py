"""Averages module buffers (batch norm's running statistics) over the shards, in tree order.

Every shard starts from the values the step began with; what it changes is averaged, weighted by
samples, along the same tree as the gradients. Changes are summed, not values, so a buffer that
is only read keeps its bits. Integer buffers (batch norm's `num_batches_tracked`) take what
shard 0 made of them. (PyTorch DDP keeps rank 0's buffers and drops the others'.)
"""

from __future__ import annotations

import numpy as np

from ddp.autograd.tensor import Tensor
from ddp.comm.communicator import Arrays, Communicator, Work
from ddp.nn.module import Module
from ddp.parallel.flat import Array
from ddp.parallel.shards import Node, TreeSum, cover, shard_range

Place = tuple[dict[str, Tensor | None], str]  # a module's buffers, and a name among them


class BufferAverage:
    """The buffers of `model` through a step: `begin_step`, shards, `start_exchange`, `settle`."""

    def __init__(self, model: Module, comm: Communicator, shards: int) -> None:
        places: list[Place] = [
            (module._buffers, name)
            for module in model.modules()
            for name, buffer in module._buffers.items()
            if buffer is not None
        ]
        self._float = [p for p in places if _array(p).dtype.kind == "f"]
        self._other = [p for p in places if _array(p).dtype.kind != "f"]
        self._comm = comm
        self._shards = shards
        self._covers = [cover(shard_range(r, comm.size, shards), shards) for r in range(comm.size)]
        self._start: list[Array] = []
        self._first: list[Array] = []  # the non-float buffers as shard 0 left them
        self._tree = self._new_tree()
        self._work: Work | None = None
        self._received: list[list[Array]] = []

    def _new_tree(self) -> TreeSum[Array]:
        return TreeSum(self._shards, lambda left, right: left + right)

    def begin_step(self) -> None:
        self._start = [_array(place).copy() for place in (*self._float, *self._other)]
        self._first = [_array(place).copy() for place in self._other]
        self._tree = self._new_tree()

    def restore(self) -> None:
        """Put back the values the step began with."""
        for place, start in zip((*self._float, *self._other), self._start, strict=True):
            np.copyto(_array(place), start)

    def end_shard(self, shard: int, weight: float) -> None:
        """Take in what `shard`, with `weight` of the batch's samples, made of the buffers."""
        changes = [
            (_array(place).astype(np.float64) - start).ravel()
            for place, start in zip(self._float, self._start, strict=False)
        ]
        change = np.concatenate(changes) if changes else np.zeros(0)
        self._tree.push(Node(shard, shard + 1), change * weight)
        if shard == 0:
            self._first = [_array(place).copy() for place in self._other]

    def start_exchange(self) -> None:
        """Send this rank's partial sums to every other rank, rank 0 also shard 0's integers."""
        if not self._start:
            return
        size = self._tree.values[0].size
        self._received = [
            []
            if rank == self._comm.rank
            else [np.empty(size) for _ in nodes]
            + [np.empty_like(first) for first in self._first if rank == 0]
            for rank, nodes in enumerate(self._covers)
        ]
        send: Arrays = [*self._tree.values, *(self._first if self._comm.rank == 0 else ())]
        self._work = self._comm.all_gather(send, self._received)

    def wait(self, timeout_s: float) -> None:
        if self._work is not None:
            self._work.wait(timeout_s)

    def settle(self, apply: bool) -> None:
        """End the step: take the averaged values, or (a skipped step) those it began with."""
        self.restore()
        if not apply or not self._start:
            return
        total = self._new_tree()
        for rank, nodes in enumerate(self._covers):
            mine = rank == self._comm.rank
            values = self._tree.values if mine else self._received[rank][: len(nodes)]
            for node, value in zip(nodes, values, strict=True):
                total.push(node, value)
        self._add_change(total.total())
        first = self._first if self._comm.rank == 0 else self._received[0][len(self._covers[0]) :]
        for place, value in zip(self._other, first, strict=True):
            np.copyto(_array(place), value)

    def _add_change(self, change: Array) -> None:
        position = 0
        for place, start in zip(self._float, self._start, strict=False):
            array = _array(place)
            part = change[position : position + array.size].reshape(array.shape)
            np.copyto(array, start + part, casting="same_kind")  # not array: two may share it
            position += array.size


def _array(place: Place) -> Array:
    """The memory of a buffer now: a module may have put another tensor in its place."""
    buffers, name = place
    buffer = buffers[name]
    assert buffer is not None, f"the buffer {name!r} was removed while training"
    return buffer.array
