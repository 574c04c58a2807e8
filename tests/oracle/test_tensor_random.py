"""Random tensors against PyTorch's CPU stream, bit for bit where no logarithm is involved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ddp

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

EXACT: dict[str, Callable[[Any], Any]] = {
    "rand": lambda lib: lib.rand(37),
    "rand float64": lambda lib: lib.rand(3, 5, dtype=lib.float64),
    "uniform_": lambda lib: lib.empty(41).uniform_(-2, 3),
    "randint": lambda lib: lib.randint(-5, 100, (33,)),
    "randint far": lambda lib: lib.randint(0, 2**45, (33,)),
    "randint float": lambda lib: lib.randint(7, (5,), dtype=lib.float32),
    "randint_like": lambda lib: lib.randint_like(lib.zeros(4), 2, 9),
    "randperm": lambda lib: lib.randperm(50),
    "random_ int64": lambda lib: lib.empty(9, dtype=lib.int64).random_(),
    "random_ int32": lambda lib: lib.empty(9, dtype=lib.int32).random_(),
    "random_ uint8": lambda lib: lib.empty(9, dtype=lib.uint8).random_(),
    "random_ float32": lambda lib: lib.empty(9).random_(),
    "random_ float64": lambda lib: lib.empty(9, dtype=lib.float64).random_(),
    "random_ bool": lambda lib: lib.empty(9, dtype=lib.bool).random_(),
    "random_ range": lambda lib: lib.empty(9).random_(5, 12),
    "random_ to": lambda lib: lib.empty(9).random_(12),
    "bernoulli_": lambda lib: lib.empty(50).bernoulli_(0.3),
    "bernoulli": lambda lib: lib.bernoulli(lib.linspace(0, 1, 50)),
    "bernoulli float64": lambda lib: lib.bernoulli(lib.linspace(0, 1, 50, dtype=lib.float64)),
    "bernoulli_ tensor": lambda lib: lib.empty(50).bernoulli_(lib.linspace(0, 1, 50)),
    "bernoulli p": lambda lib: lib.bernoulli(lib.empty(50), 0.7),
    "multinomial": lambda lib: lib.multinomial(lib.linspace(0.1, 1, 40), 20),
    "multinomial one": lambda lib: lib.multinomial(lib.linspace(0.1, 1, 40).reshape(8, 5), 1),
    "multinomial rows": lambda lib: lib.multinomial(lib.linspace(0.1, 1, 40).reshape(8, 5), 3),
    "multinomial again": lambda lib: lib.multinomial(lib.linspace(0, 1, 40), 100, True),
    "multinomial rows again": lambda lib: lib.multinomial(
        lib.linspace(0.1, 1, 40).reshape(8, 5), 9, replacement=True
    ),
    "geometric_": lambda lib: lib.empty(50).geometric_(0.3),
}
CLOSE: dict[str, Callable[[Any], Any]] = {
    "randn": lambda lib: lib.randn(5, 7),
    "randn few": lambda lib: lib.randn(5),
    "randn float64": lambda lib: lib.randn(35, dtype=lib.float64),
    "randn few float64": lambda lib: lib.randn(7, dtype=lib.float64),
    "normal_": lambda lib: lib.empty(40).normal_(2, 3),
    "normal of tensors": lambda lib: lib.normal(lib.arange(20.0), lib.arange(20.0) + 1),
    "normal mean": lambda lib: lib.normal(lib.arange(20.0), 0.5),
    "normal std": lambda lib: lib.normal(1.0, lib.arange(20.0) + 1),
    "normal size": lambda lib: lib.normal(1.0, 2.0, (3, 4)),
    "exponential_": lambda lib: lib.empty(40).exponential_(2.0),
    "cauchy_": lambda lib: lib.empty(40).cauchy_(1, 2),
}


def _drawn(function: Callable[[Any], Any]) -> tuple[Any, Any, Any, Any]:
    """The tensor of each library, and what each draws next."""
    ddp.manual_seed(11)
    torch.manual_seed(11)
    ours, theirs = function(ddp), function(torch)
    return ours, theirs, ddp.rand(3), torch.rand(3)


@pytest.mark.parametrize("name", EXACT)
def test_the_values_are_pytorchs_to_the_bit(name: str) -> None:
    ours, theirs, our_next, their_next = _drawn(EXACT[name])
    assert ours.dtype.name == str(theirs.dtype).removeprefix("torch.")
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    np.testing.assert_array_equal(our_next.numpy(), their_next.numpy())


@pytest.mark.parametrize("name", CLOSE)
def test_the_values_are_pytorchs_to_the_last_digits(name: str) -> None:
    ours, theirs, our_next, their_next = _drawn(CLOSE[name])
    assert ours.dtype.name == str(theirs.dtype).removeprefix("torch.")
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5, atol=2e-6)
    np.testing.assert_array_equal(our_next.numpy(), their_next.numpy())
