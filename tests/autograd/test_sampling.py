"""Random tensors: PyTorch's numbers for PyTorch's seeds, frozen here (the oracle has them all)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ddp
from ddp.autograd.random import PhiloxGenerator, use_generator

Lib = Any

WEIGHTS = [0.1, 0.2, 0.3, 0.4]


def test_the_numbers_of_seed_5_are_pytorchs(lib: Lib) -> None:
    def seeded() -> Any:
        return lib.Generator().manual_seed(5)

    weights = lib.tensor(WEIGHTS)
    assert lib.multinomial(weights, 3, generator=seeded()).tolist() == [3, 2, 1]
    assert lib.multinomial(weights, 5, True, generator=seeded()).tolist() == [3, 1, 2, 2, 1]
    rows = lib.stack([weights, weights.flip(0)])
    assert lib.multinomial(rows, 2, generator=seeded()).tolist() == [[3, 2], [0, 2]]
    long = lib.empty(2, dtype=lib.int64)
    assert long.random_(generator=seeded()).tolist() == [4095051218741643470, 6838803925648402109]
    assert lib.empty(3).random_(3, 10, generator=seeded()).tolist() == [4.0, 8.0, 5.0]
    assert lib.randint(2**40, (2,), generator=seeded()).tolist() == [425438759118, 1030067709629]
    double = lib.empty(3, dtype=lib.float64).normal_(generator=seeded())
    np.testing.assert_allclose(
        double.numpy(), [-0.48678075, -0.60382159, -0.55809623], rtol=0, atol=1e-8
    )


def test_a_seed_starts_the_same_numbers_again(lib: Lib) -> None:
    lib.manual_seed(3)
    first = lib.rand(4).tolist()
    state = lib.get_rng_state()
    second = lib.randn(4).tolist()
    lib.set_rng_state(state)
    assert lib.randn(4).tolist() == second
    lib.manual_seed(3)
    assert lib.rand(4).tolist() == first
    assert lib.initial_seed() == 3
    with lib.random.fork_rng():
        lib.rand(3)
    assert lib.randn(4).tolist() == second


def test_dtypes_shapes_and_ranges(lib: Lib) -> None:
    lib.manual_seed(0)
    x = lib.zeros(2, 3, dtype=lib.float64)
    assert lib.rand_like(x).dtype == lib.randn_like(x).dtype == lib.float64
    assert lib.rand(2, dtype=lib.float64).dtype == lib.float64
    assert lib.randint_like(x, 3).dtype == lib.float64
    assert tuple(lib.randint(0, 9, size=(2, 3)).shape) == (2, 3)
    assert lib.randint(9, (3,), dtype=lib.int32).dtype == lib.int32
    assert set(lib.empty(50).bernoulli_(0.5).tolist()) == {0.0, 1.0}
    assert lib.bernoulli(lib.ones(3)).tolist() == [1.0, 1.0, 1.0]
    assert tuple(lib.normal(0.0, 1.0, (2, 3)).shape) == (2, 3)
    assert tuple(lib.normal(lib.zeros(4), lib.ones(4)).shape) == (4,)
    assert bool((lib.empty(100).geometric_(0.5) >= 1).all())
    assert bool((lib.empty(100).exponential_(2.0) >= 0).all())
    leaf = lib.zeros(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf Variable"):
        leaf.uniform_()
    with lib.no_grad():
        leaf.uniform_(3, 4)
    assert leaf.requires_grad
    assert bool((leaf.detach() >= 3).all())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_counter_based_generator_serves_every_distribution(dtype: str) -> None:
    def drawn() -> list[ddp.Tensor]:
        with use_generator(PhiloxGenerator(1, 2, 3)):
            x = ddp.empty(2000, dtype=dtype)
            exponential = x.clone().exponential_()
            return [x.clone().uniform_(), x.clone().normal_(), exponential, x.clone().bernoulli_()]

    first, second = drawn(), drawn()
    for values, again, mean in zip(first, second, (0.5, 0.0, 1.0, 0.5), strict=True):
        np.testing.assert_array_equal(values.array, again.array)
        assert abs(values.array.mean() - mean) < 0.1
