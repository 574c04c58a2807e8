"""Optimizers and clipping against PyTorch, in float64 and float32, over ten steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ddp import nn, optim
from ddp.autograd.tensor import Tensor
from ddp.schedule import learning_rate
from tests.oracle.compare import close, draw, torch

pytestmark = pytest.mark.oracle

OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "maximize": True, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "maximize": True}),
    ("Adam", {"lr": 0.01}),
    ("Adam", {"lr": 0.01, "betas": (0.3, 0.6), "eps": 1e-3, "weight_decay": 0.5}),
    ("Adam", {"lr": 0.01, "betas": (0.0, 0.0)}),
    ("Adam", {"lr": 0.01, "amsgrad": True, "maximize": True}),
    ("Adam", {"lr": 0.01, "weight_decay": 0.5, "decoupled_weight_decay": True}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.5, "amsgrad": True, "maximize": True}),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "arguments"), OPTIMIZERS)
def test_ten_steps(name: str, arguments: dict[str, Any], dtype: Any) -> None:
    starts = [draw(1, 3, 4, dtype=dtype), draw(2, dtype=dtype), draw(3, 40_001, dtype=dtype)]
    ours = [nn.Parameter(Tensor(start.copy())) for start in starts]
    theirs = [torch.nn.Parameter(torch.tensor(start)) for start in starts]
    our_optimizer = getattr(optim, name)(ours, **arguments)
    their_optimizer = getattr(torch.optim, name)(theirs, **arguments)
    for step in range(10):
        for k, (our_param, their_param) in enumerate(zip(ours, theirs, strict=True)):
            gradient = draw(100 * step + k, *our_param.shape, dtype=dtype)
            our_param.grad = Tensor(gradient)
            their_param.grad = torch.tensor(gradient)
        our_optimizer.step()
        their_optimizer.step()
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    for our_param, their_param in zip(ours, theirs, strict=True):
        close(our_param, their_param, rtol=tolerance, atol=tolerance)
        our_state, their_state = our_optimizer.state[our_param], their_optimizer.state[their_param]
        assert list(our_state) == list(their_state)
        for key, value in our_state.items():
            close(value, their_state[key], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("name", "arguments"), OPTIMIZERS)
def test_state_dicts_have_the_same_form(name: str, arguments: dict[str, Any]) -> None:
    ours = getattr(optim, name)([nn.Parameter(Tensor(draw(1, 3)))], **arguments)
    theirs = getattr(torch.optim, name)([torch.nn.Parameter(torch.ones(3))], **arguments)
    assert ours.state_dict()["param_groups"] == theirs.state_dict()["param_groups"]


@pytest.mark.parametrize("norm_type", [1, 2, 3, "inf", float("-inf"), 0, -1])
@pytest.mark.parametrize("max_norm", [1.0, 1e6])
def test_clip_grad_norm(norm_type: Any, max_norm: float) -> None:
    gradients = [draw(1, 3, 4), draw(2, 5), np.zeros(3, np.float32) + 0.5]
    ours = [nn.Parameter(Tensor(np.zeros_like(g))) for g in gradients]
    theirs = [torch.nn.Parameter(torch.zeros(g.shape)) for g in gradients]
    for gradient, our_param, their_param in zip(gradients, ours, theirs, strict=True):
        our_param.grad, their_param.grad = Tensor(gradient.copy()), torch.tensor(gradient)
    total = nn.utils.clip_grad_norm_(ours, max_norm, norm_type)
    close(total, torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type))
    for our_param, their_param in zip(ours, theirs, strict=True):
        close(our_param.grad, their_param.grad)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_clipping_what_is_not_finite(bad: float) -> None:
    gradient = np.array([1.0, bad, -2.0], np.float32)
    ours, theirs = nn.Parameter(Tensor(gradient)), torch.nn.Parameter(torch.zeros(3))
    ours.grad, theirs.grad = Tensor(gradient.copy()), torch.tensor(gradient)
    close(nn.utils.clip_grad_norm_(ours, 1.0), torch.nn.utils.clip_grad_norm_(theirs, 1.0))
    close(ours.grad, theirs.grad)
    ours.grad, theirs.grad = Tensor(gradient.copy()), torch.tensor(gradient)
    nn.utils.clip_grad_value_(ours, 1.5)
    torch.nn.utils.clip_grad_value_(theirs, 1.5)
    close(ours.grad, theirs.grad)


def their_rates(steps: int, build: Any) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.4)
    schedulers = torch.optim.lr_scheduler
    scheduler = build(schedulers, optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_schedules() -> None:
    def ours(name: str, **arguments: Any) -> list[float]:
        return [learning_rate(name, 0.4, step, 20, **arguments) for step in range(20)]

    assert ours("step", step_size=3, gamma=0.5) == pytest.approx(
        their_rates(20, lambda s, o: s.StepLR(o, 3, 0.5))
    )
    assert ours("cosine", final_lr=0.1) == pytest.approx(
        their_rates(20, lambda s, o: s.CosineAnnealingLR(o, 20, 0.1))
    )
    assert ours("linear", final_lr=0.1) == pytest.approx(
        their_rates(20, lambda s, o: s.LinearLR(o, 1.0, 0.25, 20))
    )
    assert ours("cosine", warmup_steps=5) == pytest.approx(
        their_rates(
            20,
            lambda s, o: s.SequentialLR(
                o, [s.LinearLR(o, total_iters=5), s.CosineAnnealingLR(o, 15)], [5]
            ),
        )
    )
