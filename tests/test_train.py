"""The training step of one rank, against a loop written by hand as in PyTorch."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ddp.accuracy import count_correct
from ddp.autograd.random import PhiloxGenerator, current_generator, use_generator
from ddp.autograd.tensor import Tensor
from ddp.build import Task, build_model, make_optimizer
from ddp.comm.communicator import Communicator
from ddp.comm.solo import SoloCommunicator
from ddp.config import Config, from_dict
from ddp.data.dataset import ArrayDataset
from ddp.data.order import batch_indices
from ddp.errors import CheckpointError, ConfigError, DataError
from ddp.nn.batchnorm import BatchNorm1d
from ddp.nn.containers import Sequential
from ddp.nn.layers import Linear, ReLU
from ddp.nn.loss_layers import CrossEntropyLoss, MSELoss
from ddp.nn.module import Module
from ddp.nn.parameter import Parameter
from ddp.parallel.reducer import NonFinite
from ddp.train import Replica, earliest
from tests.helpers.tasks import PartlyUsed, blobs, network, tables
from tests.helpers.worlds import run_world

SGD = {"name": "SGD", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}
State = dict[str, Any]


def config(**changes: dict[str, Any]) -> Config:
    """A run of batches of 12 as one shard, unless `changes` say otherwise."""
    changes["train"] = {"shards": 1, "clip_norm": None} | changes.get("train", {})
    return from_dict({"seed": 5, **tables(**changes)})


def task(conf: Config, model: Module | None = None) -> Task:
    return Task(model or build_model(conf), CrossEntropyLoss(), blobs()[0], None)


def replica(conf: Config, model: Module | None = None, comm: Communicator | None = None) -> Replica:
    return Replica(conf, task(conf, model), comm or SoloCommunicator())


def train(trained: Replica, steps: range, lr: float = 0.1) -> None:
    for step in steps:
        result = trained.compute(step)
        trained.commit(True, lr, 1.0, result.unused)


def state(trained: Replica) -> State:
    """Everything a step may change, as copies."""
    parts = [(kind, part.name, part.start, part.array) for kind, part in trained.state_parts()]
    return {f"{kind}/{name}/{start}": array for kind, name, start, array in parts}


def assert_same_bits(ours: State, theirs: State) -> None:
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)


# -- the step as a whole ------------------------------------------------------------------------


def by_hand(conf: Config, steps: range) -> dict[str, Any]:
    """The loop everybody writes: batch, forward, loss, zero_grad, backward, step."""
    model, loss_fn, data = build_model(conf), CrossEntropyLoss(), blobs()[0]
    optimizer = make_optimizer(conf)(list(model.parameters()))
    model.train()
    for step in steps:
        inputs, targets = data.fetch(batch_indices(len(data), 12, conf.seed, step))
        with use_generator(PhiloxGenerator(conf.seed, step, 0)):
            loss = loss_fn(model(Tensor(inputs)), Tensor(targets))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {name: tensor.array for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("extras", [False, True])
@pytest.mark.parametrize("optimizer", [SGD, {"name": "AdamW", "lr": 0.1}])
def test_one_rank_and_one_shard_give_the_bits_of_a_loop_by_hand(
    optimizer: dict[str, Any], extras: bool
) -> None:
    conf = config(optimizer=optimizer, model={"args": {"extras": extras, "depth": 2}})
    trained = replica(conf)
    train(trained, range(5))
    assert_same_bits(trained.model_state(), by_hand(conf, range(5)))


@pytest.mark.parametrize("shards", [2, 3, 4, 12])
def test_shards_change_the_result_by_rounding_only(shards: int) -> None:
    plain = {"args": {"extras": False}}  # batch norm and dropout see a shard, not the batch
    one = replica(config(model=plain))
    many = replica(config(model=plain, train={"shards": shards}))
    train(one, range(3))
    train(many, range(3))
    for name, array in many.model_state().items():
        np.testing.assert_allclose(array, one.model_state()[name], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("shards", range(1, 10))
@pytest.mark.parametrize("samples", [9, 10, 13, 17])
def test_any_split_of_a_ragged_batch_gives_the_gradient_of_the_true_mean(
    samples: int, shards: int
) -> None:
    """The second batch has samples - 9 … 8 samples: shards are uneven, or empty."""
    model = network(extras=False)
    data = blobs(samples)[0]
    conf = config(train={"shards": shards, "global_batch": 9})
    split = Replica(conf, Task(model, CrossEntropyLoss(), data, None), SoloCommunicator())
    step = 1 if samples > 9 else 0
    result = split.compute(step)

    whole = copy.deepcopy(model)
    inputs, targets = data.fetch(batch_indices(samples, 9, conf.seed, step))
    loss = CrossEntropyLoss()(whole(Tensor(inputs)), Tensor(targets))
    loss.backward()
    mean = sum(s.loss * s.samples for s in result.shards) / sum(s.samples for s in result.shards)
    assert sum(s.samples for s in result.shards) == len(targets)
    assert mean == pytest.approx(loss.item(), rel=1e-6)

    before = {name: array.copy() for name, array in split.model_state().items()}
    split.commit(True, 1.0, 1.0, ())  # plain descent of one unit, but for momentum's first step
    for name, parameter in whole.named_parameters():
        change = before[name] - split.model_state()[name]
        assert parameter.grad is not None
        np.testing.assert_allclose(change, parameter.grad.array, rtol=1e-5, atol=2e-7)


def test_a_skipped_step_changes_no_parameter_no_buffer_and_no_optimizer_state() -> None:
    trained = replica(config(train={"shards": 4}))
    train(trained, range(2))
    before = state(trained)
    trained.compute(2)
    trained.commit(False, 0.1, 1.0, ())
    assert_same_bits(state(trained), before)


def test_a_step_computed_again_gives_the_same_bits() -> None:
    """With dropout and batch norm; nothing of the first attempt is left."""
    trained = replica(config(train={"shards": 4}))
    train(trained, range(2))
    first = trained.compute(2)
    slices = [part.copy() for part in trained._slices]
    again = trained.compute(2)
    assert again.shards == first.shards
    np.testing.assert_array_equal(again.sums_of_squares, first.sums_of_squares)
    for ours, theirs in zip(trained._slices, slices, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    trained.commit(True, 0.1, 1.0, ())
    straight = replica(config(train={"shards": 4}))
    train(straight, range(3))
    assert_same_bits(state(trained), state(straight))


def test_dropout_draws_other_numbers_in_every_shard_and_step() -> None:
    seen: list[bytes] = []

    class Noise(Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = Parameter(Tensor(np.ones((5, 3), np.float32)))

        def forward(self, x: Tensor) -> Tensor:
            seen.append(current_generator().uniform((4,), 0.0, 1.0).tobytes())
            return x @ self.weight

    noisy = replica(config(train={"shards": 3}), Noise())
    seen.clear()
    for step in (0, 1, 0):
        noisy.compute(step)
    assert len(set(seen[:6])) == 6
    assert seen[6:] == seen[:3]


def test_a_step_is_computed_in_training_mode_whatever_the_model_was_used_for_before() -> None:
    conf = config(train={"shards": 4})
    evaluated, untouched = replica(conf), replica(conf)
    evaluated.model.eval()
    for trained in (evaluated, untouched):
        train(trained, range(1))
    assert_same_bits(state(evaluated), state(untouched))


def test_running_statistics_of_a_ragged_batch_weigh_its_shards_by_samples() -> None:
    """Seven samples as shards of three, two and two: the mean is that of all seven."""
    data = blobs(7)[0]
    model = Sequential(BatchNorm1d(5), Linear(5, 3))
    conf = config(train={"shards": 3, "global_batch": 12})
    trained = Replica(conf, Task(model, CrossEntropyLoss(), data, None), SoloCommunicator())
    train(trained, range(1))
    mean = trained.model_state()["0.running_mean"]
    np.testing.assert_allclose(mean, 0.1 * data.inputs.mean(0, dtype=np.float64), rtol=1e-6)


def test_clipping_multiplies_the_gradient() -> None:
    conf = config(optimizer={"name": "SGD", "lr": 1.0}, model={"args": {"extras": False}})
    half, full = replica(conf), replica(conf)
    start = {name: array.copy() for name, array in half.model_state().items()}
    for trained, clip in ((half, 0.5), (full, 1.0)):
        trained.compute(0)
        trained.commit(True, 1.0, clip, ())
    for name, array in half.model_state().items():
        change = start[name] - full.model_state()[name]
        np.testing.assert_allclose(start[name] - array, change / 2, rtol=1e-5, atol=2e-7)


def test_the_first_loss_that_is_not_finite_is_reported_with_its_shard() -> None:
    data = blobs()[0]
    conf = config(train={"shards": 4})
    batch = batch_indices(len(data), 12, conf.seed, 1)
    data.inputs[batch[[7, 10]]] = np.nan  # in shards 2 and 3 of step 1
    trained = Replica(conf, Task(network(), CrossEntropyLoss(), data, None), SoloCommunicator())
    assert trained.compute(0).non_finite is None
    assert trained.compute(1).non_finite == NonFinite(2, "the loss")
    assert trained.compute(0).non_finite is None


@pytest.mark.parametrize(
    ("loss", "gradient", "first"),
    [
        (None, None, None),
        (NonFinite(2, "the loss"), None, NonFinite(2, "the loss")),
        (None, NonFinite(2, "w"), NonFinite(2, "w")),
        (NonFinite(2, "the loss"), NonFinite(2, "w"), NonFinite(2, "the loss")),
        (NonFinite(3, "the loss"), NonFinite(2, "w"), NonFinite(2, "w")),
    ],
)
def test_what_happened_first_is_blamed(
    loss: NonFinite | None, gradient: NonFinite | None, first: NonFinite | None
) -> None:
    assert earliest(loss, gradient) == first


def test_the_parameters_are_still_those_of_the_model_and_float32() -> None:
    trained = replica(config())
    before = dict(trained.model.named_parameters())
    train(trained, range(1))
    for name, parameter in trained.model.named_parameters():
        assert parameter is before[name]
        assert parameter.array.dtype == np.float32


def test_tied_weights_are_trained_once_and_loaded_back() -> None:
    def tied() -> Sequential:
        model = Sequential(Linear(5, 5), ReLU(), Linear(5, 5), Linear(5, 3))
        model[2].weight = model[0].weight
        return model

    conf = config()
    trained = replica(conf, tied())
    train(trained, range(2))
    held = trained.model_state()
    assert held["0.weight"] is held["2.weight"]
    saved = {name: array.copy() for name, array in held.items()}
    optimizer = {p.name: p.array.reshape(p.shape) for k, p in trained.state_parts() if k != "model"}
    resumed = replica(conf, tied())
    resumed.load_state(saved, optimizer)
    for one in (trained, resumed):
        train(one, range(2, 4))
    assert_same_bits(state(resumed), state(trained))


def test_frozen_parameters_stay_and_have_no_state() -> None:
    model = network(extras=False)
    model[0].requires_grad_(False)
    frozen = model[0].weight.array.copy()
    trained = replica(config(), model)
    train(trained, range(2))
    np.testing.assert_array_equal(trained.model_state()["0.weight"], frozen)
    assert not any(name.startswith("optimizer/0.") for name in state(trained))


# -- the layout ---------------------------------------------------------------------------------


def names_in_ready_order(trained: Replica) -> list[str]:
    return [trained._names[segment.parameter] for segment in trained._placed]


def test_gradients_lie_in_the_order_they_become_ready_the_last_layer_first() -> None:
    names = names_in_ready_order(replica(config(model={"args": {"depth": 2, "extras": False}})))
    layers = [name.split(".")[0] for name in names]
    assert layers == ["4", "4", "2", "2", "0", "0"]


def test_parameters_without_a_gradient_come_last_and_are_reported_as_unused() -> None:
    trained = replica(config(), PartlyUsed())
    assert names_in_ready_order(trained)[2:] == ["idle.weight", "idle.bias"]
    assert {trained._names[n] for n in trained.compute(0).unused} == {"idle.weight", "idle.bias"}


class Leaky(Module):
    """Keeps an average the way many do: by putting another tensor in the buffer's place."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = Linear(5, 3)
        self.register_buffer("mean", Tensor(np.zeros(5, np.float32)))
        self.register_buffer("calls", Tensor(np.array(0)))

    def forward(self, x: Tensor) -> Tensor:
        self.mean = (self.mean * 0.9 + x.detach().mean(0) * 0.1).detach()
        self.calls += 1
        return self.linear(x)


@pytest.mark.parametrize("make", [Leaky, network])
def test_looking_at_the_ready_order_leaves_no_trace(make: Callable[[], Module]) -> None:
    model = make()
    before = {name: tensor.array.copy() for name, tensor in model.state_dict().items()}
    drawn = current_generator()
    trained = replica(config(), model)
    assert_same_bits(trained.model_state(), before)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert current_generator() is drawn


def test_replicas_agree_on_the_plan_unless_what_they_train_differs() -> None:
    def plan(**changes: dict[str, Any]) -> str:
        return replica(config(**changes)).plan

    assert plan() == plan()
    others = {
        plan(model={"args": {"hidden": 8}}),
        plan(train={"shards": 2}),
        plan(cluster={"first_bucket_bytes": 1}),
        plan(model={"args": {"extras": False}}),
    }
    assert len(others | {plan()}) == 5


# -- what is refused ----------------------------------------------------------------------------


def test_a_model_with_nothing_to_train_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'model.factory'.*has nothing to train"):
        replica(config(), network().requires_grad_(False))


def test_a_float64_model_is_refused_by_the_name_of_its_parameter() -> None:
    with pytest.raises(ConfigError, match=r"parameter '0\.weight' is float64"):
        replica(config(), network(extras=False).double())


def test_data_that_do_not_fit_the_model_are_refused_with_both_shapes() -> None:
    with pytest.raises(DataError, match=r"inputs float32 of shape \(4, 5\).*do not fit the model"):
        replica(config(), network(features=6))


def test_a_label_without_a_class_is_refused() -> None:
    with pytest.raises(DataError, match=r"the training set: label 2 at position 2.*2 classes"):
        replica(config(), network(classes=2))


def test_a_loss_that_is_no_single_number_is_refused() -> None:
    conf = config()
    plain = Task(build_model(conf), CrossEntropyLoss(reduction="none"), blobs()[0], None)
    with pytest.raises(ConfigError, match=r"'model.loss'.*expected one number.*shape \(4,\)"):
        Replica(conf, plain, SoloCommunicator())


def test_a_state_of_another_model_is_refused_by_name() -> None:
    trained = replica(config())
    other = {name: array for name, array in trained.model_state().items() if name != "0.bias"}
    with pytest.raises(CheckpointError, match=r"0\.bias"):
        trained.load_state(other, {})


# -- the pieces ---------------------------------------------------------------------------------


def one_rank(comm: Communicator, conf: Config) -> tuple[list[float], State]:
    trained = replica(conf, comm=comm)
    result = trained.compute(0)
    trained.commit(True, 0.1, 1.0, ())
    return result.sums_of_squares.tolist(), trained.model_state()


def test_all_ranks_hold_the_same_parameters_and_every_block_is_reported_once() -> None:
    conf = config(model={"args": {"hidden": 9000}}, train={"shards": 4})
    ranks = run_world(3, one_rank, conf)
    for _, held in ranks[1:]:
        assert_same_bits(held, ranks[0][1])
    (alone, _), *_ = run_world(1, one_rank, conf)
    assert sorted(s for sums, _ in ranks for s in sums) == sorted(alone)


def test_right_answers_are_counted_for_classifiers_only() -> None:
    scores = Tensor(np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]], np.float32))
    assert count_correct(scores, np.array([1, 0, 0])) == 2
    assert count_correct(scores, np.array([1, 0, 0], np.int32)) == 2
    assert count_correct(scores, np.zeros((3, 2), np.float32)) is None
    assert count_correct(scores, np.zeros(3, np.float32)) is None
    assert count_correct(Tensor(np.zeros(3, np.float32)), np.zeros(3, np.int64)) is None


def test_a_regression_reports_no_right_answers() -> None:
    random = np.random.default_rng(0)
    data = ArrayDataset(random.normal(size=(24, 5)), random.normal(size=(24, 2)))
    conf = config()
    fitted = Replica(conf, Task(Linear(5, 2), MSELoss(), data, None), SoloCommunicator())
    assert fitted.compute(0).shards[0].correct is None
