"""Hooks fill buckets, buckets join the reduction tree, and exchanges start while backward runs.

What becomes of a bucket stands in `ddp.parallel.lane`. Exchanges start in bucket order on every
rank, whatever order the gradients arrive in (a bucket that is full early waits for lower ones), so
all ranks start the same sequence of exchanges.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import isfinite
from typing import NamedTuple

import numpy as np

from ddp.autograd.tensor import Tensor
from ddp.comm.communicator import Communicator
from ddp.comm.neighbours import Arena, PrivateArena
from ddp.errors import LocalProtocolError
from ddp.parallel.flat import Array
from ddp.parallel.lane import Lane
from ddp.parallel.layout import Bucket, Segment
from ddp.parallel.shards import shard_range
from ddp.parallel.shared import REDUCED, arena_sizes


class NonFinite(NamedTuple):
    """The first non-finite value a rank met in a step: which shard, and where."""

    shard: int
    where: str  # "the loss", or "the gradient of fc.weight"


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
        arena: Arena | None = None,
    ) -> None:
        """Without an `arena` (of `arena_sizes`) the gradients lie in private memory."""
        self._names = names
        self._parameters = parameters
        self._rank = comm.rank
        self._range = shard_range(comm.rank, comm.size, shards)
        shapes = [parameter.shape for parameter in parameters]
        sizes = arena_sizes(buckets, comm.size, shards)
        self._arena = arena or PrivateArena(comm, sizes.common_bytes, sizes.own_bytes)
        self.lanes = [Lane(bucket, shapes, comm, shards, self._arena) for bucket in buckets]
        self._members = [
            [(parameters[s.parameter], place) for place, s in enumerate(lane.bucket.segments)]
            for lane in self.lanes
        ]
        self._hooks = [
            parameters[s.parameter].register_post_accumulate_grad_hook(
                partial(self._on_gradient, lane, place, s.parameter)
            )
            for lane in self.lanes
            for place, s in enumerate(lane.bucket.segments)
        ]
        self._is_one_shard = shards == 1
        self._reduced = len(buckets) + REDUCED
        self._step = 0
        self._shard: int | None = None
        self._next_to_send = 0
        self._next_to_reduce = 0
        self._slices = [lane.slice for lane in self.lanes]
        self.used = [False] * len(parameters)
        self.non_finite: NonFinite | None = None

    @property
    def owned(self) -> list[tuple[Segment, ...]]:
        """This rank's blocks, bucket by bucket."""
        return [lane.owned[self._rank] for lane in self.lanes]

    @property
    def sums_of_squares(self) -> list[float]:
        """Of this rank's blocks, in the order of `owned`, after `reduce`."""
        return [square for lane in self.lanes for square in lane.squares]

    def begin_step(self, timeout_s: float) -> None:
        """Take possession of the buffers again, when all neighbours have left the last `reduce`."""
        self._arena.wait(self._reduced, self._step, timeout_s)
        self._step += 1
        self._next_to_send = 0
        self._next_to_reduce = 0
        self.used = [False] * len(self._parameters)
        self.non_finite = None
        for lane in self.lanes:
            lane.begin_step()

    def begin_shard(self, shard: int) -> None:
        """Clear the gradients and point them at the memory the next backward shall fill."""
        self._shard = shard
        for lane, members in zip(self.lanes, self._members, strict=True):
            lane.begin_shard()
            views = lane.filling.views
            for parameter, place in members:
                parameter.grad = None
                parameter.grad_buffer = views[place]

    def _on_gradient(self, lane: Lane, place: int, number: int, parameter: Tensor) -> None:
        """The gradient of `parameter` is final for this shard (post-accumulate hook)."""
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
        """A lane is full: it joins the tree, and after the last shard its exchange starts."""
        if not self._is_one_shard:
            self._check_finite(lane, shard)
        lane.close_shard(shard)
        if shard == self._range.hi - 1:
            self._send_full()
            self._reduce_ready()

    def _send_full(self) -> None:
        while self._next_to_send < len(self.lanes) and not self.lanes[self._next_to_send].pending:
            self.lanes[self._next_to_send].start_exchange(self._step)
            self._next_to_send += 1

    def _reduce_ready(self) -> None:
        """Add up what is there already, while it is in the cache."""
        while self._next_to_reduce < self._next_to_send:
            if not self.lanes[self._next_to_reduce].reduce_if_ready(self._step):
                return
            self._next_to_reduce += 1

    def _check_finite(self, lane: Lane, shard: int) -> None:
        """Note the first parameter with a NaN or an infinity.

        One dot product per bucket tells whether to look closer (it may overflow by itself).
        """
        flat = lane.filling.flat
        if self.non_finite is None and not isfinite(np.dot(flat, flat)):
            self._accuse(lane, shard)

    def _accuse(self, lane: Lane, shard: int) -> None:
        for segment, view in zip(lane.bucket.segments, lane.filling.views, strict=True):
            if not np.isfinite(view).all():
                where = f"the gradient of {self._names[segment.parameter]}"
                self.non_finite = NonFinite(shard, where)
                return

    def reduce(self, timeout_s: float) -> list[Array]:
        """This rank's slice of every bucket, summed over all shards. Each wait is limited.

        The memory is the same in every step.
        """
        for lane in self.lanes[self._next_to_reduce :]:
            lane.reduce(self._step, timeout_s)
        self._arena.publish(self._reduced, self._step)
        if self._is_one_shard:
            self._check_sums()
        return self._slices

    def _check_sums(self) -> None:
        """The only shard's gradient is the sum: its squares tell whether to look closer."""
        for lane in self.lanes:
            if self.non_finite is None and not all(map(isfinite, lane.squares)):
                self._accuse(lane, 0)

    def close(self) -> None:
        """Take the hooks off the parameters."""
        for hook in self._hooks:
            hook.remove()
        for parameter in self._parameters:
            parameter.grad_buffer = None
