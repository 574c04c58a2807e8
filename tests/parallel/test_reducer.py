"""The reducer: gradients through hooks, buckets and the tree, against sums taken with NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pytest

from ddp.autograd.tensor import Tensor
from ddp.comm.communicator import Arrays, Communicator
from ddp.comm.solo import SoloCommunicator, SoloWork
from ddp.errors import LocalProtocolError
from ddp.parallel.reducer import NonFinite, Reducer
from tests.helpers.worlds import run_world
from tests.parallel.plans import NAMES, Array, arrays, parameters, plan, tree_sum

LIMIT_S = 10.0
ALL = range(len(NAMES))
BUCKETS = ([4, 3], [2], [1, 0])  # the parameters of each


class Recorder(SoloCommunicator):
    """Rank 0 of 2, whose peer is mute: counts the exchanges, which are complete at once."""

    size = 2

    def __init__(self) -> None:
        self.exchanges = 0

    def all_to_all(self, send: Sequence[Arrays], receive: Sequence[Arrays]) -> SoloWork:
        self.exchanges += 1
        return SoloWork(self)


class World:
    """Parameters with a reducer on them, on one rank."""

    def __init__(
        self, comm: Communicator | None = None, shards: int = 1, bucket_bytes: int = 64
    ) -> None:
        self.comm = comm or SoloCommunicator()
        self.parameters = parameters()
        _, _, self.buckets = plan(bucket_bytes)
        self.reducer = Reducer(NAMES, self.parameters, self.buckets, self.comm, shards)

    def fire(self, number: int, gradient: Array) -> None:
        """Give one parameter a gradient, through a backward of its own."""
        (self.parameters[number] * Tensor(gradient)).sum().backward()

    def shard(
        self, shard: int, gradients: Sequence[Array | None], order: Sequence[int] = ALL
    ) -> None:
        self.reducer.begin_shard(shard)
        for number in order:
            gradient = gradients[number]
            if gradient is not None:
                self.fire(number, gradient)
        self.reducer.end_shard()

    def step(self, by_shard: Sequence[Sequence[Array | None]]) -> list[tuple[str, int, Array]]:
        """Shards from the first of this rank's on; the sum, as (parameter, start, elements)."""
        self.reducer.begin_step(LIMIT_S)
        for shard, gradients in by_shard:
            self.shard(shard, gradients)
        slices = self.reducer.reduce(LIMIT_S)
        return [
            (NAMES[b.parameter], b.start, s[b.flat - owned[0].flat :][: b.size].copy())
            for owned, s in zip(self.reducer.owned, slices, strict=True)
            for b in owned
        ]


def whole(pieces: Sequence[tuple[str, int, Array]]) -> dict[str, Array]:
    """The parameters' gradients from the blocks of all ranks."""
    sums: dict[str, Array] = {}
    for name in NAMES:
        own = sorted((start, values) for n, start, values in pieces if n == name)
        sums[name] = np.concatenate([values for _, values in own])
    return sums


def expected(by_shard: Sequence[Sequence[Array]]) -> dict[str, Array]:
    return {
        name: tree_sum([gradients[n].ravel() for gradients in by_shard], np.add)
        for n, name in enumerate(NAMES)
    }


def one_rank(
    comm: Communicator, by_shard: list[list[Array]], bucket_bytes: int
) -> list[tuple[str, int, Array]]:
    world = World(comm, len(by_shard), bucket_bytes)
    lo, hi = world.reducer._range
    return world.step([(shard, by_shard[shard]) for shard in range(lo, hi)])


@pytest.mark.parametrize("bucket_bytes", [1, 64, 1 << 20])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_the_sum_is_taken_in_tree_order_whatever_the_number_of_ranks_and_the_buckets(
    size: int, bucket_bytes: int
) -> None:
    by_shard = [arrays(7, shard) for shard in range(5)]
    pieces = run_world(size, one_rank, by_shard, bucket_bytes)
    sums = whole([piece for of_rank in pieces for piece in of_rank])
    for name, values in expected(by_shard).items():
        np.testing.assert_array_equal(sums[name], values, err_msg=name)


def test_the_order_of_the_additions_shows_in_these_sums() -> None:
    """Otherwise the test above could not fail."""
    by_shard = [arrays(7, shard) for shard in range(5)]
    left_to_right = sum(gradients[2].ravel() for gradients in by_shard)
    assert (left_to_right != expected(by_shard)["big"]).any()


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_exchanges_start_in_bucket_order_whatever_order_gradients_arrive_in(
    order: tuple[int, ...],
) -> None:
    world = World(Recorder(), shards=2)
    world.reducer.begin_step(LIMIT_S)
    world.reducer.begin_shard(0)
    full: set[int] = set()
    for bucket in order:
        for number in BUCKETS[bucket]:
            world.fire(number, arrays(1)[number])
        full.add(bucket)
        may_go = next(n for n in range(4) if n not in full)  # a lower one is awaited
        assert world.comm.exchanges == may_go


def test_the_first_exchange_starts_before_the_last_gradient_has_come() -> None:
    """Within one backward, as in training: the graph reaches the last layers first."""
    world = World(Recorder(), shards=2)
    seen: list[int] = []
    world.parameters[0].register_hook(lambda gradient: seen.append(world.comm.exchanges))
    world.reducer.begin_step(LIMIT_S)
    world.reducer.begin_shard(0)
    total: Tensor = Tensor(0.0)
    for parameter in world.parameters:
        total = total + parameter.sum()  # the last one added is the first whose gradient comes
    total.backward()
    assert seen == [2]  # buckets [4, 3] and [2] are on their way
    assert world.comm.exchanges == 3


def test_only_the_last_shard_starts_exchanges() -> None:
    world = World(Recorder(), shards=6)
    world.reducer.begin_step(LIMIT_S)
    for shard in range(2):
        world.shard(shard, arrays(shard))
        assert world.comm.exchanges == 0
    world.shard(2, arrays(2))
    assert world.comm.exchanges == len(BUCKETS)


def test_a_gradient_that_becomes_ready_twice_in_a_shard_is_refused_by_name() -> None:
    world = World()
    world.reducer.begin_step(LIMIT_S)
    world.reducer.begin_shard(0)
    world.fire(0, arrays(1)[0])
    with pytest.raises(LocalProtocolError, match=r"'in\.weight' became ready twice"):
        world.fire(0, arrays(1)[0])


def test_a_parameter_used_twice_in_a_graph_is_ready_once_with_the_sum() -> None:
    world = World()
    world.reducer.begin_step(LIMIT_S)
    world.reducer.begin_shard(0)
    p, q = world.parameters[1], Tensor(arrays(1)[1])
    ((p * q).sum() + p.sum()).backward()
    world.reducer.end_shard()
    np.testing.assert_array_equal(p.grad.array, arrays(1)[1] + np.float32(1))


def test_a_parameter_without_a_gradient_adds_zero_and_counts_as_unused() -> None:
    world = World(shards=2)
    gone: list[Array | None] = [*arrays(1)]
    gone[2] = None
    world.step([(0, arrays(5)), (1, arrays(6))])  # leaves numbers in the buffers
    sums = whole(world.step([(0, gone), (1, gone)]))
    np.testing.assert_array_equal(sums["big"], 0)
    assert world.reducer.used == [True, True, False, True, True]


def test_a_parameter_used_by_one_shard_only_counts_as_used() -> None:
    world = World(shards=2)
    gone: list[Array | None] = [*arrays(1)]
    gone[3] = None
    sums = whole(world.step([(0, gone), (1, arrays(2))]))
    np.testing.assert_array_equal(sums["scale"], arrays(2)[3].ravel())
    assert all(world.reducer.used)


def test_a_hook_that_takes_the_gradient_away_makes_the_parameter_unused() -> None:
    world = World()
    world.reducer.close()
    world.parameters[1].register_post_accumulate_grad_hook(lambda p: setattr(p, "grad", None))
    world.reducer = Reducer(NAMES, world.parameters, world.buckets, world.comm, 1)
    sums = whole(world.step([(0, arrays(1))]))
    np.testing.assert_array_equal(sums["in.bias"], 0)
    assert world.reducer.used == [True, False, True, True, True]


def test_a_gradient_that_a_hook_replaces_is_the_one_exchanged() -> None:
    world = World()
    world.reducer.close()

    def triple(p: Tensor) -> None:
        p.grad = p.grad * 3.0

    world.parameters[1].register_post_accumulate_grad_hook(triple)
    world.parameters[0].register_hook(lambda gradient: gradient * 2.0)
    world.reducer = Reducer(NAMES, world.parameters, world.buckets, world.comm, 1)
    sums = whole(world.step([(0, arrays(1))]))
    np.testing.assert_array_equal(sums["in.bias"], arrays(1)[1] * np.float32(3))
    np.testing.assert_array_equal(sums["in.weight"], arrays(1)[0].ravel() * np.float32(2))


def test_gradients_are_written_straight_into_the_buckets() -> None:
    world = World()
    world.reducer.begin_step(LIMIT_S)
    world.reducer.begin_shard(0)
    buffers = [lane.filling.flat for lane in world.reducer.lanes]
    for number in ALL:
        world.fire(number, arrays(1)[number])
    for bucket, numbers in enumerate(BUCKETS):
        for number in numbers:
            assert np.shares_memory(world.parameters[number].grad.array, buffers[bucket])


def bad(number: int, value: float) -> list[Array]:
    gradients = arrays(3)
    gradients[number] = gradients[number].copy()
    gradients[number].reshape(-1)[-1] = value
    return gradients


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_first_shard_with_a_gradient_that_is_not_finite_is_named_with_the_parameter(
    value: float,
) -> None:
    world = World(shards=3)
    with np.errstate(invalid="ignore"):
        world.step([(0, arrays(1)), (1, bad(2, value)), (2, bad(0, value))])
        assert world.reducer.non_finite == NonFinite(1, "the gradient of big")
        world.step([(shard, arrays(shard)) for shard in range(3)])
    assert world.reducer.non_finite is None, "of the step before"


def test_within_a_bucket_the_parameter_that_is_not_finite_is_named_not_its_neighbour() -> None:
    world = World(bucket_bytes=1 << 20)
    world.step([(0, bad(1, np.nan))])
    assert world.reducer.non_finite == NonFinite(0, "the gradient of in.bias")


def test_a_square_that_overflows_accuses_nobody() -> None:
    world = World()
    with np.errstate(over="ignore"):
        world.step([(0, bad(0, 1e30))])
    assert world.reducer.non_finite is None


def test_the_gaps_between_parameters_stay_zero() -> None:
    world = World(shards=3)
    for step in range(2):
        world.step([(shard, arrays(step, shard)) for shard in range(3)])
    for lane in world.reducer.lanes:
        gap = np.ones(lane.bucket.size, bool)
        for s in lane.bucket.segments:
            gap[s.flat - lane.bucket.start : s.flat_stop - lane.bucket.start] = False
        for buffer in lane.buffers:
            assert not buffer.flat[gap].any()
    assert any(
        lane.bucket.size > sum(s.size for s in lane.bucket.segments) for lane in world.reducer.lanes
    ), "this plan has no gap to look at"


def test_memory_grows_with_the_depth_of_the_tree_only() -> None:
    world = World(shards=16, bucket_bytes=1 << 20)
    for step in range(2):
        world.step([(shard, arrays(step, shard)) for shard in range(16)])
    assert {len(lane.buffers) for lane in world.reducer.lanes} == {4 + 1}  # log2(16), one filling


def test_a_backward_outside_a_step_is_nobodys_business() -> None:
    world = World(Recorder(), shards=2)
    world.fire(0, arrays(1)[0])
    world.fire(0, arrays(1)[0])
    assert world.comm.exchanges == 0


def test_a_closed_reducer_leaves_the_parameters_as_it_found_them() -> None:
    world = World()
    world.step([(0, arrays(1))])
    world.reducer.close()
    for parameter in world.parameters:
        parameter.grad = None
    world.fire(0, arrays(2)[0])
    assert world.parameters[0].grad_buffer is None
    assert not any(
        np.shares_memory(world.parameters[0].grad.array, lane.filling.flat)
        for lane in world.reducer.lanes
    )
