"""L-BFGS against PyTorch: every evaluation, every step and the state, on curved valleys."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ddp import nn, optim
from ddp.autograd.tensor import Tensor
from tests.oracle.compare import draw, torch

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore:Converting a tensor")]

START = [np.array([-1.2, 1.0]), np.array([[0.5, 2.0, -1.0]])]


def valley(parts: list[Any]) -> Any:
    """Rosenbrock's function of two numbers, and a quartic of three more."""
    (x, y), rest = (parts[0][0], parts[0][1]), parts[1]
    return (1 - x) ** 2 + 100 * (y - x * x) ** 2 + (rest**4).sum() + (rest * rest * x).sum()


def run(
    package: Any, parameters: list[Any], arguments: dict[str, Any], steps: int, loss_of: Any
) -> tuple[Any, list[list[float]], list[float]]:
    optimizer = package.LBFGS(parameters, **arguments)
    path: list[list[float]] = []
    losses: list[float] = []

    def closure() -> Any:
        optimizer.zero_grad()
        loss = loss_of(parameters)
        loss.backward()
        losses.append(loss.item())
        return loss

    for _ in range(steps):
        optimizer.step(closure)
        path.append(
            [value for p in parameters for value in p.detach().numpy().reshape(-1).tolist()]
        )
    return optimizer, path, losses


CASES: list[dict[str, Any]] = [
    {"lr": 0.01},
    {"lr": 0.01, "history_size": 2, "max_iter": 7},
    {"line_search_fn": "strong_wolfe"},
    {"line_search_fn": "strong_wolfe", "history_size": 3, "max_iter": 5},
    {"line_search_fn": "strong_wolfe", "lr": 0.01, "max_iter": 30, "max_eval": 12},
    {"line_search_fn": "strong_wolfe", "lr": 3.0, "max_eval": 1},
    {"line_search_fn": "strong_wolfe", "tolerance_change": 1e-3, "tolerance_grad": 1e-2},
]


@pytest.mark.parametrize("arguments", CASES)
def test_the_way_through_a_valley_in_float64(arguments: dict[str, Any]) -> None:
    ours = [nn.Parameter(Tensor(part.copy())) for part in START]
    theirs = [torch.nn.Parameter(torch.tensor(part)) for part in START]
    our_optimizer, our_path, our_losses = run(optim, ours, arguments, 6, valley)
    their_optimizer, their_path, their_losses = run(torch.optim, theirs, arguments, 6, valley)
    assert len(our_losses) == len(their_losses)
    np.testing.assert_allclose(our_losses, their_losses, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(our_path, their_path, rtol=1e-6, atol=1e-8)
    our_state, their_state = our_optimizer.state[ours[0]], their_optimizer.state[theirs[0]]
    assert our_state.keys() == their_state.keys()
    assert [our_state[k] for k in ("func_evals", "n_iter")] == [
        their_state[k] for k in ("func_evals", "n_iter")
    ]
    for key in ("old_dirs", "old_stps", "ro", "al"):
        assert len(our_state.get(key, [])) == len(their_state.get(key, []))


@pytest.mark.parametrize("line_search", [None, "strong_wolfe"])
def test_a_regression_in_float32(line_search: str | None) -> None:
    x, y, w = draw(1, 50, 4), draw(2, 50, 1), draw(3, 4, 1)
    ours, theirs = [nn.Parameter(Tensor(w.copy()))], [torch.nn.Parameter(torch.tensor(w))]
    arguments = {"lr": 0.5, "line_search_fn": line_search, "max_iter": 8}
    our_x, our_y, their_x, their_y = Tensor(x), Tensor(y), torch.tensor(x), torch.tensor(y)
    _, our_path, _ = run(optim, ours, arguments, 1, lambda p: ((our_x @ p[0] - our_y) ** 2).mean())
    _, their_path, _ = run(
        torch.optim, theirs, arguments, 1, lambda p: ((their_x @ p[0] - their_y) ** 2).mean()
    )
    np.testing.assert_allclose(our_path, their_path, rtol=1e-4, atol=1e-5)
    assert ours[0].dtype == np.float32


def test_it_goes_on_from_pytorchs_state() -> None:
    arguments = {"line_search_fn": "strong_wolfe", "max_iter": 4}
    theirs = [torch.nn.Parameter(torch.tensor(part)) for part in START]
    their_optimizer, _, _ = run(torch.optim, theirs, arguments, 2, valley)
    ours = [nn.Parameter(Tensor(part.detach().numpy().copy())) for part in theirs]
    our_optimizer = optim.LBFGS(ours, **arguments)
    our_optimizer.load_state_dict(as_ours(their_optimizer.state_dict()))

    def closure_of(optimizer: Any, parameters: Any) -> Any:
        def closure() -> Any:
            optimizer.zero_grad()
            loss = valley(parameters)
            loss.backward()
            return loss

        return closure

    for _ in range(3):
        our_optimizer.step(closure_of(our_optimizer, ours))
        their_optimizer.step(closure_of(their_optimizer, theirs))
    for our_param, their_param in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our_param.array, their_param.detach(), rtol=1e-6, atol=1e-9)


def as_ours(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: as_ours(member) for key, member in value.items()}
    if isinstance(value, list):
        return [as_ours(member) for member in value]
    return Tensor(value.detach().numpy().copy()) if isinstance(value, torch.Tensor) else value
