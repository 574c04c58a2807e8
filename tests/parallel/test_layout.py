"""The layout is pure: places, buckets, slices and blocks, checked as properties."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ddp.parallel.layout import (
    ALIGNMENT,
    BLOCK,
    ITEM_BYTES,
    blocks,
    extent,
    join_blocks,
    lay_out,
    plan_buckets,
    slice_bucket,
)

SIZES = st.lists(st.integers(1, 3 * BLOCK), min_size=1, max_size=12)
CAPS = st.integers(1, 8 * BLOCK * ITEM_BYTES)


@given(SIZES, st.randoms(use_true_random=False))
def test_parameters_lie_apart_and_aligned_in_the_given_order(sizes, random) -> None:
    order = list(range(len(sizes)))
    random.shuffle(order)
    placed, total = lay_out(sizes, order)
    assert [segment.parameter for segment in placed] == order
    end = 0
    for segment in placed:
        assert segment.flat % ALIGNMENT == 0
        assert end <= segment.flat < end + ALIGNMENT
        end = segment.flat_stop
    assert end <= total < end + ALIGNMENT


def test_a_bucket_closes_when_it_reaches_its_cap_the_crossing_parameter_included() -> None:
    placed, _ = lay_out([1000, 1000, 1000, 1000, 1000], [4, 3, 2, 1, 0])
    buckets = plan_buckets(placed, first_bucket_bytes=4000, bucket_bytes=6000)
    members = [[segment.parameter for segment in bucket.segments] for bucket in buckets]
    assert members == [[4], [3, 2], [1, 0]]


@given(SIZES, CAPS, CAPS)
def test_buckets_cover_the_memory_without_a_gap(sizes, first_cap, cap) -> None:
    placed, total = lay_out(sizes, range(len(sizes)))
    buckets = plan_buckets(placed, first_cap, cap)
    assert buckets[0].start == 0
    assert buckets[-1].stop == total
    assert all(a.stop == b.start for a, b in pairwise(buckets))
    assert [s for bucket in buckets for s in bucket.segments] == list(placed)


@given(SIZES, CAPS, st.integers(1, 9))
def test_every_block_has_one_owner_whatever_the_number_of_ranks(sizes, cap, ranks) -> None:
    placed, _ = lay_out(sizes, range(len(sizes)))
    owned = [
        block
        for bucket in plan_buckets(placed, cap, cap)
        for part in slice_bucket(bucket, ranks)
        for block in part
    ]
    assert owned == blocks(placed)
    assert all(block.size <= BLOCK for block in owned)


@given(SIZES, CAPS, st.integers(1, 9))
def test_slices_do_not_overlap_and_hold_their_blocks(sizes, cap, ranks) -> None:
    placed, _ = lay_out(sizes, range(len(sizes)))
    for bucket in plan_buckets(placed, cap, cap):
        end = 0
        for part in slice_bucket(bucket, ranks):
            cut = extent(part, bucket)
            if part:
                assert end <= cut.start < cut.stop <= bucket.size
                end = cut.stop
            assert sum(s.size for s in join_blocks(part)) == sum(b.size for b in part)


def test_a_large_parameter_is_shared_evenly() -> None:
    placed, _ = lay_out([64 * BLOCK], [0])
    (bucket,) = plan_buckets(placed, 1, 1)
    assert [len(part) for part in slice_bucket(bucket, 4)] == [16, 16, 16, 16]


def test_two_blocks_are_shared_by_two_ranks() -> None:
    placed, _ = lay_out([BLOCK + 4000], [0])
    (bucket,) = plan_buckets(placed, 1, 1)
    assert [len(part) for part in slice_bucket(bucket, 2)] == [1, 1]
