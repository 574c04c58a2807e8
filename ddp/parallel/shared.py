"""The memory of a run: what the ranks of a host have in common, and where which gradient lies.

`arena.common` is one set of parameters, `arena.of[rank]` the gradient buffers of a rank: for each
bucket as many as the tree sum of its shards takes, the buckets one after another; then its record
for the council. The channels are the buckets' numbers ("the partial sums of this bucket are
final"), then those named here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ddp.comm.neighbours import Memory
from ddp.parallel.council import record_size
from ddp.parallel.flat import Array
from ddp.parallel.layout import ITEM_BYTES, Bucket, slice_bucket
from ddp.parallel.shards import BufferPlan, plan_buffers, shard_range

# Channels, counted from the number of buckets on.
REDUCED = 0  # I have read my neighbours' gradients
UPDATED = 1  # I have updated my slices of the parameters
MOVED = 2  # the parameters are where all neighbours use them
VOTED = 3  # my record of the step may be read (ddp.parallel.council)
_BESIDE_BUCKETS = 4


class ArenaSizes(NamedTuple):
    """The arguments of `ddp.comm.arena.open_arena`."""

    common_bytes: int
    own_bytes: list[int]  # by rank
    channels: int


def arena_sizes(buckets: Sequence[Bucket], size: int, shards: int) -> ArenaSizes:
    """What `size` ranks that compute `shards` shards have in memory."""
    total_bytes = sum(bucket.size for bucket in buckets) * ITEM_BYTES
    parameters = sum(len(bucket.segments) for bucket in buckets)
    owners = zip(buffer_plans(size, shards), owned_blocks(buckets, size), strict=True)
    own_bytes = [
        plan.needed * total_bytes + 8 * record_size(parameters, owned) for plan, owned in owners
    ]
    return ArenaSizes(total_bytes, own_bytes, len(buckets) + _BESIDE_BUCKETS)


def owned_blocks(buckets: Sequence[Bucket], size: int) -> list[int]:
    """How many blocks each of `size` ranks owns."""
    owned = [slice_bucket(bucket, size) for bucket in buckets]
    return [sum(len(of_bucket[rank]) for of_bucket in owned) for rank in range(size)]


def buffer_plans(size: int, shards: int) -> list[BufferPlan]:
    return [plan_buffers(shard_range(rank, size, shards), shards) for rank in range(size)]


def lane_buffers(area: Memory, bucket: Bucket, plan: BufferPlan) -> list[Array]:
    """A rank's buffers for one bucket, where they lie in its part of the arena."""
    start = plan.needed * bucket.start
    lane = area.view(np.float32)[start : start + plan.needed * bucket.size]
    return list(lane.reshape(plan.needed, bucket.size))
