"""Buffers are averaged over the shards like gradients are summed: in tree order, by samples."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ddp.autograd.tensor import Tensor
from ddp.comm.communicator import Communicator
from ddp.comm.solo import SoloCommunicator
from ddp.nn.batchnorm import BatchNorm1d
from ddp.nn.containers import Sequential
from ddp.nn.layers import Linear
from ddp.nn.module import Module
from ddp.parallel.buffers import BufferAverage
from ddp.parallel.shards import shard_range
from tests.helpers.worlds import run_world
from tests.parallel.plans import Array, tree_sum

LIMIT_S = 10.0
WEIGHTS = [0.3, 0.25, 0.25, 0.2, 0.0]  # the last shard is empty


class Statistics(Module):
    """A mean, an integer and a truth value that change, and two that are only read."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", Tensor(np.full(3, 0.1, np.float32)))
        self.register_buffer("count", Tensor(np.array(5)))
        self.register_buffer("seen", Tensor(np.array(False)))
        self.register_buffer("table", Tensor(np.linspace(0, 1, 7, dtype=np.float32)))
        self.register_buffer("scale", Tensor(np.array(0.7, np.float32)))
        self.register_buffer("none", None)


Change = Callable[[Module, int], None]


def add_in_place(model: Module, shard: int) -> None:
    model.mean.array += change_of(shard)
    model.count.array += shard + 1
    model.seen.array[...] = shard == 0


def put_another_tensor(model: Module, shard: int) -> None:
    model.mean = model.mean + Tensor(change_of(shard))
    model.count = model.count + (shard + 1)
    model.seen = Tensor(np.array(shard == 0))


def change_of(shard: int) -> Array:
    return np.random.default_rng(shard).normal(size=3).astype(np.float32)


def step(
    average: BufferAverage, model: Module, change: Change, comm: Communicator, apply: bool = True
) -> None:
    average.begin_step()
    for shard in range(*shard_range(comm.rank, comm.size, len(WEIGHTS))):
        average.restore()
        if WEIGHTS[shard]:
            change(model, shard)
        average.end_shard(shard, WEIGHTS[shard])
    average.start_exchange()
    average.finish_exchange(LIMIT_S)
    average.settle(apply)


def one_rank(comm: Communicator, change: Change, apply: bool, steps: int) -> dict[str, Array]:
    model = Statistics()
    average = BufferAverage(model, comm, len(WEIGHTS))
    for _ in range(steps):
        step(average, model, change, comm, apply)
    return {name: buffer.array for name, buffer in model.named_buffers()}


def expected_mean() -> Array:
    start = np.full(3, 0.1, np.float32)
    parts = [
        ((start + change_of(shard)).astype(np.float64) - start) * weight
        for shard, weight in enumerate(WEIGHTS[:-1])
    ]
    return (start + tree_sum([*parts, np.zeros(3)], np.add)).astype(np.float32)


@pytest.mark.parametrize("change", [add_in_place, put_another_tensor])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_changes_are_averaged_by_samples_in_tree_order_on_every_rank(
    size: int, change: Change
) -> None:
    for buffers in run_world(size, one_rank, change, True, 1):
        np.testing.assert_array_equal(buffers["mean"], expected_mean())
        assert buffers["mean"].dtype == np.float32


@pytest.mark.parametrize("size", [1, 3])
def test_what_is_no_float_is_taken_from_shard_0(size: int) -> None:
    for buffers in run_world(size, one_rank, add_in_place, True, 3):
        assert buffers["count"] == 5 + 3 * 1
        assert buffers["count"].dtype == np.int64
        assert buffers["seen"] == np.True_
        assert buffers["seen"].dtype == np.bool_


@pytest.mark.parametrize(("size", "steps"), [(1, 1000), (3, 100)])
def test_a_buffer_that_is_only_read_keeps_its_bits_for_a_thousand_steps(
    size: int, steps: int
) -> None:
    for buffers in run_world(size, one_rank, add_in_place, True, steps):
        np.testing.assert_array_equal(buffers["table"], np.linspace(0, 1, 7, dtype=np.float32))
        assert buffers["scale"] == np.float32(0.7)


@pytest.mark.parametrize("change", [add_in_place, put_another_tensor])
def test_a_skipped_step_leaves_every_buffer_as_it_was(change: Change) -> None:
    for buffers in run_world(2, one_rank, change, False, 2):
        assert (buffers["mean"] == np.float32(0.1)).all()
        assert buffers["count"] == 5
        assert not buffers["seen"]


def test_the_running_statistics_of_batch_norm_are_the_weighted_mean_over_the_shards() -> None:
    inputs = np.random.default_rng(0).normal(2.0, 3.0, (10, 4)).astype(np.float32)
    samples = [inputs[:3], inputs[3:5], inputs[5:7], inputs[7:]]
    model = Sequential(BatchNorm1d(4))
    average = BufferAverage(model, SoloCommunicator(), 4)
    average.begin_step()
    for shard, batch in enumerate(samples):
        average.restore()
        model(Tensor(batch))
        average.end_shard(shard, len(batch) / 10)
    average.start_exchange()
    average.settle(apply=True)
    weighted = sum(len(b) / 10 * b.mean(0, dtype=np.float64) for b in samples)
    np.testing.assert_allclose(model[0].running_mean.array, 0.1 * weighted, rtol=1e-6)
    variance = sum(len(b) / 10 * b.var(0, ddof=1, dtype=np.float64) for b in samples)
    np.testing.assert_allclose(model[0].running_var.array, 0.9 + 0.1 * variance, rtol=1e-6)
    assert model[0].num_batches_tracked.array == 1


def test_a_buffer_that_two_modules_share_is_averaged_once() -> None:
    model, other = Statistics(), Statistics()
    other.mean = model.mean
    pair = Sequential(model, other)
    average = BufferAverage(pair, SoloCommunicator(), len(WEIGHTS))
    step(average, pair, lambda pair, shard: add_in_place(pair[0], shard), SoloCommunicator())
    np.testing.assert_array_equal(model.mean.array, expected_mean())


def test_a_model_without_buffers_exchanges_nothing() -> None:
    class Deaf(SoloCommunicator):
        def all_to_all(self, send: object, receive: object) -> None:
            raise AssertionError("there is nothing to say")

    model = Sequential(Linear(2, 2))
    average = BufferAverage(model, Deaf(), len(WEIGHTS))
    step(average, model, lambda model, shard: None, Deaf())
