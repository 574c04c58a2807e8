"""An optimizer cut into slices gives the bits of the same optimizer on whole parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from ddp.autograd.tensor import Tensor
from ddp.comm.communicator import Communicator
from ddp.comm.solo import SoloCommunicator
from ddp.errors import CheckpointError
from ddp.optim.adagrad import Adadelta, Adagrad
from ddp.optim.adam import Adam, AdamW
from ddp.optim.adam_variants import Adamax, NAdam, RAdam
from ddp.optim.elementwise import ElementwiseOptimizer
from ddp.optim.rmsprop import RMSprop
from ddp.optim.sgd import SGD
from ddp.parallel.flat import aligned_zeros, move_into
from ddp.parallel.layout import extent, slice_bucket
from ddp.parallel.sharded_optimizer import ShardedOptimizer, StatePart, plan_gather
from tests.helpers.worlds import run_world
from tests.parallel.plans import NAMES, Array, arrays, parameters, plan

LIMIT_S = 10.0
IDLE = NAMES.index("in.bias")  # gets no gradient in odd steps
OPTIMIZERS: dict[str, Callable[[Sequence[Tensor]], ElementwiseOptimizer]] = {
    "sgd": lambda tensors: SGD(tensors, lr=9.0),
    "momentum": lambda tensors: SGD(tensors, 9.0, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adam": lambda tensors: Adam(tensors, lr=9.0, amsgrad=True),
    "eps": lambda tensors: Adam(tensors, lr=9.0, eps=0.0),
    "adamw": lambda tensors: AdamW(tensors, lr=9.0, weight_decay=0.1),
    "rmsprop": lambda tensors: RMSprop(tensors, lr=9.0, momentum=0.9, centered=True),
    "adagrad": lambda tensors: Adagrad(tensors, lr=9.0, lr_decay=0.1, weight_decay=0.1),
    "adadelta": lambda tensors: Adadelta(tensors, lr=9.0, weight_decay=0.1),
    "adamax": lambda tensors: Adamax(tensors, lr=9.0, weight_decay=0.1),
    "nadam": lambda tensors: NAdam(tensors, lr=9.0, weight_decay=0.1),
    "radam": lambda tensors: RAdam(tensors, lr=9.0, decoupled_weight_decay=True),
}
Whole = dict[str, Array]


def learning_rate(step: int) -> float:
    return 0.1 / (step + 1)


def unused(step: int) -> set[int]:
    return {IDLE} if step % 2 else set()


class Sharded:
    """Parameters on one rank with a sharded optimizer on them."""

    def __init__(self, comm: Communicator, optimizer: str) -> None:
        self.comm = comm
        self.placed, total, self.buckets = plan()
        self.parameters = parameters()
        self.flat = aligned_zeros(total)
        move_into(self.flat, self.placed, self.parameters)
        self.optimizer = ShardedOptimizer(
            NAMES, self.parameters, self.flat, self.buckets, comm, OPTIMIZERS[optimizer]
        )

    def slices(self, gradients: Sequence[Array]) -> list[Array]:
        """What the reducer would hand over: this rank's part of every bucket."""
        flat = np.zeros_like(self.flat)
        for s in self.placed:
            flat[s.flat : s.flat_stop] = gradients[s.parameter].ravel()
        mine = [slice_bucket(b, self.comm.size)[self.comm.rank] for b in self.buckets]
        return [
            flat[b.start : b.stop][extent(owned, b)]
            for b, owned in zip(self.buckets, mine, strict=True)
        ]

    def train(self, steps: range) -> None:
        for step in steps:
            slices = self.slices(arrays(9, step))
            self.optimizer.step(slices, learning_rate(step), 0.7, unused(step))
            self.optimizer.gather(LIMIT_S)


def one_rank(
    comm: Communicator, optimizer: str, steps: range, before: tuple[Whole, Whole] | None = None
) -> tuple[list[Array], list[StatePart]]:
    sharded = Sharded(comm, optimizer)
    if before is not None:
        for name, parameter in zip(NAMES, sharded.parameters, strict=True):
            np.copyto(parameter.array, before[0][name])
        sharded.optimizer.load_state(before[1])
    sharded.train(steps)
    return [p.array.copy() for p in sharded.parameters], list(sharded.optimizer.state_parts())


def plain(optimizer: str, steps: range) -> list[Array]:
    """The same training with whole parameters."""
    trained = parameters()
    inner = OPTIMIZERS[optimizer](trained)
    for step in steps:
        for number, (parameter, gradient) in enumerate(zip(trained, arrays(9, step), strict=True)):
            clipped = np.asarray(gradient * np.float32(0.7))
            parameter.grad = None if number in unused(step) else Tensor(clipped)
        inner.param_groups[0]["lr"] = learning_rate(step)
        inner.step()
    return [parameter.array for parameter in trained]


def whole_state(parts: Sequence[StatePart]) -> Whole:
    """Whole arrays out of the parts of all ranks; every element exactly once."""
    wholes: Whole = {}
    filled: dict[str, Array] = {}
    for part in parts:
        whole = wholes.setdefault(part.name, np.empty(part.shape, part.array.dtype))
        times = filled.setdefault(part.name, np.zeros(part.shape, int))
        stretch = slice(part.start, part.start + part.array.size)
        whole.reshape(-1)[stretch] = part.array
        times.reshape(-1)[stretch] += 1
    assert all((times == 1).all() for times in filled.values())
    return wholes


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_slices_on_any_number_of_ranks_give_the_bits_of_whole_parameters(
    size: int, optimizer: str
) -> None:
    wanted = plain(optimizer, range(3))
    for trained, _ in run_world(size, one_rank, optimizer, range(3)):
        for name, ours, theirs in zip(NAMES, trained, wanted, strict=True):
            np.testing.assert_array_equal(ours, theirs, err_msg=name)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("before", "after"), [(1, 3), (4, 2), (3, 1)])
def test_state_goes_on_with_the_same_bits_on_another_number_of_ranks(
    before: int, after: int, optimizer: str
) -> None:
    first = run_world(before, one_rank, optimizer, range(2))
    model = dict(zip(NAMES, first[0][0], strict=True))
    state = whole_state([part for _, parts in first for part in parts])
    for trained, _ in run_world(after, one_rank, optimizer, range(2, 5), (model, state)):
        for name, ours, theirs in zip(NAMES, trained, plain(optimizer, range(5)), strict=True):
            np.testing.assert_array_equal(ours, theirs, err_msg=name)


def test_the_state_has_the_names_and_shapes_of_the_parameters() -> None:
    parts = run_world(2, one_rank, "adamw", range(1))
    state = whole_state([part for _, own in parts for part in own])
    assert set(state) == {f"{n}/{k}" for n in NAMES for k in ("step", "exp_avg", "exp_avg_sq")}
    assert state["big/exp_avg"].shape == (300, 129)
    assert state["scale/exp_avg"].shape == state["big/step"].shape == ()


def test_a_rank_that_owns_nothing_takes_part_and_holds_no_state() -> None:
    """Three blocks and four small parameters on 12 ranks leave some with empty hands."""
    ranks = run_world(12, one_rank, "adamw", range(2))
    assert sum(not parts for _, parts in ranks) >= 6
    for trained, _ in ranks:
        np.testing.assert_array_equal(trained[2], plain("adamw", range(2))[2])


@pytest.mark.parametrize("size", [1, 2])
def test_an_unused_parameter_keeps_its_value_and_its_state(size: int) -> None:
    def steps(comm: Communicator, last: int) -> tuple[list[Array], list[StatePart]]:
        return one_rank(comm, "adamw", range(last))

    first, second = run_world(size, steps, 1), run_world(size, steps, 2)  # unused in step 1
    np.testing.assert_array_equal(second[0][0][IDLE], first[0][0][IDLE])
    assert (second[0][0][0] != first[0][0][0]).any()
    states = [whole_state([p for _, parts in world for p in parts]) for world in (first, second)]
    for key in ("step", "exp_avg", "exp_avg_sq"):
        name = f"{NAMES[IDLE]}/{key}"
        np.testing.assert_array_equal(states[1][name], states[0][name])
    assert (states[0]["big/step"], states[1]["big/step"]) == (1, 2)


def strips(sharded: Sharded) -> int:
    """How many parameters the optimizer believes to have."""
    return len(sharded.optimizer.inner.param_groups[0]["params"])


def test_neighbours_are_updated_as_one_until_one_of_them_goes_without_a_gradient() -> None:
    sharded = Sharded(SoloCommunicator(), "adam")
    sharded.train(range(1))
    together = strips(sharded)
    assert together < len(NAMES)
    again = Sharded(SoloCommunicator(), "adam")
    again.optimizer.load_state(whole_state(list(sharded.optimizer.state_parts())))
    assert strips(again) == together
    sharded.train(range(1, 2))
    assert strips(sharded) == len(NAMES)
    apart = Sharded(SoloCommunicator(), "adam")
    apart.optimizer.load_state(whole_state(list(sharded.optimizer.state_parts())))
    assert strips(apart) == len(NAMES)


def test_the_gaps_between_parameters_do_no_harm() -> None:
    """They hold zeros and have gradients of zero, of which Adam without an eps makes 0/0."""
    sharded = Sharded(SoloCommunicator(), "eps")
    sharded.optimizer.step(sharded.slices(arrays(1)), 0.1, 1.0, set())
    assert all(np.isfinite(parameter.array).all() for parameter in sharded.parameters)


def test_a_parameter_that_was_never_used_has_no_state() -> None:
    sharded = Sharded(SoloCommunicator(), "adam")
    sharded.optimizer.step(sharded.slices(arrays(1)), 0.1, 1.0, {IDLE})
    assert not any(p.name.startswith("in.bias/") for p in sharded.optimizer.state_parts())


def test_the_state_that_is_handed_out_is_a_copy() -> None:
    sharded = Sharded(SoloCommunicator(), "adam")
    sharded.train(range(1))
    parts = list(sharded.optimizer.state_parts())
    kept = [part.array.copy() for part in parts]
    sharded.train(range(1, 2))
    for part, before in zip(parts, kept, strict=True):
        np.testing.assert_array_equal(part.array, before)


def test_the_state_that_is_loaded_is_a_copy() -> None:
    sharded = Sharded(SoloCommunicator(), "adam")
    sharded.train(range(1))
    state = whole_state(list(sharded.optimizer.state_parts()))
    kept = {name: array.copy() for name, array in state.items()}
    other = Sharded(SoloCommunicator(), "adam")
    other.optimizer.load_state(state)
    other.train(range(1, 3))
    for name, array in state.items():
        np.testing.assert_array_equal(array, kept[name], err_msg=name)


@pytest.mark.parametrize(
    "hosts", [((0,), (1,), (2,)), ((0, 2), (1,)), ((0, 1, 2),), ((0, 1, 2), (3,)), ((0, 3), (1, 2))]
)
def test_every_part_crosses_to_every_other_host_once_and_both_ends_agree(
    hosts: tuple[tuple[int, ...], ...],
) -> None:
    size = sum(map(len, hosts))
    parts = [np.full(0 if rank == 1 else 3, rank, np.float32) for rank in range(size)]
    plans = [plan_gather(rank, hosts, parts) for rank in range(size)]
    arrivals = []
    for source, (send, _) in enumerate(plans):
        for target, sent in enumerate(send):
            (_, receive) = plans[target]
            assert all(array is parts[source] for array in sent)
            assert len(receive[source]) == len(sent)
            arrivals += [(source, host) for host in hosts if target in host for _ in sent]
    assert sorted(arrivals) == sorted(
        (rank, host) for rank in range(size) for host in hosts if rank not in host and rank != 1
    )


def test_the_reduced_gradient_is_not_changed_by_clipping() -> None:
    sharded = Sharded(SoloCommunicator(), "momentum")
    slices = sharded.slices(arrays(1))
    kept = [part.copy() for part in slices]
    sharded.optimizer.step(slices, 0.1, 0.5, set())
    for part, before in zip(slices, kept, strict=True):
        np.testing.assert_array_equal(part, before)


def test_the_state_of_a_stranger_is_refused_by_name() -> None:
    state: Mapping[str, Array] = {"in.weight/exp_avg": arrays(0)[0], "out.w/exp_avg": np.zeros(3)}
    with pytest.raises(CheckpointError, match=r"a parameter the model does not have: 'out\.w'"):
        Sharded(SoloCommunicator(), "adam").optimizer.load_state(state)


def test_the_big_parameter_of_these_tests_is_shared_between_ranks() -> None:
    _, _, buckets = plan()
    shares = [[len(blocks) for blocks in slice_bucket(buckets[1], size)] for size in (2, 3, 4)]
    assert shares == [[1, 2], [1, 1, 1], [1, 0, 1, 1]]
