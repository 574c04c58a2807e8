"""Where each parameter lies in flat memory, what is exchanged together, and who owns what. Pure.

Parameters are laid one after another in the order in which their gradients become ready, each
beginning on a 64-byte boundary. Consecutive parameters form *buckets*, the units of exchange.
Every bucket is cut into one *slice* per rank; a rank reduces, and runs the optimizer on, its own
slices (ZeRO stage 1: Rajbhandari et al. 2020, arXiv:1910.02054, §5).

Slices begin and end on *blocks*: fixed pieces of 16,384 elements, counted from the beginning of
each parameter. Sums of squares are taken per block, so that the global norm depends neither on
the number of ranks, nor on bucket sizes, nor on the order of the parameters.

All positions are counted in elements (float32, 4 bytes).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

BLOCK = 16_384
ALIGNMENT = 16  # elements: 64 bytes, a cache line
ITEM_BYTES = 4


@dataclass(frozen=True, slots=True)
class Segment:
    """Elements start … stop-1 of parameter number `parameter`, which lie at `flat` in memory."""

    parameter: int
    start: int
    stop: int
    flat: int

    @property
    def size(self) -> int:
        return self.stop - self.start

    @property
    def flat_stop(self) -> int:
        return self.flat + self.size


@dataclass(frozen=True, slots=True)
class Bucket:
    """Consecutive parameters whose gradients are exchanged together: flat[start:stop]."""

    index: int
    segments: tuple[Segment, ...]  # whole parameters, in ready order
    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start


def lay_out(sizes: Sequence[int], order: Sequence[int]) -> tuple[tuple[Segment, ...], int]:
    """Place parameters of `sizes` elements in `order`; return (whole parameters, total elements).

    `order` is a permutation of the parameter numbers: the order in which gradients become ready.
    """
    assert sorted(order) == list(range(len(sizes))), "order must name every parameter once"
    placed = []
    position = 0
    for parameter in order:
        placed.append(Segment(parameter, 0, sizes[parameter], position))
        position += -(-sizes[parameter] // ALIGNMENT) * ALIGNMENT
    return tuple(placed), position


def plan_buckets(
    placed: Sequence[Segment], first_bucket_bytes: int, bucket_bytes: int
) -> tuple[Bucket, ...]:
    """Cut the laid-out parameters into buckets.

    As in PyTorch DDP a bucket closes when its size reaches its cap, the crossing parameter
    included; the first cap is smaller, so that the first exchange starts early.
    """
    buckets: list[Bucket] = []
    inside: list[Segment] = []
    for number, segment in enumerate(placed):
        inside.append(segment)
        cap_bytes = bucket_bytes if buckets else first_bucket_bytes
        size = segment.flat_stop - inside[0].flat
        if size * ITEM_BYTES >= cap_bytes or number == len(placed) - 1:
            stop = inside[0].flat + -(-size // ALIGNMENT) * ALIGNMENT
            buckets.append(Bucket(len(buckets), tuple(inside), inside[0].flat, stop))
            inside = []
    return tuple(buckets)


def blocks(segments: Sequence[Segment]) -> list[Segment]:
    """Cut whole parameters into blocks, in the order given."""
    return [
        Segment(s.parameter, lo, min(lo + BLOCK, s.stop), s.flat + lo - s.start)
        for s in segments
        for lo in range(s.start, s.stop, BLOCK)
    ]


def slice_bucket(bucket: Bucket, size: int) -> tuple[tuple[Segment, ...], ...]:
    """The blocks of `bucket` that each of `size` ranks owns: consecutive; maybe none."""
    pieces = blocks(bucket.segments)
    borders = [0, *(piece.flat_stop - bucket.start for piece in pieces)]
    cuts = [_nearest(borders, bucket.size * rank / size) for rank in range(size)]
    return tuple(tuple(pieces[lo:hi]) for lo, hi in pairwise([*cuts, len(pieces)]))


def _nearest(borders: Sequence[int], target: float) -> int:
    """Which of the ascending `borders` is nearest to `target`; the lower one of two."""
    above = min(bisect_left(borders, target), len(borders) - 1)
    if above and target - borders[above - 1] <= borders[above] - target:
        return above - 1
    return above


def extent(owned: Sequence[Segment], bucket: Bucket) -> slice:
    """The stretch of a bucket's array that holds the blocks `owned`, alignment gaps included."""
    if not owned:
        return slice(0, 0)
    return slice(owned[0].flat - bucket.start, owned[-1].flat_stop - bucket.start)


def join_blocks(owned: Sequence[Segment]) -> list[Segment]:
    """Neighbouring blocks of the same parameter as one segment."""
    joined: list[Segment] = []
    for block in owned:
        if joined and joined[-1].parameter == block.parameter and joined[-1].stop == block.start:
            last = joined[-1]
            joined[-1] = Segment(last.parameter, last.start, block.stop, last.flat)
        else:
            joined.append(block)
    return joined
