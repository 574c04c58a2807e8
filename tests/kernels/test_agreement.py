"""Every compiled kernel does what its reference in NumPy does; needs numba."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ddp import kernels
from tests.kernels import cases

pytestmark = pytest.mark.numba


@pytest.fixture(scope="module")
def compiled() -> dict[str, Callable[..., None]]:
    return importlib.import_module("ddp.kernels.compiled").KERNELS


@pytest.fixture(scope="module")
def references() -> dict[str, Callable[..., None]]:
    for package in ("ddp.autograd.ops", "ddp.optim", "ddp.parallel"):
        found = importlib.import_module(package)
        for module in pkgutil.iter_modules(found.__path__):
            importlib.import_module(f"{package}.{module.name}")
    return kernels.references()


def test_each_has_a_reference_with_its_parameters(
    compiled: dict[str, Any], references: dict[str, Any]
) -> None:
    def parameters(function: Callable[..., None]) -> list[str]:
        return list(inspect.signature(function).parameters)

    assert {name: parameters(kernel.py_func) for name, kernel in compiled.items()} == {
        name: parameters(references[name]) for name in compiled
    }


def test_each_is_compared(compiled: dict[str, Any]) -> None:
    assert {case.kernel for case in cases.CASES} == set(compiled)


@pytest.mark.parametrize("case", cases.CASES, ids=str)
def test_a_kernel_agrees_with_its_reference(
    case: cases.Case, compiled: dict[str, Any], references: dict[str, Any]
) -> None:
    ours, expected = case.arguments(), case.arguments()
    with np.errstate(all="ignore"):
        compiled[case.kernel](*ours)
        references[case.kernel](*expected)
    for one, other in zip(ours, expected, strict=True):
        if isinstance(one, np.ndarray):
            np.testing.assert_allclose(one, other, rtol=case.rtol, atol=case.atol)


def test_a_kernel_that_cannot_be_kept_on_disk_is_compiled_all_the_same() -> None:
    from ddp.kernels.compiled.target import compiled

    space: dict[str, Any] = {}
    exec("def double(x):\n    for i in range(x.size):\n        x[i] *= 2", space)  # in no file
    numbers = np.ones(3, np.float32)
    compiled(space["double"])(numbers)
    assert numbers.tolist() == [2, 2, 2]
