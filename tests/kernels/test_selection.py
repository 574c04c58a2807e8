"""Which kernels compute, and what is said where numba is missing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from ddp import kernels
from ddp.errors import ConfigError
from ddp.kernels import kernel


@pytest.fixture(autouse=True)
def numpy_afterwards() -> Iterator[None]:
    yield
    kernels.use("numpy")


@kernel
def double(x: np.ndarray, y: np.ndarray) -> None:
    np.multiply(x, 2, out=y)


def thrice(x: np.ndarray, y: np.ndarray) -> None:
    np.multiply(x, 3, out=y)


def doubled(dtype: type) -> float:
    x, y = np.ones(1, dtype), np.empty(1, dtype)
    double(x, y)
    return float(y[0])


def test_numpy_computes_unless_something_else_is_asked_for() -> None:
    assert kernels.in_use() == "numpy"
    assert doubled(np.float32) == 2


def test_a_compiled_kernel_takes_the_place_of_its_reference_for_float32_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(kernels._compiled, "test_selection.double", thrice)
    assert doubled(np.float32) == 3
    assert doubled(np.float64) == 2


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="expected kernels of 'numpy' or 'numba', got 'cuda'"):
        kernels.use("cuda")


def test_where_numba_is_missing_it_is_said_how_to_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="numba is not installed here: `pip install numba`"):
        kernels.use("numba")
    assert kernels.in_use() == "numpy"
