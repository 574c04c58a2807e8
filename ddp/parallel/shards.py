"""Who computes what, and in which order the sums are taken. Pure.

The global batch is cut into `shards` logical shards. Floating-point addition is not associative,
so the sum over the shards is taken along one fixed binary tree that depends on `shards` alone:

    node(lo, hi) = node(lo, mid) + node(mid, hi),   mid = lo + the largest power of two < hi - lo

               (0,6)
              /     \\
          (0,4)     (4,6)          six shards
          /   \\     /   \\
       (0,2) (2,4) 4     5
        / \\   / \\
       0   1 2   3

A worker computes a contiguous range of shards and adds what lies wholly inside its range; at
most 2·log2(shards) partial sums are left over, its *cover*. Whoever finishes the sum adds the
covers of all workers, left to right, by the same rule, so the result has the same bits for
every number of workers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Node(NamedTuple):
    """The sum over the shards lo … hi-1."""

    lo: int
    hi: int


def shard_range(rank: int, size: int, shards: int) -> Node:
    """The contiguous shards of `rank`; lengths differ by at most one, none is empty.

    >>> [shard_range(rank, 3, 4) for rank in range(3)]
    [Node(lo=0, hi=1), Node(lo=1, hi=2), Node(lo=2, hi=4)]
    """
    if not 1 <= size <= shards:
        raise ValueError(f"expected between 1 and {shards} workers for {shards} shards, got {size}")
    return Node(rank * shards // size, (rank + 1) * shards // size)


def shard_samples(shard: int, shards: int, samples: int) -> range:
    """The positions within a batch of `samples` that belong to `shard`.

    A ragged last batch may leave shards empty, but never shard 0; which ones depends on the
    batch alone.

    >>> [len(shard_samples(shard, 4, 10)) for shard in range(4)]
    [3, 2, 3, 2]
    """
    return range(-(-shard * samples // shards), -(-(shard + 1) * samples // shards))


def middle(node: Node) -> int:
    """Where a node of two or more shards splits."""
    return node.lo + (1 << ((node.hi - node.lo - 1).bit_length() - 1))


def are_siblings(left: Node, right: Node, shards: int) -> bool:
    """Whether the tree over `shards` has a node whose two halves are `left` and `right`."""
    if left.hi != right.lo:
        return False
    node = Node(0, shards)
    while node.hi - node.lo > 1:
        mid = middle(node)
        if (node.lo, mid, node.hi) == (left.lo, left.hi, right.hi):
            return True
        if right.hi <= mid:
            node = Node(node.lo, mid)
        elif left.lo >= mid:
            node = Node(mid, node.hi)
        else:
            return False
    return False


class TreeSum(Generic[T]):
    """Adds values that arrive from left to right, exactly as the tree over `shards` says.

    A stack that works like a binary counter: a new value is added to the top as long as the two
    are siblings. `add(left, right)` returns the sum and may reuse the memory of either.
    """

    def __init__(self, shards: int, add: Callable[[T, T], T]) -> None:
        self._shards = shards
        self._add = add
        self.nodes: list[Node] = []
        self.values: list[T] = []

    def push(self, node: Node, value: T) -> None:
        while self.nodes and are_siblings(self.nodes[-1], node, self._shards):
            node = Node(self.nodes.pop().lo, node.hi)
            value = self._add(self.values.pop(), value)
        self.nodes.append(node)
        self.values.append(value)

    def total(self) -> T:
        """The sum over all shards; every one of them must have been pushed."""
        assert self.nodes == [Node(0, self._shards)], f"the sum is incomplete: {self.nodes}"
        return self.values[0]


def cover(part: Node, shards: int) -> tuple[Node, ...]:
    """The partial sums that are left when the shards of `part` have been added, left to right.

    >>> cover(Node(1, 6), 6)
    (Node(lo=1, hi=2), Node(lo=2, hi=4), Node(lo=4, hi=6))
    """
    tree: TreeSum[None] = TreeSum(shards, lambda left, right: None)
    for shard in range(part.lo, part.hi):
        tree.push(Node(shard, shard + 1), None)
    return tuple(tree.nodes)


class BufferPlan(NamedTuple):
    """The gradient buffers of a worker: how many, and which hold its cover in the end."""

    needed: int
    cover: tuple[int, ...]


class BufferSum:
    """The tree sum of one worker's shards in as few numbered buffers as it takes.

    `take` says which buffer the next shard fills, `push` that it is full; `add(left, right)` adds
    two buffers into the left one. Which buffer is used when depends on the shards alone, so every
    worker knows where the others' partial sums lie.
    """

    def __init__(self, shards: int, add: Callable[[int, int], None]) -> None:
        self._tree: TreeSum[int] = TreeSum(shards, self._add)
        self._add_buffers = add
        self._free: list[int] = []
        self.count = 0

    def take(self) -> int:
        """The number of a free buffer; a new one if there is none."""
        if self._free:
            return self._free.pop()
        self.count += 1
        return self.count - 1

    def push(self, shard: int, buffer: int) -> None:
        self._tree.push(Node(shard, shard + 1), buffer)

    def _add(self, left: int, right: int) -> int:
        self._add_buffers(left, right)
        self._free.append(right)
        return left

    @property
    def partial_sums(self) -> tuple[int, ...]:
        """The buffers that hold sums, left to right."""
        return tuple(self._tree.values)


def plan_buffers(part: Node, shards: int) -> BufferPlan:
    """What a `BufferSum` over the shards of `part` will use.

    >>> plan_buffers(Node(1, 6), 6)
    BufferPlan(needed=4, cover=(0, 1, 2))
    """
    buffers = BufferSum(shards, lambda left, right: None)
    for shard in range(part.lo, part.hi):
        buffers.push(shard, buffers.take())
    return BufferPlan(buffers.count, buffers.partial_sums)
