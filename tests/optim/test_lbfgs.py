"""L-BFGS: PyTorch's way through Rosenbrock's valley, its state, resuming, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ddp.autograd.tensor import Tensor
from ddp.nn.parameter import Parameter
from ddp.optim import LBFGS

Task = tuple[Parameter, LBFGS, Any]


def valley(arguments: dict[str, Any]) -> Task:
    """Rosenbrock's function from (-1.2, 1): a parameter, its optimizer, and the closure."""
    p = Parameter(Tensor(np.array([-1.2, 1.0])))
    optimizer = LBFGS([p], **arguments)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (1 - p[0]) ** 2 + 100 * (p[1] - p[0] * p[0]) ** 2
        loss.backward()
        return loss

    return p, optimizer, closure


# Where each of four steps arrives, and evaluations and iterations in all, from PyTorch 2.13.
GOLDEN: list[tuple[dict[str, Any], list[list[float]], int, int]] = [
    (
        {"lr": 0.01, "max_iter": 4},
        [
            [-1.1888978, 1.0048542],
            [-1.1838951, 1.0079933],
            [-1.1792555, 1.0116386],
            [-1.1749493, 1.0156941],
        ],
        16,
        16,
    ),
    (
        {"line_search_fn": "strong_wolfe", "max_iter": 4},
        [
            [-1.0288795, 1.065503],
            [-0.9431278, 0.8529663],
            [-0.5160278, 0.2265458],
            [-0.2560896, 0.037262],
        ],
        20,
        13,
    ),
]


@pytest.mark.parametrize(("arguments", "path", "evaluations", "iterations"), GOLDEN)
def test_the_way_through_the_valley_is_pytorchs(
    arguments: dict[str, Any], path: list[list[float]], evaluations: int, iterations: int
) -> None:
    p, optimizer, closure = valley(arguments)
    for expected in path:
        optimizer.step(closure)
        assert p.array.tolist() == pytest.approx(expected, abs=1e-6)
    state = optimizer.state[p]
    assert (state["func_evals"], state["n_iter"]) == (evaluations, iterations)


def test_the_search_finds_the_bottom_of_the_valley() -> None:
    p, optimizer, closure = valley(
        {"line_search_fn": "strong_wolfe", "max_iter": 100, "tolerance_change": 1e-15}
    )
    first = optimizer.step(closure)
    assert first.item() == pytest.approx(24.2)
    assert p.array.tolist() == pytest.approx([1, 1], abs=1e-5)


@pytest.mark.parametrize("arguments", [case[0] for case in GOLDEN])
def test_a_loaded_state_continues_the_same_bits(arguments: dict[str, Any]) -> None:
    p, optimizer, closure = valley(arguments)
    optimizer.step(closure)
    q, resumed, again = valley(arguments)
    q.array[...] = p.array
    resumed.load_state_dict(optimizer.state_dict())
    for _ in range(3):
        optimizer.step(closure)
        resumed.step(again)
    assert (q.array == p.array).all()


def test_old_pairs_are_forgotten_beyond_the_history() -> None:
    p, optimizer, closure = valley({"lr": 0.01, "max_iter": 9, "history_size": 3})
    optimizer.step(closure)
    state = optimizer.state[p]
    assert [len(state[key]) for key in ("old_dirs", "old_stps", "ro", "al")] == [3, 3, 3, 3]


def test_parameters_stay_float32_and_those_without_gradient_stay() -> None:
    p, q = (Parameter(Tensor(np.ones(2, np.float32))) for _ in range(2))
    optimizer = LBFGS([p, q], lr=0.1)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert p.dtype == np.float32
    assert (p.array < 1).all()
    assert (q.array == 1).all()
    assert {value.dtype for value in optimizer.state[p]["old_dirs"]} == {np.dtype(np.float32)}


def test_at_a_minimum_nothing_moves() -> None:
    p = Parameter(Tensor(np.zeros(2, np.float32)))
    optimizer = LBFGS([p])

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 0
    assert optimizer.state[p] == {"func_evals": 1, "n_iter": 0}


def test_what_cannot_be_is_refused() -> None:
    p, q = (Parameter(Tensor(np.ones(1, np.float32))) for _ in range(2))
    with pytest.raises(ValueError, match="doesn't support per-parameter options"):
        LBFGS([{"params": [p]}, {"params": [q]}])
    with pytest.raises(TypeError, match="needs a closure"):
        LBFGS([p]).step()
    _, optimizer, closure = valley({"line_search_fn": "armijo"})
    with pytest.raises(RuntimeError, match="only 'strong_wolfe' is supported"):
        optimizer.step(closure)
