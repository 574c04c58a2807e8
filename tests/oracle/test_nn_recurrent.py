"""RNN, GRU and LSTM against PyTorch: initial bits, outputs, states, gradients, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ddp import nn
from ddp.autograd.random import Generator, manual_seed, use_generator
from ddp.autograd.tensor import Tensor
from tests.oracle.compare import close, draw, same_function, torch

pytestmark = pytest.mark.oracle

OPTIONS: list[dict[str, Any]] = [
    {},
    {"bias": False},
    {"num_layers": 2},
    {"bidirectional": True},
    {"num_layers": 3, "bidirectional": True, "batch_first": True},
]
KINDS = [
    ("RNN", {}),
    ("RNN", {"nonlinearity": "relu"}),
    ("GRU", {}),
    ("LSTM", {}),
    ("LSTM", {"proj_size": 2}),
]


def pair(kind: str, **options: Any) -> tuple[Any, Any]:
    """Both layers from the same seed."""
    torch.manual_seed(6)
    theirs = getattr(torch.nn, kind)(3, 5, **options)
    manual_seed(6)
    ours = getattr(nn, kind)(3, 5, **options)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for name, value in theirs.state_dict().items():
        np.testing.assert_array_equal(ours.state_dict()[name].array, value.numpy())
    return ours, theirs


def flat(answer: Any) -> list[Any]:
    output, states = answer
    return [output, *(states if isinstance(states, tuple) else (states,))]


def total(answer: Any, part: int | None) -> Any:
    """One output, or a sum in which all take part."""
    outputs = flat(answer)
    if part is not None:
        return outputs[part % len(outputs)]
    return sum((index + 1) * (output**2).sum() for index, output in enumerate(outputs))


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("part", [None, 0, -1])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize(("kind", "more"), KINDS)
def test_a_recurrent_layer(
    kind: str, more: dict[str, Any], options: dict[str, Any], part: int | None
) -> None:
    ours, theirs = pair(kind, **options, **more)
    rows = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    steps, batch = 7, 4
    x = draw(1, batch, steps, 3) if options.get("batch_first") else draw(1, steps, batch, 3)
    count = 2 if kind == "LSTM" else 1
    sizes = (more.get("proj_size", 5), 5)[:count]
    states = [draw(2 + i, rows, batch, size) for i, size in enumerate(sizes)]

    def run(module: Any) -> Any:
        return lambda x, *hx: total(module(x, hx if count > 1 else hx[0]), part)

    same_function(run(ours), run(theirs), x, *states, rtol=1e-4, atol=1e-5)
    same_function(
        lambda x: total(ours(x), part), lambda x: total(theirs(x), part), x, rtol=1e-4, atol=1e-5
    )
    for our_param, their_param in zip(ours.parameters(), theirs.parameters(), strict=True):
        if their_param.grad is None:
            assert our_param.grad is None
        else:
            close(our_param.grad, their_param.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_without_a_batch(kind: str) -> None:
    ours, theirs = pair(kind)
    x = draw(3, 6, 3)
    for mine, other in zip(flat(ours(Tensor(x))), flat(theirs(torch.tensor(x))), strict=True):
        close(mine, other)


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_dropout_between_layers_draws_the_same_masks(kind: str) -> None:
    ours, theirs = pair(kind, num_layers=3, dropout=0.4, bidirectional=True)
    x = draw(4, 5, 2, 3)
    torch.manual_seed(7)
    expected = flat(theirs(torch.tensor(x)))
    with use_generator(Generator(7)):
        for mine, other in zip(flat(ours(Tensor(x))), expected, strict=True):
            close(mine, other)


@pytest.mark.parametrize(
    ("shape", "hx"),
    [((2, 3, 4, 3), None), ((4, 2, 9), None), ((4, 2, 3), (1, 3, 5)), ((4, 2, 3), (2, 5))],
)
@pytest.mark.parametrize("kind", ["RNN", "GRU"])
def test_refusals_have_pytorchs_words(kind: str, shape: Any, hx: Any) -> None:
    ours, theirs = pair(kind)
    with pytest.raises((ValueError, RuntimeError)) as expected:
        theirs(torch.zeros(shape), None if hx is None else torch.zeros(hx))
    with pytest.raises((ValueError, RuntimeError)) as refusal:
        ours(
            Tensor(np.zeros(shape, np.float32)),
            None if hx is None else Tensor(np.zeros(hx, np.float32)),
        )
    assert type(refusal.value) is type(expected.value)
    assert str(refusal.value).replace("hidden size", "hidden size") == str(expected.value)


def test_a_warning_says_where_dropout_does_nothing() -> None:
    with pytest.warns(UserWarning, match="dropout option adds dropout after all but last"):
        nn.LSTM(3, 5, dropout=0.1)


@pytest.mark.parametrize("options", [{}, {"bias": False}])
@pytest.mark.parametrize(
    ("kind", "more"),
    [("RNNCell", {}), ("RNNCell", {"nonlinearity": "relu"}), ("GRUCell", {}), ("LSTMCell", {})],
)
def test_a_cell(kind: str, more: dict[str, Any], options: dict[str, Any]) -> None:
    ours, theirs = pair(kind, **options, **more)
    x, count = draw(1, 4, 3), 2 if kind == "LSTMCell" else 1
    states = [draw(2 + i, 4, 5) for i in range(count)]

    def run(module: Any) -> Any:
        def call(x: Any, *hx: Any) -> Any:
            answer = module(x, (hx if count > 1 else hx[0]) if hx else None)
            return answer[0] * 2 + answer[1] if count > 1 else answer

        return call

    same_function(run(ours), run(theirs), x, *states)
    same_function(run(ours), run(theirs), x)
    same_function(run(ours), run(theirs), x[0])
    for our_param, their_param in zip(ours.parameters(), theirs.parameters(), strict=True):
        close(our_param.grad, their_param.grad, atol=1e-5)
