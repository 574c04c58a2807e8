"""Averages module buffers (batch norm's running statistics) over the shards, in tree order.

Every shard starts from the values the step began with; what it changes is averaged, weighted by
samples, along the same tree as the gradients. Changes are summed, not values, so a buffer that
is only read keeps its bits. Integer buffers (batch norm's `num_batches_tracked`) take what
shard 0 made of them. (PyTorch DDP keeps rank 0's buffers and drops the others'.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ddp.autograd.tensor import Tensor
from ddp.comm.communicator import Arrays, Communicator, Work
from ddp.nn.module import Module
from ddp.parallel.flat import Array
from ddp.parallel.shards import Node, TreeSum, cover, shard_range

Place = tuple[dict[str, Tensor | None], str]  # a module's buffers, and a name among them


class Buffers:
    """The buffers of a model by their places: a module may put another tensor in one."""

    def __init__(self, model: Module) -> None:
        self._places: list[Place] = [
            (module._buffers, name)
            for module in model.modules()
            for name, buffer in module._buffers.items()
            if buffer is not None
        ]

    def arrays(self) -> list[Array]:
        """The memory of each buffer as it is now."""
        return [_array(place) for place in self._places]

    def copies(self) -> list[Array]:
        return [array.copy() for array in self.arrays()]

    def write(self, values: Sequence[Array]) -> None:
        """Put `values` into the buffers, in place."""
        for array, value in zip(self.arrays(), values, strict=True):
            np.copyto(array, value, casting="same_kind")


class BufferAverage:
    """The buffers of `model` through a step: `begin_step`, shards, `start_exchange`, `settle`."""

    def __init__(self, model: Module, comm: Communicator, shards: int) -> None:
        self._buffers = Buffers(model)
        self._is_float = [array.dtype.kind == "f" for array in self._buffers.arrays()]
        self._comm = comm
        self._shards = shards
        self._covers = [cover(shard_range(r, comm.size, shards), shards) for r in range(comm.size)]
        self._start: list[Array] = []
        self._first: list[Array] = []  # the buffers that are not float, as shard 0 left them
        self._tree = self._new_tree()
        self._work: Work | None = None
        self._received: list[list[Array]] = []

    def _new_tree(self) -> TreeSum[Array]:
        return TreeSum(self._shards, lambda left, right: left + right)

    def begin_step(self) -> None:
        if not self._is_float:
            return  # a model without buffers
        self._start = self._buffers.copies()
        self._first = self._others()
        self._tree = self._new_tree()

    def _others(self) -> list[Array]:
        """Copies of the buffers that are not averaged."""
        copies = self._buffers.copies()
        return [
            array for array, is_float in zip(copies, self._is_float, strict=True) if not is_float
        ]

    def restore(self) -> None:
        """Put back the values the step began with."""
        if self._start:
            self._buffers.write(self._start)

    def end_shard(self, shard: int, weight: float) -> None:
        """Take in what `shard`, with `weight` of the batch's samples, made of the buffers."""
        if not self._start:
            return
        now = zip(self._buffers.arrays(), self._start, self._is_float, strict=True)
        changes = [
            (array.astype(np.float64) - start).ravel() for array, start, is_float in now if is_float
        ]
        change = np.concatenate(changes) if changes else np.zeros(0)
        self._tree.push(Node(shard, shard + 1), change * weight)
        if shard == 0:
            self._first = self._others()

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

    def finish_exchange(self, timeout_s: float) -> None:
        """Wait for the others' sums. Until `settle` the buffers are as the step began."""
        if self._work is not None:
            self._work.wait(timeout_s)
        self.restore()

    def settle(self, apply: bool) -> None:
        """End the step: take the averaged values, or (a skipped step) those it began with."""
        if not apply or not self._start:
            return
        total = self._new_tree()
        for rank, nodes in enumerate(self._covers):
            mine = rank == self._comm.rank
            values = self._tree.values if mine else self._received[rank][: len(nodes)]
            for node, value in zip(nodes, values, strict=True):
                total.push(node, value)
        first = self._first if self._comm.rank == 0 else self._received[0][len(self._covers[0]) :]
        self._buffers.write(self._final(total.total(), iter(first)))

    def _final(self, change: Array, others: Iterator[Array]) -> list[Array]:
        """The values after the step, from the summed change of those that are averaged."""
        values = []
        position = 0
        for start, is_float in zip(self._start, self._is_float, strict=True):
            if not is_float:
                values.append(next(others))
                continue
            part = change[position : position + start.size].reshape(start.shape)
            values.append(start + part)
            position += start.size
        return values


def _array(place: Place) -> Array:
    buffers, name = place
    buffer = buffers[name]
    assert buffer is not None, f"the buffer {name!r} was removed while training"
    return buffer.array
