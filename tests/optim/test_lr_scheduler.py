"""Schedulers: PyTorch's golden rates, what is saved, warnings, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ddp.autograd.tensor import Tensor
from ddp.nn.parameter import Parameter
from ddp.optim import SGD, Adagrad, Adam, Optimizer
from ddp.optim import lr_scheduler as s


def sgd(lr: Any = 1.0, **arguments: Any) -> SGD:
    return SGD([Parameter(Tensor(np.ones(1, np.float32)))], lr=lr, **arguments)


def rates(scheduler: Any, optimizer: Optimizer, steps: int) -> list[float]:
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


# The rates of the first epochs with lr 1, from PyTorch 2.13.
GOLDEN: list[tuple[Any, list[float]]] = [
    (lambda o: s.LambdaLR(o, lambda epoch: 0.5**epoch), [1, 0.5, 0.25]),
    (lambda o: s.MultiplicativeLR(o, lambda epoch: 1 / epoch), [1, 1, 1 / 2, 1 / 6]),
    (lambda o: s.StepLR(o, 2, 0.1), [1, 1, 0.1, 0.1, 0.01]),
    (lambda o: s.MultiStepLR(o, [1, 3, 3], 0.1), [1, 0.1, 0.1, 0.001]),
    (lambda o: s.ConstantLR(o, total_iters=2), [1 / 3, 1 / 3, 1, 1]),
    (lambda o: s.LinearLR(o), [1 / 3, 7 / 15, 0.6, 11 / 15, 13 / 15, 1, 1]),
    (lambda o: s.ExponentialLR(o, 0.5), [1, 0.5, 0.25]),
    (lambda o: s.PolynomialLR(o, 4, 2), [1, 0.5625, 0.25, 0.0625, 0, 0]),
    (
        lambda o: s.CosineAnnealingLR(o, 4),
        [1, 0.853553, 0.5, 0.146447, 0, 0.146447],
    ),
    (
        lambda o: s.CosineAnnealingWarmRestarts(o, 3, 2),
        [1, 0.75, 0.25, 1, 0.933013, 0.75, 0.5, 0.25, 0.066987],
    ),
    (
        lambda o: s.CyclicLR(o, 0.1, 1, 2, cycle_momentum=False),
        [0.1, 0.55, 1, 0.55, 0.1],
    ),
    (
        lambda o: s.CyclicLR(o, 0, 1, 1, mode="triangular2", cycle_momentum=False),
        [0, 1, 0, 0.5, 0, 0.25],
    ),
    (
        lambda o: s.OneCycleLR(o, 1, 10),
        [0.04, 0.52, 1, 0.950485, 0.811746, 0.611262, 0.388742, 0.188258, 0.049519],
    ),
    (
        lambda o: s.SequentialLR(o, [s.LinearLR(o, 0.1, 1, 3), s.CosineAnnealingLR(o, 4)], [3]),
        [0.1, 0.4, 0.7, 1, 0.853553],
    ),
    (
        lambda o: s.ChainedScheduler([s.ConstantLR(o, 0.1, 2), s.ExponentialLR(o, 0.5)]),
        [0.1, 0.05, 0.25, 0.125],
    ),
]


@pytest.mark.parametrize(("build", "expected"), GOLDEN)
def test_the_rates_are_pytorchs(build: Any, expected: list[float]) -> None:
    optimizer = sgd(momentum=0.9)
    scheduler = build(optimizer)
    assert rates(scheduler, optimizer, len(expected)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("build", "expected"), GOLDEN)
def test_a_saved_scheduler_continues_the_same_rates(build: Any, expected: list[float]) -> None:
    optimizer = sgd(momentum=0.9)
    scheduler = build(optimizer)
    rates(scheduler, optimizer, 2)
    resumed = sgd(momentum=0.9)
    again = build(resumed)
    again.load_state_dict(scheduler.state_dict())
    resumed.load_state_dict(optimizer.state_dict())
    assert again.get_last_lr() == scheduler.get_last_lr()
    assert rates(again, resumed, 6) == rates(scheduler, optimizer, 6)


def test_a_plateau_lowers_the_rate_after_patience_has_run_out() -> None:
    optimizer = sgd()
    scheduler = s.ReduceLROnPlateau(optimizer, patience=1, factor=0.5, cooldown=1, min_lr=0.2)
    seen = []
    for loss in (3, 2, 2, 2, 2, 2, 2, 2, 2, 2):
        scheduler.step(loss)
        seen.append(optimizer.param_groups[0]["lr"])
    assert seen == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2]


def test_one_cycle_moves_the_momentum_against_the_rate() -> None:
    for optimizer in (sgd(momentum=0.9), Adam([Parameter(Tensor(np.ones(1, np.float32)))])):
        scheduler = s.OneCycleLR(optimizer, 1.0, 10)
        momenta = []
        for _ in range(4):
            group = optimizer.param_groups[0]
            momenta.append(group["betas"][0] if "betas" in group else group["momentum"])
            optimizer.step()
            scheduler.step()
        assert momenta == pytest.approx([0.95, 0.9, 0.85, 0.8549516])


def test_construction_notes_the_initial_rate_and_groups_keep_their_own() -> None:
    a, b = (Parameter(Tensor(np.ones(1, np.float32))) for _ in range(2))
    optimizer = SGD([{"params": [a]}, {"params": [b], "lr": 0.2}], lr=0.4)
    scheduler = s.ExponentialLR(optimizer, 0.5)
    optimizer.step()
    scheduler.step()
    assert [group["initial_lr"] for group in optimizer.param_groups] == [0.4, 0.2]
    assert scheduler.get_last_lr() == [0.2, 0.1]
    assert scheduler.base_lrs == [0.4, 0.2]


def test_a_rate_that_is_a_tensor_stays_the_same_tensor() -> None:
    rate = Tensor(np.array(1.0, np.float32))
    optimizer = sgd(rate)
    scheduler = s.ExponentialLR(optimizer, 0.5)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] is rate
    assert (rate.item(), scheduler.get_last_lr()) == (0.5, [0.5])


def test_a_scheduler_stepped_before_its_optimizer_warns_once() -> None:
    optimizer = sgd()
    scheduler = s.ExponentialLR(optimizer, 0.5)
    with pytest.warns(UserWarning, match=r"`lr_scheduler.step\(\)` before `optimizer.step\(\)`"):
        scheduler.step()
    scheduler.step()


def test_asking_for_the_next_rate_from_outside_warns() -> None:
    scheduler = s.ExponentialLR(sgd(), 0.5)
    with pytest.warns(UserWarning, match="please use `get_last_lr"):
        scheduler.get_lr()


def test_going_to_an_epoch_uses_the_closed_form_and_warns() -> None:
    optimizer = sgd()
    scheduler = s.ExponentialLR(optimizer, 0.5)
    optimizer.step()
    with pytest.warns(UserWarning, match="The epoch parameter"):
        scheduler.step(3)
    assert scheduler.get_last_lr() == [0.125]


def test_warm_restarts_take_fractions_of_an_epoch() -> None:
    scheduler = s.CosineAnnealingWarmRestarts(sgd(), 2, 2)
    scheduler.step(1.5)
    assert scheduler.get_last_lr() == pytest.approx([0.1464466])
    scheduler.step(3)
    assert (scheduler.T_cur, scheduler.T_i) == (1, 4)


def test_a_users_own_scheduler_says_its_rates_in_get_lr() -> None:
    class Harmonic(s.LRScheduler):
        def get_lr(self) -> list[float]:
            return [base / (1 + self.last_epoch) for base in self.base_lrs]

    optimizer = sgd()
    assert rates(Harmonic(optimizer), optimizer, 3) == [1, 1 / 2, 1 / 3]


REFUSED: list[tuple[Any, type[Exception], str]] = [
    (lambda o: s.StepLR(3, 2), TypeError, "int is not an Optimizer"),
    (lambda o: s.StepLR(o, 2, last_epoch=3), KeyError, "load the optimizer's state first"),
    (lambda o: s.LambdaLR(o, [abs, abs]), ValueError, "Expected 1 lr_lambdas, but got 2"),
    (lambda o: s.MultiplicativeLR(o, 3), TypeError, "should be a function, but got int"),
    (lambda o: s.ConstantLR(o, 2), ValueError, "between 0 and 1"),
    (lambda o: s.LinearLR(o, 0), ValueError, "greater than 0 and less or equal to 1"),
    (lambda o: s.LinearLR(o, 1, 2), ValueError, "between 0 and 1"),
    (lambda o: s.CosineAnnealingWarmRestarts(o, 0), ValueError, "positive integer T_0"),
    (lambda o: s.CosineAnnealingWarmRestarts(o, 1, 0.5), ValueError, "integer T_mult >= 1"),
    (lambda o: s.CosineAnnealingWarmRestarts(o, 1).step(-1), ValueError, "non-negative epoch"),
    (lambda o: s.CyclicLR(o, 0.1, 1, mode="square"), ValueError, "mode is invalid"),
    (lambda o: s.CyclicLR(o, [0.1, 0.2], 1), ValueError, "base_lr has 2 values"),
    (
        lambda o: s.CyclicLR(Adagrad(o.param_groups[0]["params"]), 0.1, 1),
        ValueError,
        "must support momentum",
    ),
    (lambda o: s.OneCycleLR(o, 1), ValueError, "either total_steps OR"),
    (lambda o: s.OneCycleLR(o, 1, 0), ValueError, "positive integer total_steps"),
    (lambda o: s.OneCycleLR(o, 1, epochs=2, steps_per_epoch=0), ValueError, "steps_per_epoch"),
    (lambda o: s.OneCycleLR(o, 1, 9, pct_start=2.0), ValueError, "between 0 and 1 pct_start"),
    (lambda o: s.OneCycleLR(o, 1, 9, anneal_strategy="x"), ValueError, "'cos' or 'linear'"),
    (lambda o: s.SequentialLR(o, [], []), ValueError, "at least one scheduler"),
    (lambda o: s.SequentialLR(o, [s.StepLR(o, 1)], [1]), ValueError, "one more than the number"),
    (lambda o: s.SequentialLR(o, [3], []), TypeError, "should have `optimizer`"),
    (lambda o: s.ChainedScheduler([s.ReduceLROnPlateau(o)]), ValueError, "does not support"),
    (lambda o: s.ChainedScheduler([]), ValueError, "at least one scheduler to be chained"),
    (
        lambda o: s.ChainedScheduler([s.StepLR(o, 1), s.StepLR(sgd(), 1)]),
        ValueError,
        "belong to the same optimizer",
    ),
    (lambda o: s.ReduceLROnPlateau(o, factor=1), ValueError, "Factor should be < 1.0"),
    (lambda o: s.ReduceLROnPlateau(o, mode="x"), ValueError, "mode x is unknown"),
    (lambda o: s.ReduceLROnPlateau(o, min_lr=[1, 2]), ValueError, "expected 1 min_lrs, got 2"),
]


@pytest.mark.parametrize(("build", "error", "words"), REFUSED)
def test_what_cannot_be_is_refused(build: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        build(sgd(momentum=0.9))


def test_more_steps_than_one_cycle_has_are_refused() -> None:
    optimizer = sgd(momentum=0.9)
    scheduler = s.OneCycleLR(optimizer, 1.0, 3)
    rates(scheduler, optimizer, 3)
    with pytest.raises(ValueError, match="number of total steps is 3"):
        rates(scheduler, optimizer, 1)
