"""Evaluation: each sample once whatever the number of ranks, exact, and without a trace."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddp.autograd.grad_mode import is_grad_enabled
from ddp.autograd.tensor import Tensor
from ddp.data.dataset import ArrayDataset
from ddp.evaluate import batches_of, evaluate
from ddp.nn.loss_layers import CrossEntropyLoss, MSELoss
from ddp.nn.module import Module
from ddp.results import BatchResult, summarize
from tests.helpers.tasks import blobs, network

COUNTS = st.integers(1, 200)


@given(st.integers(1, 9), st.integers(0, 200), COUNTS)
def test_every_sample_is_in_one_batch_of_one_rank(size: int, samples: int, batch: int) -> None:
    batches = [b for rank in range(size) for b in batches_of(rank, size, samples, batch)]
    assert sorted(itertools.chain.from_iterable(batches)) == list(range(samples))


@given(st.integers(2, 9), st.integers(0, 200), COUNTS)
def test_the_batches_are_the_same_for_every_number_of_ranks(
    size: int, samples: int, batch: int
) -> None:
    batches = [b for rank in range(size) for b in batches_of(rank, size, samples, batch)]
    assert sorted(batches, key=lambda b: b.start) == batches_of(0, 1, samples, batch)


@given(st.integers(1, 9), st.integers(0, 200), COUNTS)
def test_ranks_have_as_many_batches_as_each_other_but_for_one(
    size: int, samples: int, batch: int
) -> None:
    counts = [len(batches_of(rank, size, samples, batch)) for rank in range(size)]
    assert max(counts) - min(counts) <= 1


RESULTS = st.lists(
    st.builds(
        BatchResult,
        loss=st.floats(0, 1e6),
        correct=st.integers(0, 5),
        samples=st.integers(5, 9),
    ),
    min_size=1,
    max_size=8,
)


@given(RESULTS, st.randoms(use_true_random=False))
def test_the_summary_does_not_depend_on_the_order_of_the_batches(results, random) -> None:
    shuffled = random.sample(results, len(results))
    assert summarize(shuffled) == summarize(results)


def test_the_summary_weighs_by_samples() -> None:
    results = [BatchResult(1.0, 3, 3), BatchResult(5.0, 0, 1)]
    assert summarize(results) == (2.0, 0.75)


def test_the_summary_of_a_regression_has_no_accuracy() -> None:
    assert summarize([BatchResult(1.0, None, 3), BatchResult(3.0, None, 3)]) == (2.0, None)


class Spy(Module):
    """Notes in which mode it was called."""

    def __init__(self) -> None:
        super().__init__()
        self.modes: list[tuple[bool, bool]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.modes.append((self.training, is_grad_enabled()))
        return x[:, :3]


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_evaluated_in_evaluation_mode_and_left_as_it_was(training: bool) -> None:
    spy = Spy().train(training)
    data = blobs()[0]
    evaluate(spy, CrossEntropyLoss(), data, batches_of(0, 1, len(data), 10))
    assert spy.modes == [(False, False)] * 3
    assert spy.training is training
    assert is_grad_enabled()


def test_evaluation_changes_no_buffer_and_leaves_no_gradient() -> None:
    model, data = network(), blobs()[0]
    before = {name: t.array.copy() for name, t in model.state_dict().items()}
    evaluate(model, CrossEntropyLoss(), data, [range(24)])
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(tensor.array, before[name], err_msg=name)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_losses_and_right_answers_are_those_of_the_whole_set() -> None:
    model, data = network(extras=False), blobs()[0]
    results = evaluate(model, CrossEntropyLoss(), data, batches_of(0, 1, 24, 7))
    assert [r.samples for r in results] == [7, 7, 7, 3]
    loss, accuracy = summarize(results)
    scores = model(Tensor(data.inputs))
    assert loss == pytest.approx(CrossEntropyLoss()(scores, Tensor(data.targets)).item(), rel=1e-6)
    assert accuracy == (scores.array.argmax(1) == data.targets).mean()


def test_a_regression_has_a_loss_and_no_right_answers() -> None:
    data = ArrayDataset(np.ones((4, 3), np.float32), np.zeros((4, 3), np.float32))
    (result,) = evaluate(Spy(), MSELoss(), data, [range(4)])
    assert result == BatchResult(1.0, None, 4)


def test_a_model_that_has_diverged_is_evaluated_without_a_warning() -> None:
    model, data = network(extras=False), blobs()[0]
    for parameter in model.parameters():
        parameter.array[...] = 3e38
    (result,) = evaluate(model, CrossEntropyLoss(), data, [range(24)])
    assert not np.isfinite(result.loss)
