"""Samplers, splits, collation and loaders against PyTorch, from the same seed."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np
import pytest

import ddp
from ddp.autograd.tensor import Tensor
from ddp.utils import data as ours
from ddp.utils.data import worker
from tests.oracle.compare import close, torch

theirs: Any = pytest.importorskip("torch.utils.data")
pytestmark = [
    pytest.mark.oracle,
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
]

SIZES = [1, 2, 7, 64, 1000]
Point = namedtuple("Point", ["x", "y"])


def same_draws(build: Any, rounds: int = 3) -> None:
    """Both packages give the same indices, round after round, and leave the same stream."""
    ddp.manual_seed(11)
    torch.manual_seed(11)
    our_sampler, their_sampler = build(ours, ddp.Generator), build(theirs, their_generator)
    for _ in range(rounds):
        assert list(our_sampler) == list(their_sampler)
    assert ddp.rand(3).tolist() == torch.rand(3).tolist()


def their_generator(seed: int) -> Any:
    return torch.Generator().manual_seed(seed)


WEIGHTS = np.random.default_rng(0).uniform(0, 1, 50)
SAMPLERS: list[Any] = [
    lambda d, g: d.SequentialSampler(range(5)),
    lambda d, g: d.SubsetRandomSampler([4, 8, 15, 16]),
    lambda d, g: d.SubsetRandomSampler(range(9), generator=g(2**40 + 3)),
    lambda d, g: d.WeightedRandomSampler(WEIGHTS, 100),
    lambda d, g: d.WeightedRandomSampler(WEIGHTS, 1),
    lambda d, g: d.WeightedRandomSampler(WEIGHTS, 50, replacement=False),
    lambda d, g: d.WeightedRandomSampler(WEIGHTS.tolist(), 10, generator=g(1)),
    lambda d, g: d.BatchSampler(d.RandomSampler(range(10)), 4, False),
    lambda d, g: d.BatchSampler(d.RandomSampler(range(10)), 4, True),
]


@pytest.mark.parametrize("build", SAMPLERS)
def test_samplers(build: Any) -> None:
    same_draws(build)


@pytest.mark.parametrize("size", SIZES)
def test_random_samplers(size: int) -> None:
    for arguments in ({}, {"num_samples": 2 * size + 1}, {"replacement": True, "num_samples": 70}):
        same_draws(lambda d, g, a=arguments: d.RandomSampler(range(size), **a))
        same_draws(lambda d, g, a=arguments: d.RandomSampler(range(size), generator=g(3), **a))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("arguments", [{}, {"shuffle": False}, {"drop_last": True, "seed": 9}])
def test_distributed_samplers(size: int, arguments: dict[str, Any]) -> None:
    for rank in range(3):
        our_sampler = ours.DistributedSampler(range(size), 3, rank, **arguments)
        their_sampler = theirs.DistributedSampler(range(size), 3, rank, **arguments)
        for epoch in (0, 5):
            our_sampler.set_epoch(epoch)
            their_sampler.set_epoch(epoch)
            assert list(our_sampler) == list(their_sampler)
            assert len(our_sampler) == len(their_sampler)


@pytest.mark.parametrize("lengths", [[3, 7, 1], [0.3, 0.3, 0.4], [0.5, 0.5], [1.0]])
def test_random_split(lengths: list[float]) -> None:
    ddp.manual_seed(4)
    torch.manual_seed(4)
    our_parts = ours.random_split(range(11), lengths)
    their_parts = theirs.random_split(range(11), lengths)
    assert [p.indices for p in our_parts] == [p.indices for p in their_parts]
    again = ours.random_split(range(11), lengths, generator=ddp.Generator(42))
    expected = theirs.random_split(range(11), lengths, generator=their_generator(42))
    assert [list(p) for p in again] == [list(p) for p in expected]


BATCHES: list[list[Any]] = [
    [1, 2],
    [1.5, 2],
    [1, 2.5],
    [True, False],
    [np.float32(1), np.float32(2)],
    [np.float64(1)],
    [np.int8(1), np.int8(2)],
    [np.bool_(True)],
    [np.ones((2, 3), np.float32)] * 2,
    [np.array(3)] * 2,
    ["a", "b"],
    [b"a"],
    [(1, "a", 2.0), (2, "b", 3.0)],
    [[1, np.ones(2)], [2, np.ones(2)]],
    [{"a": 1, "b": (2, 3.0)}, {"a": 4, "b": (5, 6.0)}],
    [Point(1, 2.0), Point(3, 4.0)],
    [range(3), range(3)],
]
NO_BATCHES: list[list[Any]] = [
    [None],
    [object],
    [[1], [1, 2]],
    [np.ones(2), np.ones(3)],
    [np.array(["a"])],
    [{1, 2}],
]


def same(our_value: Any, their_value: Any) -> None:
    if isinstance(our_value, Tensor):
        close(our_value, their_value, rtol=0, atol=0)
    elif isinstance(our_value, dict):
        assert our_value.keys() == their_value.keys()
        for key in our_value:
            same(our_value[key], their_value[key])
    elif isinstance(our_value, list | tuple):
        assert type(our_value) is type(their_value)
        for our_member, their_member in zip(our_value, their_value, strict=True):
            same(our_member, their_member)
    else:
        assert (our_value, type(our_value)) == (their_value, type(their_value))


@pytest.mark.parametrize("batch", BATCHES)
def test_collation_and_conversion(batch: list[Any]) -> None:
    same(ours.default_collate(batch), theirs.default_collate(batch))
    for sample in batch:
        same(ours.default_convert(sample), theirs.default_convert(sample))


@pytest.mark.parametrize("batch", NO_BATCHES)
def test_what_cannot_be_collated(batch: list[Any]) -> None:
    with pytest.raises((TypeError, RuntimeError)) as their_error:
        theirs.default_collate(batch)
    with pytest.raises(type(their_error.value)) as our_error:
        ours.default_collate(batch)
    assert str(our_error.value) == str(their_error.value)


LOADERS: list[dict[str, Any]] = [
    {"batch_size": 4},
    {"batch_size": 4, "shuffle": True},
    {"batch_size": 4, "shuffle": True, "drop_last": True},
    {"batch_size": None, "shuffle": True},
    {"batch_sampler": [[1, 2], [0]]},
    {"shuffle": True, "batch_size": 4, "num_workers": 2},
    {"shuffle": True, "batch_size": 4, "num_workers": 2, "persistent_workers": True},
]


@pytest.mark.parametrize("arguments", LOADERS)
def test_loaders_give_the_same_batches_and_leave_the_same_stream(arguments: dict[str, Any]) -> None:
    x, y = np.random.default_rng(0).random((11, 3), np.float32), np.arange(11)
    ddp.manual_seed(7)
    torch.manual_seed(7)
    our_loader = ours.DataLoader(ours.TensorDataset(Tensor(x), Tensor(y)), **arguments)
    tensors = theirs.TensorDataset(torch.tensor(x), torch.tensor(y))
    their_loader = theirs.DataLoader(tensors, **arguments)
    assert len(our_loader) == len(their_loader)
    for _ in range(3):
        same(list(our_loader), list(their_loader))
    assert ddp.rand(3).tolist() == torch.rand(3).tolist()


def test_random_access_with_a_generator_of_its_own() -> None:
    for seed in (0, 2**33 + 1):
        our_loader = ours.DataLoader(
            range(20), 6, shuffle=True, generator=ddp.Generator().manual_seed(seed)
        )
        their_loader = theirs.DataLoader(
            range(20), 6, shuffle=True, generator=their_generator(seed)
        )
        for _ in range(2):
            same(list(our_loader), list(their_loader))


@pytest.mark.parametrize("base_seed", [0, 123, 2**62 + 5])
def test_workers_seed_numpy_as_pytorch_does(base_seed: int) -> None:
    from torch.utils.data._utils.worker import _generate_state

    before = np.random.get_state()  # noqa: NPY002
    try:
        info = worker.WorkerInfo(1, 2, base_seed + 1, None)
        worker._seed_and_init(worker.WorkerTask(info, base_seed, True, list, False, None))
        expected = np.random.RandomState(_generate_state(base_seed, 1)).random_sample(3)
        assert np.random.random_sample(3).tolist() == expected.tolist()  # noqa: NPY002
    finally:
        np.random.set_state(before)  # noqa: NPY002
