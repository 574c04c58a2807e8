"""One bucket on its way through a step: `Lane`.

    filling   a shard's backward writes gradients straight into one of the lane's buffers
    full      every parameter's gradient of this shard is there: the buffer joins the tree
              (and the lane is filling again, for the next shard, with another buffer)
    sent      last shard: the neighbours on this host may read the partial sums where they lie
              (ddp.comm.neighbours), those for ranks of other hosts are on their way
    reduced   the parts of all ranks have been added in tree order: this rank's slice is final

Whose turn it is to touch a buffer: its owner's until the lane is sent; from then on its neighbours
read it, each its own slice, until they have left `Reducer.reduce`. The owner meanwhile adds the
others' parts into its own where its own slice is.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import NamedTuple

import numpy as np

from ddp.comm.communicator import Arrays, Communicator, Work
from ddp.comm.neighbours import Arena
from ddp.parallel.flat import Array, GradientBuffer
from ddp.parallel.layout import Bucket, extent, slice_bucket
from ddp.parallel.shards import BufferPlan, BufferSum, Node, TreeSum, cover, shard_range
from ddp.parallel.shared import buffer_plans, lane_buffers


class Term(NamedTuple):
    """A partial sum of the slice that is ours, and whether we may write where it lies."""

    array: Array
    writable: bool


def sum_of_squares(block: Array) -> float:
    """The sum of squares of the elements of one block.

    A float32 dot product over a fixed block, so it has the same bits whoever computes it; where
    that overflows it is taken again in float64.
    """
    value = float(np.dot(block, block))
    if not isfinite(value):
        wide = block.astype(np.float64)
        value = float(np.dot(wide, wide))
    return value


class SliceSum:
    """The tree sum over the partial sums of all ranks, of the slice that is ours, block by block.

    A block is added, and the sum of its squares taken, while it is in the cache. All views are made
    once.
    """

    def __init__(
        self, terms: Sequence[tuple[Node, Term]], shards: int, blocks: Sequence[slice]
    ) -> None:
        additions: list[tuple[Array, Array, Array]] = []

        def add(left: Term, right: Term) -> Term:
            if left.writable or right.writable:
                out = left.array if left.writable else right.array
            else:
                out = np.empty_like(left.array)
            additions.append((left.array, right.array, out))
            return Term(out, True)

        tree: TreeSum[Term] = TreeSum(shards, add)
        for node, term in terms:
            tree.push(node, term)
        self.result = tree.total().array
        self._blocks = [
            ([(a[block], b[block], out[block]) for a, b, out in additions], self.result[block])
            for block in blocks
        ]

    def take(self) -> list[float]:
        """Add everything up in `result`; return the sum of squares of each block."""
        squares = []
        for additions, result in self._blocks:
            for left, right, out in additions:
                np.add(left, right, out)
            squares.append(sum_of_squares(result))
        return squares


class Lane:
    """One bucket on its way through a step: buffers, partial sums, the exchange."""

    def __init__(
        self,
        bucket: Bucket,
        shapes: Sequence[tuple[int, ...]],
        comm: Communicator,
        shards: int,
        arena: Arena,
    ) -> None:
        self.bucket = bucket
        self.owned = slice_bucket(bucket, comm.size)
        self._cuts = [extent(owned, bucket) for owned in self.owned]
        self._comm, self._shards, self._arena = comm, shards, arena
        plans = buffer_plans(comm.size, shards)
        areas = {rank: lane_buffers(arena.of[rank], bucket, plans[rank]) for rank in arena.of}
        self.buffers = [GradientBuffer(bucket, shapes, flat) for flat in areas[comm.rank]]
        self._partial_sums = {r: [areas[r][b] for b in plans[r].cover] for r in areas}
        self._send, self._received = self._plan_exchange(plans)
        self._sum = self._plan_sum()
        self._numbers = [segment.parameter for segment in bucket.segments]
        self.pending: set[int] = set()
        self.filling = self.buffers[0]
        self.slice = self._sum.result if self._sum is not None else self.buffers[0].flat[:0]
        self.squares: list[float] = []
        self.begin_step()

    def _plan_exchange(self, plans: Sequence[BufferPlan]) -> tuple[list[Arrays], list[Arrays]]:
        """What goes to each rank of other hosts, and room for what comes from it."""
        mine = self._cuts[self._comm.rank]
        send: list[Arrays] = [()] * self._comm.size
        receive: list[Arrays] = [()] * self._comm.size
        for rank, cut in enumerate(self._cuts):
            if rank in self._arena.of:
                continue
            if cut.stop > cut.start:
                send[rank] = [flat[cut] for flat in self._partial_sums[self._comm.rank]]
            if mine.stop > mine.start:
                size = mine.stop - mine.start
                receive[rank] = [np.empty(size, np.float32) for _ in plans[rank].cover]
        return send, receive

    def _plan_sum(self) -> SliceSum | None:
        """How the parts of all ranks are added; None when no block is ours."""
        rank, size = self._comm.rank, self._comm.size
        cut, owned = self._cuts[rank], self.owned[rank]
        if not owned:
            return None
        terms = []
        for peer in range(size):
            near = peer in self._partial_sums
            parts = [p[cut] for p in self._partial_sums[peer]] if near else self._received[peer]
            nodes = cover(shard_range(peer, size, self._shards), self._shards)
            writable = not near or peer == rank
            terms += [(n, Term(part, writable)) for n, part in zip(nodes, parts, strict=True)]
        starts = [block.flat - owned[0].flat for block in owned]
        blocks = [slice(lo, lo + block.size) for lo, block in zip(starts, owned, strict=True)]
        return SliceSum(terms, self._shards, blocks)

    def begin_step(self) -> None:
        self._tree = BufferSum(self._shards, self._add)
        self._work: Work | None = None
        self.is_reduced = False

    def _add(self, left: int, right: int) -> None:
        self.buffers[left].flat += self.buffers[right].flat

    def begin_shard(self) -> None:
        self._number = self._tree.take()
        self.filling = self.buffers[self._number]
        self.pending = set(self._numbers)

    def close_shard(self, shard: int) -> None:
        """Every gradient of `shard` is in: add it to the tree."""
        self._tree.push(shard, self._number)

    def start_exchange(self, step: int) -> None:
        """Let each rank have our partial sums of its slice."""
        self._arena.publish(self.bucket.index, step)
        if len(self._arena.hosts) > 1:  # also with nothing to send: all start the same exchanges
            self._work = self._comm.all_to_all(self._send, self._received)

    def reduce_if_ready(self, step: int) -> bool:
        """Reduce if that needs no waiting; whether it was done."""
        if self._work is None and self._arena.has(self.bucket.index, step):
            self._add_up()
        return self.is_reduced

    def reduce(self, step: int, timeout_s: float) -> None:
        """Wait for the others and add all parts in tree order.

        Then `slice` is this rank's slice of the sum, and `squares` the sum of squares of each of
        its blocks.
        """
        self._arena.wait(self.bucket.index, step, timeout_s)
        if self._work is not None:
            self._work.wait(timeout_s)
        self._add_up()

    def _add_up(self) -> None:
        self.squares = self._sum.take() if self._sum is not None else []
        self.is_reduced = True
