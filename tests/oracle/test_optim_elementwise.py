"""The element-wise optimizers against PyTorch over thirty steps: parameters, state, state dicts."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from ddp import nn, optim
from ddp.autograd.tensor import Tensor
from tests.oracle.compare import close, draw, torch

pytestmark = pytest.mark.oracle

OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "maximize": True}),
    ("RMSprop", {"centered": True, "momentum": 0.5}),
    ("RMSprop", {"centered": True, "alpha": 0.3, "eps": 1e-3}),
    ("Adagrad", {}),
    ("Adagrad", {"lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.5}),
    ("Adagrad", {"maximize": True, "eps": 1e-3}),
    ("Adadelta", {}),
    ("Adadelta", {"rho": 0.3, "weight_decay": 0.1, "maximize": True}),
    ("Adamax", {}),
    ("Adamax", {"betas": (0.3, 0.6), "weight_decay": 0.1, "maximize": True}),
    ("NAdam", {}),
    ("NAdam", {"betas": (0.3, 0.6), "weight_decay": 0.1, "momentum_decay": 0.1}),
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("RAdam", {"lr": 0.01}),
    ("RAdam", {"betas": (0.3, 0.6), "weight_decay": 0.1, "maximize": True}),
    ("RAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("ASGD", {}),
    ("ASGD", {"lambd": 0.1, "t0": 5, "alpha": 0.3, "weight_decay": 0.1, "maximize": True}),
    ("Rprop", {}),
    ("Rprop", {"etas": (0.3, 1.5), "step_sizes": (1e-3, 0.1), "maximize": True}),
]


def build(name: str, arguments: dict[str, Any], dtype: Any) -> tuple[Any, ...]:
    starts = [draw(1, 3, 4, dtype=dtype), draw(2, dtype=dtype), draw(3, 17_001, dtype=dtype)]
    ours = [nn.Parameter(Tensor(start.copy())) for start in starts]
    theirs = [torch.nn.Parameter(torch.tensor(start)) for start in starts]
    return (
        ours,
        theirs,
        getattr(optim, name)(ours, **arguments),
        getattr(torch.optim, name)(theirs, **arguments),
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "arguments"), OPTIMIZERS)
def test_thirty_steps(name: str, arguments: dict[str, Any], dtype: Any) -> None:
    ours, theirs, our_optimizer, their_optimizer = build(name, arguments, dtype)
    for step in range(30):
        for k, (our_param, their_param) in enumerate(zip(ours, theirs, strict=True)):
            gradient = draw(100 * step + k, *our_param.shape, dtype=dtype)
            our_param.grad, their_param.grad = Tensor(gradient), torch.tensor(gradient)
        our_optimizer.step()
        their_optimizer.step()
    tolerance = 2e-5 if dtype == np.float32 else 1e-12
    for our_param, their_param in zip(ours, theirs, strict=True):
        close(our_param, their_param, rtol=tolerance, atol=tolerance)
        our_state, their_state = our_optimizer.state[our_param], their_optimizer.state[their_param]
        assert list(our_state) == list(their_state)
        for key, value in our_state.items():
            close(value, their_state[key], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("name", "arguments"), OPTIMIZERS)
def test_a_state_dict_goes_to_pytorch_and_comes_back(name: str, arguments: dict[str, Any]) -> None:
    ours, theirs, our_optimizer, their_optimizer = build(name, arguments, np.float32)
    for k, our_param in enumerate(ours):
        our_param.grad = Tensor(draw(k, *our_param.shape))
    our_optimizer.step()
    saved = our_optimizer.state_dict()
    assert saved["param_groups"] == their_optimizer.state_dict()["param_groups"]
    as_torch = {
        number: {key: torch.tensor(value.array) for key, value in held.items()}
        for number, held in saved["state"].items()
    }
    their_optimizer.load_state_dict({**saved, "state": as_torch})
    returned = their_optimizer.state_dict()
    as_ours = {
        number: {key: Tensor(value.numpy()) for key, value in held.items()}
        for number, held in returned["state"].items()
    }
    our_optimizer.load_state_dict({**returned, "state": as_ours})
    for our_param, their_param in zip(ours, theirs, strict=True):
        for key, value in our_optimizer.state[our_param].items():
            close(value, their_optimizer.state[their_param][key], rtol=0, atol=0)


NAMES = sorted({name for name, _ in OPTIMIZERS} | {"SGD", "Adam", "AdamW"})


@pytest.mark.parametrize("name", NAMES)
def test_signatures_and_defaults_are_pytorchs(name: str) -> None:
    def arguments(kind: Any, keyword_only: bool) -> list[tuple[str, Any]]:
        listed = inspect.signature(kind).parameters.values()
        return [(p.name, p.default) for p in listed if (p.kind == p.KEYWORD_ONLY) == keyword_only]

    ours, theirs = getattr(optim, name), getattr(torch.optim, name)
    assert arguments(ours, False) == arguments(theirs, False)
    assert dict(arguments(ours, True)) == dict(arguments(theirs, True))


BAD: list[tuple[str, dict[str, float]]] = [
    (name, {argument: -1.0})
    for name in NAMES
    for argument in ("lr", "eps", "weight_decay", "rho", "alpha", "lr_decay", "momentum_decay")
    if argument in inspect.signature(getattr(optim, name)).parameters
    and (name, argument) != ("ASGD", "alpha")
]


@pytest.mark.parametrize(("name", "bad"), BAD)
def test_refusals_have_pytorchs_words(name: str, bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="Invalid") as theirs:
        getattr(torch.optim, name)([torch.ones(1)], **bad)
    with pytest.raises(ValueError, match="Invalid") as ours:
        getattr(optim, name)([Tensor(np.ones(1, np.float32))], **bad)
    assert str(ours.value) == str(theirs.value)
