"""Hooks fill buckets, buckets join the reduction tree, and exchanges start while backward runs.

A bucket's life within one step, as `Lane`:

    filling   a shard's backward writes gradients straight into the lane's buffer
    full      every parameter's gradient of this shard is there: the buffer joins the tree
              (and the lane is filling again, for the next shard, with another buffer)
    sent      last shard: the partial sums are on their way to the ranks that own the slices
    reduced   the parts of all ranks have been added in tree order: this rank's slice is final

Exchanges start in bucket order on every rank, whatever order the gradients arrive in (a bucket
that is full early waits for lower ones), so all ranks start the same sequence of exchanges.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ddp.autograd.tensor import Tensor
from ddp.comm.communicator import Arrays, Communicator, Work
from ddp.errors import LocalProtocolError
from ddp.parallel.flat import Array, GradientBuffer
from ddp.parallel.layout import Bucket, Segment, extent, slice_bucket
from ddp.parallel.shards import Node, TreeSum, cover, shard_range


class NonFinite(NamedTuple):
    """The first non-finite value a rank met in a step: which shard, and where."""

    shard: int
    where: str  # "the loss", or "the gradient of fc.weight"


class Lane:
    """One bucket on its way through a step: buffers, partial sums, the exchange."""

    def __init__(
        self, bucket: Bucket, shapes: Sequence[tuple[int, ...]], comm: Communicator, shards: int
    ) -> None:
        self.bucket = bucket
        self.owned = slice_bucket(bucket, comm.size)
        self._cuts = [extent(owned, bucket) for owned in self.owned]
        self._covers = [
            cover(shard_range(rank, comm.size, shards), shards) for rank in range(comm.size)
        ]
        self._shapes = shapes
        self._comm = comm
        self._shards = shards
        self._spare: list[GradientBuffer] = []
        self._received: list[list[Array]] = self._receive_buffers()
        self.filling = self._take()
        self.pending: set[int] = set()
        self._reset()

    def _reset(self) -> None:
        self._tree: TreeSum[GradientBuffer] = TreeSum(self._shards, self._add)
        self._work: Work | None = None

    def _receive_buffers(self) -> list[list[Array]]:
        """For every other rank, room for its partial sums of the slice that is ours."""
        mine = self._cuts[self._comm.rank]
        size = mine.stop - mine.start
        return [
            []
            if rank == self._comm.rank or not size
            else [np.empty(size, np.float32) for _ in nodes]
            for rank, nodes in enumerate(self._covers)
        ]

    def _take(self) -> GradientBuffer:
        return self._spare.pop() if self._spare else GradientBuffer(self.bucket, self._shapes)

    def _add(self, left: GradientBuffer, right: GradientBuffer) -> GradientBuffer:
        left.flat += right.flat
        self._spare.append(right)
        return left

    def begin_step(self) -> None:
        self._spare.extend(self._tree.values)
        self._reset()

    def begin_shard(self) -> None:
        self.pending = {segment.parameter for segment in self.bucket.segments}

    def close_shard(self, shard: int) -> None:
        """Every gradient of `shard` is in: add it to the tree and make room for the next."""
        self._tree.push(Node(shard, shard + 1), self.filling)
        self.filling = self._take()

    def start_exchange(self) -> None:
        """Send each rank our partial sums of its slice."""
        rank = self._comm.rank
        send: list[Arrays] = [
            () if peer == rank or cut.start == cut.stop else self._parts(cut)
            for peer, cut in enumerate(self._cuts)
        ]
        self._work = self._comm.all_to_all(send, self._received)

    def _parts(self, cut: slice) -> list[Array]:
        return [partial_sum.flat[cut] for partial_sum in self._tree.values]

    def reduce(self, timeout_s: float) -> Array:
        """Wait for the exchange and add all parts in tree order: this rank's slice of the sum."""
        assert self._work is not None, "reduce before start_exchange"
        self._work.wait(timeout_s)
        mine = self._parts(self._cuts[self._comm.rank])
        total: TreeSum[Array] = TreeSum(self._shards, _add_in_place)
        for rank, nodes in enumerate(self._covers):
            values = mine if rank == self._comm.rank else self._received[rank]
            for node, value in zip(nodes, values, strict=False):
                total.push(node, value)
        return total.total() if mine[0].size else mine[0]


def _add_in_place(left: Array, right: Array) -> Array:
    left += right
    return left


class Reducer:
    """Turns the backward passes of this rank's shards into this rank's slices of the global sum.

    Use, step by step: `begin_step`; for each shard `begin_shard`, backward, `end_shard`; then
    `reduce`. Gradient hooks on the parameters do the rest. `parameters` and `names` are those
    that are trained, in registration order.
    """

    def __init__(
        self,
        names: Sequence[str],
        parameters: Sequence[Tensor],
        buckets: Sequence[Bucket],
        comm: Communicator,
        shards: int,
    ) -> None:
        self._names = names
        self._parameters = parameters
        self._rank = comm.rank
        self._range = shard_range(comm.rank, comm.size, shards)
        shapes = [parameter.shape for parameter in parameters]
        self.lanes = [Lane(bucket, shapes, comm, shards) for bucket in buckets]
        self._place: dict[int, tuple[Lane, int, int]] = {}  # id -> lane, place in it, number
        for lane in self.lanes:
            for place, segment in enumerate(lane.bucket.segments):
                parameter = parameters[segment.parameter]
                self._place[id(parameter)] = (lane, place, segment.parameter)
        self._hooks = [
            parameter.register_post_accumulate_grad_hook(self._on_gradient)
            for parameter in parameters
        ]
        self._shard: int | None = None
        self._next_to_send = 0
        self.used = [False] * len(parameters)
        self.non_finite: NonFinite | None = None

    @property
    def owned(self) -> list[tuple[Segment, ...]]:
        """This rank's blocks, bucket by bucket."""
        return [lane.owned[self._rank] for lane in self.lanes]

    def begin_step(self) -> None:
        self._next_to_send = 0
        self.used = [False] * len(self._parameters)
        self.non_finite = None
        for lane in self.lanes:
            lane.begin_step()

    def begin_shard(self, shard: int) -> None:
        """Clear the gradients and point them at the memory the next backward shall fill."""
        self._shard = shard
        for lane in self.lanes:
            lane.begin_shard()
            for segment, view in zip(lane.bucket.segments, lane.filling.views, strict=True):
                parameter = self._parameters[segment.parameter]
                parameter.grad = None
                parameter.grad_buffer = view

    def _on_gradient(self, parameter: Tensor) -> None:
        """The gradient of `parameter` is final for this shard (post-accumulate hook)."""
        lane, place, number = self._place[id(parameter)]
        if self._shard is None:
            return  # a backward of the user's own, outside a step
        if number not in lane.pending:
            raise LocalProtocolError(
                f"the gradient of {self._names[number]!r} became ready twice in one shard: "
                "expected one backward per shard"
            )
        view = lane.filling.views[place]
        if parameter.grad is None:
            view.fill(0.0)  # a hook of the user's took the gradient away
        else:
            self.used[number] = True
            if parameter.grad.array is not view:
                np.copyto(view, parameter.grad.array)
        lane.pending.remove(number)
        if not lane.pending:
            self._close(lane, self._shard)

    def end_shard(self) -> None:
        """Backward is over: what got no gradient from this shard contributes zero."""
        assert self._shard is not None, "end_shard without begin_shard"
        for lane in self.lanes:
            if not lane.pending:
                continue
            for segment, view in zip(lane.bucket.segments, lane.filling.views, strict=True):
                if segment.parameter in lane.pending:
                    view.fill(0.0)
            lane.pending.clear()
            self._close(lane, self._shard)
        self._shard = None

    def _close(self, lane: Lane, shard: int) -> None:
        self._check_finite(lane, shard)
        lane.close_shard(shard)
        if shard == self._range.hi - 1:
            while self._next_to_send < len(self.lanes) and self._is_full(self._next_to_send):
                self.lanes[self._next_to_send].start_exchange()
                self._next_to_send += 1

    def _is_full(self, index: int) -> bool:
        return not self.lanes[index].pending

    def _check_finite(self, lane: Lane, shard: int) -> None:
        """Note the first parameter with a NaN or an infinity.

        One dot product per bucket tells whether to look closer (it may overflow by itself).
        """
        flat = lane.filling.flat
        if self.non_finite is not None or np.isfinite(np.dot(flat, flat)):
            return
        for segment, view in zip(lane.bucket.segments, lane.filling.views, strict=True):
            if not np.isfinite(view).all():
                where = f"the gradient of {self._names[segment.parameter]}"
                self.non_finite = NonFinite(shard, where)
                return

    def reduce(self, timeout_s: float) -> list[Array]:
        """This rank's slice of every bucket, summed over all shards. Each wait is limited."""
        return [lane.reduce(timeout_s) for lane in self.lanes]

    def close(self) -> None:
        """Take the hooks off the parameters."""
        for hook in self._hooks:
            hook.remove()
        for parameter in self._parameters:
            parameter.grad_buffer = None
