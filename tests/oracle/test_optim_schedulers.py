"""Schedulers against PyTorch: rates, momenta and state dicts over thirty steps and a resumption."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from ddp import nn, optim
from ddp.autograd.tensor import Tensor
from tests.oracle.compare import torch

pytestmark = [
    pytest.mark.oracle,
    # Both give it when a sequence is made of a sequence.
    pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step"),
]


class Halving:
    """A function object, whose attributes a scheduler saves."""

    def __init__(self) -> None:
        self.last = 0.0

    def __call__(self, epoch: float) -> float:
        self.last = epoch
        return 0.5**epoch


# Each takes the module of schedulers (ours or PyTorch's) and the optimizer.
SCHEDULERS: dict[str, Any] = {
    "lambda": lambda s, o: s.LambdaLR(o, lambda epoch: 1 / (1 + epoch)),
    "lambdas": lambda s, o: s.LambdaLR(o, [Halving(), lambda epoch: 0.9**epoch]),
    "multiplicative": lambda s, o: s.MultiplicativeLR(o, lambda epoch: 1 - 1 / (epoch + 1)),
    "step": lambda s, o: s.StepLR(o, 3, 0.5),
    "multistep": lambda s, o: s.MultiStepLR(o, [2, 5, 5, 11], 0.3),
    "constant": lambda s, o: s.ConstantLR(o),
    "constant_7": lambda s, o: s.ConstantLR(o, 0.1, 7),
    "linear": lambda s, o: s.LinearLR(o),
    "linear_down": lambda s, o: s.LinearLR(o, 1.0, 0.1, 20),
    "exponential": lambda s, o: s.ExponentialLR(o, 0.9),
    "polynomial": lambda s, o: s.PolynomialLR(o, 20, 2.5),
    "cosine": lambda s, o: s.CosineAnnealingLR(o, 4),
    "cosine_long": lambda s, o: s.CosineAnnealingLR(o, 25, 0.01),
    "restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 3, 2),
    "restarts_even": lambda s, o: s.CosineAnnealingWarmRestarts(o, 5, 1, 0.1),
    "cyclic": lambda s, o: s.CyclicLR(o, 0.1, 1.0, 4),
    "cyclic_2": lambda s, o: s.CyclicLR(o, [0.1, 0.2], [1.0, 2.0], 4, 7, mode="triangular2"),
    "cyclic_range": lambda s, o: s.CyclicLR(o, 0.1, 1.0, 4, mode="exp_range", gamma=0.9),
    "cyclic_custom": lambda s, o: s.CyclicLR(
        o, 0.1, 1.0, 3, scale_fn=Halving(), scale_mode="iterations", cycle_momentum=False
    ),
    "one_cycle": lambda s, o: s.OneCycleLR(o, 1.0, 31),
    "one_cycle_three": lambda s, o: s.OneCycleLR(o, [1.0, 2.0], 40, three_phase=True),
    "one_cycle_linear": lambda s, o: s.OneCycleLR(
        o, 1.0, epochs=7, steps_per_epoch=5, anneal_strategy="linear", pct_start=0.2
    ),
    "sequential": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, 0.1, 1.0, 3), s.CosineAnnealingLR(o, 4)], [3]
    ),
    "sequential_three": lambda s, o: s.SequentialLR(
        o, [s.ConstantLR(o, 0.1, 20), s.ExponentialLR(o, 0.9), s.StepLR(o, 4)], [4, 13]
    ),
    "sequential_nested": lambda s, o: s.SequentialLR(
        o,
        [
            s.SequentialLR(o, [s.LinearLR(o), s.PolynomialLR(o, 6)], [4]),
            s.CosineAnnealingWarmRestarts(o, 4),
        ],
        [9],
    ),
    "chained": lambda s, o: s.ChainedScheduler([s.ConstantLR(o, 0.1, 4), s.ExponentialLR(o, 0.9)]),
}
OPTIMIZERS = {"SGD": {"lr": 0.4, "momentum": 0.9}, "Adam": {"lr": 0.4}}


def two_groups(package: Any, parameter: Any, name: str) -> Any:
    groups = [{"params": [parameter()]}, {"params": [parameter()], "lr": 0.2}]
    return getattr(package, name)(groups, **OPTIMIZERS[name])


def our_optimizer(name: str) -> Any:
    return two_groups(optim, lambda: nn.Parameter(Tensor(np.ones(1, np.float32))), name)


def their_optimizer(name: str) -> Any:
    return two_groups(torch.optim, lambda: torch.nn.Parameter(torch.ones(1)), name)


def hyper_parameters(optimizer: Any) -> list[dict[str, Any]]:
    return [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("schedule", SCHEDULERS)
def test_thirty_steps(schedule: str, name: str) -> None:
    build = SCHEDULERS[schedule]
    ours, theirs = our_optimizer(name), their_optimizer(name)
    our_scheduler = build(optim.lr_scheduler, ours)
    their_scheduler = build(torch.optim.lr_scheduler, theirs)
    for step in range(30):
        assert hyper_parameters(ours) == hyper_parameters(theirs), step
        assert our_scheduler.get_last_lr() == their_scheduler.get_last_lr()
        assert our_scheduler.state_dict() == their_scheduler.state_dict()
        if step == 12:  # both go on from PyTorch's state
            saved = their_scheduler.state_dict(), theirs.state_dict()
            ours, theirs = our_optimizer(name), their_optimizer(name)
            our_scheduler = build(optim.lr_scheduler, ours)
            their_scheduler = build(torch.optim.lr_scheduler, theirs)
            for scheduler, optimizer in ((our_scheduler, ours), (their_scheduler, theirs)):
                scheduler.load_state_dict(saved[0])
                optimizer.load_state_dict(saved[1])
        ours.step()
        theirs.step()
        our_scheduler.step()
        their_scheduler.step()


@pytest.mark.parametrize(
    "arguments",
    [
        {"patience": 2},
        {"patience": 1, "cooldown": 2, "factor": 0.5, "min_lr": [0.05, 0.1]},
        {"mode": "max", "patience": 0, "threshold": 0.1, "threshold_mode": "abs", "eps": 0.01},
        {"mode": "max", "patience": 1, "threshold": 0.1},
        {"patience": 1, "threshold": 0.5, "threshold_mode": "abs"},
    ],
)
def test_reduce_on_plateau(arguments: dict[str, Any]) -> None:
    ours, theirs = our_optimizer("SGD"), their_optimizer("SGD")
    our_scheduler = optim.lr_scheduler.ReduceLROnPlateau(ours, **arguments)
    their_scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **arguments)
    for measure in np.random.default_rng(0).uniform(0.5, 2.0, 40).tolist():
        our_scheduler.step(measure)
        their_scheduler.step(measure)
        assert our_scheduler.state_dict() == their_scheduler.state_dict()
        assert hyper_parameters(ours) == hyper_parameters(theirs)


@pytest.mark.parametrize("schedule", sorted(SCHEDULERS.keys() - {"chained"}))
def test_going_to_an_epoch_or_continuing_from_one(schedule: str) -> None:
    rates = []
    for package, optimizer in (
        (optim, our_optimizer("SGD")),
        (torch.optim, their_optimizer("SGD")),
    ):
        scheduler = SCHEDULERS[schedule](package.lr_scheduler, optimizer)
        optimizer.step()
        if schedule.startswith("sequential"):
            with pytest.raises(TypeError):
                scheduler.step(3)
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for epoch in (7, 2, 9):
                scheduler.step(epoch)
                rates.append((type(scheduler).__name__, epoch, scheduler.get_last_lr()))
        scheduler.step()
        rates.append((type(scheduler).__name__, "next", scheduler.get_last_lr()))
    assert rates[: len(rates) // 2] == rates[len(rates) // 2 :]


CONTINUED: dict[str, Any] = {
    "step": lambda s, o: s.StepLR(o, 3, 0.5, last_epoch=5),
    "cosine": lambda s, o: s.CosineAnnealingLR(o, 10, 0.1, last_epoch=4),
    "exponential": lambda s, o: s.ExponentialLR(o, 0.9, last_epoch=4),
    "linear": lambda s, o: s.LinearLR(o, total_iters=9, last_epoch=4),
    "lambda": lambda s, o: s.LambdaLR(o, lambda epoch: 1 / (1 + epoch), last_epoch=4),
    "restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 6, last_epoch=4),
    "cyclic": lambda s, o: s.CyclicLR(o, 0.1, 1.0, 4, last_epoch=4, cycle_momentum=False),
}


@pytest.mark.parametrize("schedule", CONTINUED)
def test_a_scheduler_made_with_a_last_epoch(schedule: str) -> None:
    rates = []
    for package, optimizer in (
        (optim, our_optimizer("SGD")),
        (torch.optim, their_optimizer("SGD")),
    ):
        with pytest.raises(KeyError, match="initial_lr"):
            CONTINUED[schedule](package.lr_scheduler, optimizer)
        for group in optimizer.param_groups:
            group["initial_lr"] = 2 * group["lr"]
        scheduler = CONTINUED[schedule](package.lr_scheduler, optimizer)
        run = [scheduler.get_last_lr()]
        for _ in range(12):
            optimizer.step()
            scheduler.step()
            run.append(scheduler.get_last_lr())
        rates.append(run)
    assert rates[0] == rates[1]
