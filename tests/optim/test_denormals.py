"""Denormal numbers are 0 in an optimizer's step, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from ddp.autograd.tensor import Tensor
from ddp.optim import denormals
from ddp.optim.optimizer import Optimizer
from ddp.optim.sgd import SGD

SMALLEST = 2.0**-126  # of normal numbers

needs_the_switch = pytest.mark.skipif(
    denormals.SWITCHED_ON is None, reason="this machine has no switch that we know"
)


def parameter(*values: float) -> Tensor:
    tensor = Tensor(np.array(values, np.float32), requires_grad=True)
    tensor.grad = Tensor(np.zeros(len(values), np.float32))
    return tensor


def with_momentum(*momenta: float) -> tuple[Tensor, Optimizer]:
    p = parameter(*[1.0] * len(momenta))
    optimizer = SGD([p], lr=0.5, momentum=0.5)
    optimizer.step()
    optimizer.state[p]["momentum_buffer"].array[...] = momenta
    return p, optimizer


@needs_the_switch
def test_a_momentum_that_fades_away_is_nothing_in_the_end() -> None:
    p, optimizer = with_momentum(SMALLEST, SMALLEST / 8, 4 * SMALLEST)
    optimizer.step()
    assert optimizer.state[p]["momentum_buffer"].tolist() == [0, 0, 2 * SMALLEST]
    assert p.tolist() == [1, 1, 1]


def test_after_a_step_denormal_numbers_are_what_they_were() -> None:
    _, optimizer = with_momentum(1.0)
    optimizer.step()
    assert not denormals.is_flushing()


def test_after_a_step_that_fails_denormal_numbers_are_what_they_were() -> None:
    _, optimizer = with_momentum(1.0)
    optimizer.param_groups[0]["momentum"] = "much"
    with pytest.raises((TypeError, ValueError)):
        optimizer.step()
    assert not denormals.is_flushing()


@needs_the_switch
def test_who_flushes_already_goes_on_flushing() -> None:
    with denormals.Flushing():
        with_momentum(1.0)[1].step()
        assert denormals.is_flushing()
    assert not denormals.is_flushing()


def test_the_closure_sees_denormal_numbers() -> None:
    _, optimizer = with_momentum(1.0)
    assert optimizer.step(denormals.is_flushing) is False


def test_a_machine_without_a_switch_steps_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    assert denormals.with_switch_on("a processor of next year") is None
    monkeypatch.setattr(denormals, "SWITCHED_ON", None)
    p, optimizer = with_momentum(SMALLEST, 1.0)
    optimizer.step()
    assert optimizer.state[p]["momentum_buffer"].tolist() == [SMALLEST / 2, 0.5]
    assert p.tolist() == [1, 0.75]
