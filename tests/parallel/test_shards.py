"""The reduction tree: the same association for every number of workers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddp.parallel.shards import Node, TreeSum, cover, middle, shard_range, shard_samples


def tree_as_text(node: Node) -> str:
    """The association of the sum over `node`, straight from the definition."""
    if node.hi - node.lo == 1:
        return str(node.lo)
    mid = middle(node)
    return f"({tree_as_text(Node(node.lo, mid))}+{tree_as_text(Node(mid, node.hi))})"


def join(left: str, right: str) -> str:
    return f"({left}+{right})"


def test_six_shards_are_added_as_the_picture_shows() -> None:
    assert tree_as_text(Node(0, 6)) == "(((0+1)+(2+3))+(4+5))"


@given(st.integers(1, 70), st.data())
def test_any_split_over_workers_gives_the_association_of_the_tree(
    shards: int, data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, shards))
    total: TreeSum[str] = TreeSum(shards, join)
    for rank in range(size):
        part = shard_range(rank, size, shards)
        local: TreeSum[str] = TreeSum(shards, join)
        for shard in range(part.lo, part.hi):
            local.push(Node(shard, shard + 1), str(shard))
        assert tuple(local.nodes) == cover(part, shards)
        for node, value in zip(local.nodes, local.values, strict=True):
            total.push(node, value)
    assert total.total() == tree_as_text(Node(0, shards))


@given(st.integers(1, 1000), st.data())
def test_a_worker_sends_at_most_twice_log2_partial_sums(shards: int, data: st.DataObject) -> None:
    lo = data.draw(st.integers(0, shards - 1))
    hi = data.draw(st.integers(lo + 1, shards))
    assert len(cover(Node(lo, hi), shards)) <= max(1, 2 * (shards - 1).bit_length())


@given(st.integers(1, 64), st.data())
def test_the_ranges_of_all_ranks_are_the_shards_in_order(shards: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, shards))
    ranges = [shard_range(rank, size, shards) for rank in range(size)]
    assert [s for r in ranges for s in range(*r)] == list(range(shards))
    lengths = {r.hi - r.lo for r in ranges}
    assert max(lengths) - min(lengths) <= 1


def test_more_workers_than_shards_are_refused() -> None:
    with pytest.raises(ValueError, match="between 1 and 2 workers"):
        shard_range(0, 3, 2)


@given(st.integers(1, 40), st.integers(1, 300))
def test_every_sample_of_a_batch_is_in_one_shard_and_the_first_is_never_empty(
    shards: int, samples: int
) -> None:
    parts = [shard_samples(shard, shards, samples) for shard in range(shards)]
    assert [p for part in parts for p in part] == list(range(samples))
    assert parts[0]


def test_an_incomplete_sum_is_not_given_out() -> None:
    total: TreeSum[str] = TreeSum(3, join)
    total.push(Node(0, 1), "0")
    with pytest.raises(AssertionError, match="incomplete"):
        total.total()
