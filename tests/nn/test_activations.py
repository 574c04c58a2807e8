"""Activations without an oracle: gradients against differences, bends, PyTorch's values, names."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ddp import nn
from ddp.autograd.gradcheck import gradcheck
from ddp.autograd.ops.erf import erf
from ddp.autograd.tensor import Tensor
from ddp.nn import functional as F
from tests.nn.test_gradients import leaf

Function = Callable[..., Any]

# name → the function, PyTorch's node, PyTorch 2.13's values at -2.5, -0.5, 0.5, 2.5
ACTIVATIONS: dict[str, tuple[Function, str, list[float]]] = {
    "leaky_relu": (F.leaky_relu, "LeakyReluBackward0", [-0.025, -0.005, 0.5, 2.5]),
    "elu": (F.elu, "EluBackward0", [-0.917915, -0.39346933, 0.5, 2.5]),
    "selu": (F.selu, "EluBackward0", [-1.6137857, -0.6917582, 0.52535051, 2.6267526]),
    "celu": (
        lambda x: F.celu(x, 0.5),
        "EluBackward0",
        [-0.49663103, -0.3160603, 0.5, 2.5],
    ),
    "gelu": (F.gelu, "GeluBackward0", [-0.01552422, -0.15426877, 0.34573123, 2.4844759]),
    "gelu by tanh": (
        lambda x: F.gelu(x, "tanh"),
        "GeluBackward0",
        [-0.015084296, -0.154286, 0.345714, 2.4849157],
    ),
    "silu": (F.silu, "SiluBackward0", [-0.18964545, -0.18877034, 0.31122968, 2.3103545]),
    "mish": (F.mish, "MishBackward0", [-0.19681624, -0.22074377, 0.37524524, 2.4713924]),
    "softplus": (
        lambda x: F.softplus(x, 2, 4),
        "SoftplusBackward0",
        [0.00335767, 0.15663084, 0.65663087, 2.5],
    ),
    "logsigmoid": (
        F.logsigmoid,
        "LogSigmoidBackward0",
        [-2.5788898, -0.974077, -0.47407699, -0.07888973],
    ),
    "hardtanh": (F.hardtanh, "HardtanhBackward0", [-1, -0.5, 0.5, 1]),
    "relu6": (F.relu6, "HardtanhBackward0", [0, 0, 0.5, 2.5]),
    "hardsigmoid": (
        F.hardsigmoid,
        "HardsigmoidBackward0",
        [0.083333336, 0.41666666, 0.58333331, 0.9166666],
    ),
    "hardswish": (
        F.hardswish,
        "HardswishBackward0",
        [-0.20833333, -0.20833333, 0.29166666, 2.2916667],
    ),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_and_nodes_are_pytorchs(name: str) -> None:
    function, node, expected = ACTIVATIONS[name]
    x = Tensor(np.array([-2.5, -0.5, 0.5, 2.5], np.float32), requires_grad=True)
    y = function(x)
    np.testing.assert_allclose(y.array, expected, rtol=1e-5)
    assert y.grad_fn.name() == node
    y.backward(Tensor(np.ones(4, np.float32)))
    assert x.grad is not None
    assert (y.dtype, x.grad.dtype) == (np.float32, np.float32)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_gradient_is_that_of_differences(name: str) -> None:
    assert gradcheck(ACTIVATIONS[name][0], leaf(1, 5, 7))


@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        (F.prelu, [leaf(1, 3, 4, 2), leaf(2, 4)]),
        (F.prelu, [leaf(1, 3, 4), leaf(2, 1)]),
        (F.glu, [leaf(1, 3, 4)]),
        (F.softsign, [leaf(1, 3, 4)]),
        (F.tanhshrink, [leaf(1, 3, 4)]),
        (lambda x: F.softmin(x, 1), [leaf(1, 3, 4)]),
    ],
)
def test_compositions_and_prelu_have_the_gradient_of_differences(
    function: Function, inputs: list[Tensor]
) -> None:
    assert gradcheck(function, inputs)


def slope(function: Function, at: float) -> float:
    x = Tensor(np.array([at], np.float32), requires_grad=True)
    function(x).sum().backward()
    assert x.grad is not None
    return x.grad.item()


@pytest.mark.parametrize(
    ("function", "at", "expected"),
    [
        (F.leaky_relu, 0, 0.01),
        (F.elu, 0, 1),
        (F.gelu, 0, 0.5),
        (F.hardtanh, 1, 0),
        (F.hardtanh, -1, 0),
        (F.relu6, 6, 0),
        (F.hardswish, -3, 0),
        (F.hardswish, 3, 1),
        (F.hardsigmoid, 3, 0),
        (F.softplus, 100, 1),
        (F.silu, -200, 0),
    ],
)
def test_the_gradient_at_bends_is_pytorchs(function: Function, at: float, expected: float) -> None:
    assert slope(function, at) == pytest.approx(expected)


def test_erf_has_the_digits_of_float32() -> None:
    x = np.linspace(-5, 5, 20_001, dtype=np.float32)
    expected = np.array([math.erf(v) for v in x.tolist()])
    np.testing.assert_allclose(erf(x), expected, rtol=4e-7)
    assert erf(np.array([np.inf, -np.inf], np.float32)).tolist() == [1, -1]
    assert np.isnan(erf(np.array([np.nan], np.float32))).all()


def test_erf_has_the_same_bits_in_any_memory_order() -> None:
    x = np.random.default_rng(0).standard_normal((300, 301), np.float32)
    np.testing.assert_array_equal(erf(np.asfortranarray(x)), erf(x))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda x: F.gelu(x, "erf"),
            RuntimeError,
            "approximate argument must be either none or tanh.",
        ),
        (lambda x: F.hardtanh(x, 1, -1), ValueError, "min_val cannot be greater than max_val"),
        (lambda x: F.glu(x), RuntimeError, "Halving dimension must be even, but dimension -1"),
        (lambda x: F.gelu(x.long()), RuntimeError, "not implemented for 'Long'"),
        (
            lambda x: F.prelu(x, Tensor([1.0, 2.0])),
            RuntimeError,
            "Found parameter numbers = 2 and channel size = 3.",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call: Function, error: Any, words: str) -> None:
    with pytest.raises(error) as refusal:
        call(Tensor(np.ones((2, 3), np.float32)))
    assert words in str(refusal.value)


def test_layers_print_as_pytorchs() -> None:
    assert repr(nn.GELU()) == "GELU(approximate='none')"
    assert repr(nn.LeakyReLU(0.2, inplace=True)) == "LeakyReLU(negative_slope=0.2, inplace=True)"
    assert repr(nn.ReLU6()) == "ReLU6()"
    assert repr(nn.PReLU(3)) == "PReLU(num_parameters=3)"


@pytest.mark.parametrize("axes", [(0, 1, 2), (0, 2, 1)])
def test_the_gradient_of_relu_is_the_same_in_large_arrays(axes: tuple[int, ...]) -> None:
    generator = np.random.default_rng(0)
    memory = generator.standard_normal((4, 200, 101), np.float32)
    memory[0, 0, :2] = np.nan, -0.0
    x = Tensor(memory.transpose(axes)).requires_grad_()
    weights = generator.standard_normal(x.shape, np.float32)
    F.relu(x).backward(Tensor(weights))
    expected = np.where(x.array <= 0, 0, weights)
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.array, expected)
