"""Factorisations of matrices: gradients by differences, thresholds of pinv and rank."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ddp
from ddp.autograd.gradcheck import gradcheck
from ddp.autograd.tensor import Tensor


def symmetric(x: Tensor) -> Tensor:
    return x @ x.mT


CASES: dict[str, Callable[[Tensor], Any]] = {
    "svd": lambda x: ddp.linalg.svd(x, full_matrices=False),
    "svdvals": ddp.linalg.svdvals,
    "qr": ddp.linalg.qr,
    "pinv": ddp.linalg.pinv,
    "nuclear norm": lambda x: ddp.linalg.matrix_norm(x, "nuc"),
    "eigh": lambda x: ddp.linalg.eigh(symmetric(x[..., :3, :3])),
    "eigvalsh": lambda x: ddp.linalg.eigvalsh(symmetric(x[..., :3, :3])),
}


@pytest.mark.parametrize("shape", [(3, 3), (4, 3), (3, 4), (2, 4, 3)])
@pytest.mark.parametrize("name", CASES)
def test_gradients_are_differences(name: str, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(5).standard_normal(shape)
    assert gradcheck(CASES[name], (Tensor(x, requires_grad=True),))


def test_singular_values_below_the_threshold_count_as_zero() -> None:
    x = ddp.diag(ddp.tensor([4.0, 1.0, 1e-3]))
    assert ddp.linalg.matrix_rank(x, rtol=1e-2).item() == 2
    assert ddp.linalg.matrix_rank(x, atol=2.0).item() == 1
    assert ddp.linalg.pinv(x, rtol=0.5).tolist() == [[0.25, 0, 0], [0, 0, 0], [0, 0, 0]]
