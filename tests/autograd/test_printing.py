"""How tensors print. The texts are PyTorch's (compared in the oracle), frozen here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import ddp


@pytest.fixture(autouse=True)
def default_options() -> Iterator[None]:
    yield
    ddp.set_printoptions(profile="default")


TEXTS = [
    ("tensor([1., 2.])", lambda: ddp.tensor([1.0, 2.0])),
    ("tensor([ 0.5000, -1.2500])", lambda: ddp.tensor([0.5, -1.25])),
    ("tensor([1.0000e-10, 1.0000e+00])", lambda: ddp.tensor([1e-10, 1.0])),
    ("tensor([    nan, -2.5000,     inf])", lambda: ddp.tensor([float("nan"), -2.5, float("inf")])),
    ("tensor([])", lambda: ddp.tensor([])),
    ("tensor([], size=(0, 3), dtype=ddp.int64)", lambda: ddp.zeros(0, 3, dtype=ddp.int64)),
    ("tensor([[ True],\n        [False]])", lambda: ddp.tensor([[True], [False]])),
    ("tensor([1., 2.], dtype=ddp.float64)", lambda: ddp.ones(2, dtype=ddp.float64).cumsum(0)),
    ("tensor(3, dtype=ddp.int32)", lambda: ddp.tensor(3, dtype=ddp.int32)),
    ("tensor([0., 0.], requires_grad=True)", lambda: ddp.zeros(2, requires_grad=True)),
]


@pytest.mark.parametrize(("text", "make"), TEXTS)
def test_texts(text, make) -> None:
    assert repr(make()) == text


def test_many_elements_are_abbreviated() -> None:
    assert repr(ddp.arange(2000)) == "tensor([   0,    1,    2,  ..., 1997, 1998, 1999])"
    text = repr(ddp.zeros(40, 40))
    assert text.count("\n") == 6
    assert text.splitlines()[3] == "        ...,"


def test_long_rows_are_broken() -> None:
    assert (
        repr(ddp.arange(30)).splitlines()[1]
        == "        18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29])"
    )


def test_options_change_the_text() -> None:
    ddp.set_printoptions(precision=2, sci_mode=True)
    assert repr(ddp.tensor([0.5])) == "tensor([5.00e-01])"
    ddp.set_printoptions(profile="short")
    assert repr(ddp.tensor([0.123])) == "tensor([0.12])"
