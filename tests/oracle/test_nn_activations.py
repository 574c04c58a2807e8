"""Activations against PyTorch: values, gradients, bends, prints, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ddp import nn
from ddp.autograd.random import manual_seed
from ddp.autograd.tensor import Tensor
from ddp.nn import functional as F
from tests.oracle.compare import draw, same_function, same_module, torch

pytestmark = pytest.mark.oracle

LAYERS: list[tuple[str, dict[str, Any]]] = [
    ("LeakyReLU", {}),
    ("LeakyReLU", {"negative_slope": 1.5}),
    ("ELU", {}),
    ("ELU", {"alpha": 2.5}),
    ("SELU", {}),
    ("CELU", {"alpha": 0.7}),
    ("GELU", {}),
    ("GELU", {"approximate": "tanh"}),
    ("SiLU", {}),
    ("Mish", {}),
    ("Softplus", {}),
    ("Softplus", {"beta": 3.0, "threshold": 2.0}),
    ("LogSigmoid", {}),
    ("Softsign", {}),
    ("Tanhshrink", {}),
    ("Hardtanh", {}),
    ("Hardtanh", {"min_val": -2.0, "max_val": 0.5}),
    ("ReLU6", {}),
    ("Hardsigmoid", {}),
    ("Hardswish", {}),
    ("PReLU", {}),
    ("PReLU", {"num_parameters": 5}),
    ("Softmin", {"dim": 1}),
]


@pytest.mark.parametrize(("kind", "arguments"), LAYERS)
@pytest.mark.parametrize("shape", [(5, 5, 3), (40_000, 5), (0, 5), (3, 5)])
def test_an_activation(kind: str, arguments: dict[str, Any], shape: tuple[int, ...]) -> None:
    ours, theirs = getattr(nn, kind)(**arguments), getattr(torch.nn, kind)(**arguments)
    assert repr(ours) == repr(theirs)
    x = draw(1, *shape) * 4
    if x.size:
        x.reshape(-1)[:5] = [0, -3, 3, 6, 2]
    # PReLU's gradient sums 200,000 terms. GELU loses digits in 1 + erf(x) and 1 + tanh(u): against
    # float64 both are off by up to 1.1e-6 (ours 1.0e-6 at most for erf).
    atol = {"PReLU": 2e-4, "GELU": 4e-6}.get(kind, 1e-6)
    same_module(ours, theirs, x, atol=atol)


@pytest.mark.parametrize(("kind", "arguments"), LAYERS)
def test_infinities_and_nan(kind: str, arguments: dict[str, Any]) -> None:
    if kind in ("PReLU", "Softmin"):
        return
    x = np.array([[np.inf, -np.inf, np.nan, 1e30, -1e30, 90, -90]], np.float32)
    ours, theirs = getattr(nn, kind)(**arguments), getattr(torch.nn, kind)(**arguments)
    with np.errstate(all="ignore"):
        y = ours(Tensor(x)).array
    if arguments == {} and kind == "GELU":
        y[0, 0] = np.nan  # PyTorch says NaN at infinity, where x · Φ(x) is infinite
    np.testing.assert_allclose(y, theirs(torch.tensor(x)).numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_glu(dim: int) -> None:
    same_module(nn.GLU(dim), torch.nn.GLU(dim), draw(2, 4, 6, 2))


def test_a_single_number_has_an_activation() -> None:
    for name in ("gelu", "elu", "silu", "softplus", "hardswish", "leaky_relu"):
        same_function(
            getattr(F, name), getattr(torch.nn.functional, name), np.array(-0.7, np.float32)
        )


def test_float64_is_computed_in_float64() -> None:
    x = draw(3, 4, 5, dtype=np.float64) * 3
    for kind, arguments in LAYERS:
        if kind != "PReLU":
            ours, theirs = getattr(nn, kind)(**arguments), getattr(torch.nn, kind)(**arguments)
            # PyTorch keeps 1 / 6 and 1 / alpha in float32 for the gradients of these two.
            rtol = 1e-6 if kind in ("CELU", "Hardsigmoid") else 1e-12
            same_function(ours, theirs, x, rtol=rtol, atol=1e-13)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("relu_", ()),
        ("leaky_relu_", (0.3,)),
        ("elu_", (0.7,)),
        ("selu_", ()),
        ("celu_", (0.7,)),
        ("hardtanh_", (-0.5, 0.7)),
        ("threshold_", (0.2, -1.0)),
    ],
)
def test_functions_that_write_into_their_input(name: str, arguments: Any) -> None:
    def run(functional: Any) -> Any:
        def written(x: Any) -> Any:
            y = x * 2
            getattr(functional, name)(y, *arguments)
            return y

        return written

    same_function(run(F), run(torch.nn.functional), draw(1, 4, 5))


@pytest.mark.parametrize("hard", [False, True])
def test_gumbel_softmax_draws_pytorchs_samples(hard: bool) -> None:
    torch.manual_seed(4)
    manual_seed(4)
    same_function(
        lambda x: F.gumbel_softmax(x, 0.7, hard, dim=0),
        lambda x: torch.nn.functional.gumbel_softmax(x, 0.7, hard, dim=0),
        draw(1, 4, 5),
        atol=1e-5,
    )
