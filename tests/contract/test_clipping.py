"""PyTorch's gradient clipping: by norm, by value, and parameters as one vector."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

Lib = Any
INF, NAN = math.inf, math.nan


def with_gradients(lib: Lib, *gradients: list[float]) -> list[Any]:
    """A parameter of ones per gradient."""
    parameters = []
    for values in gradients:
        parameter = lib.nn.Parameter(lib.ones(len(values)))
        parameter.grad = lib.tensor(values)
        parameters.append(parameter)
    return parameters


def gradients_of(parameters: list[Any]) -> list[Any]:
    return [parameter.grad.tolist() for parameter in parameters]


@pytest.fixture
def pair(lib: Lib) -> list[Any]:
    return with_gradients(lib, [3.0, 4.0], [12.0])


def test_the_norm_before_clipping_is_returned(lib: Lib, pair: list[Any]) -> None:
    before = [parameter.grad for parameter in pair]
    total = lib.nn.utils.clip_grad_norm_(pair, 1.0)
    assert (total.item(), total.shape) == (13.0, ())
    assert all(p.grad is g for p, g in zip(pair, before, strict=True))
    np.testing.assert_allclose(
        [*pair[0].grad.tolist(), *pair[1].grad.tolist()], np.array([3, 4, 12]) * 0.0769231, 1e-6
    )
    assert pair[0].tolist() == [1.0, 1.0]


def test_a_small_norm_leaves_values_but_counts_as_a_write(lib: Lib, pair: list[Any]) -> None:
    version = pair[0].grad._version
    lib.nn.utils.clip_grad_norm_(pair, 100.0)
    assert gradients_of(pair) == [[3.0, 4.0], [12.0]]
    assert pair[0].grad._version > version


@pytest.mark.parametrize(
    ("order", "norm"),
    [(1, 19), (2, 13), (3, 12.2071), (INF, 12), ("inf", 12), (-INF, 3), (0, 2), (-1, 1.5)],
)
def test_the_norm_is_the_norm_of_norms(lib: Lib, pair: list[Any], order: Any, norm: float) -> None:
    found = lib.nn.utils.clip_grad_norm_(pair, 1e9, norm_type=order).item()
    assert found == pytest.approx(norm, rel=1e-5)


def test_parameters_without_gradient_and_single_tensors(lib: Lib, pair: list[Any]) -> None:
    clip = lib.nn.utils.clip_grad_norm_
    assert clip([*pair, lib.nn.Parameter(lib.ones(1))], 1e9).item() == 13.0
    assert clip(pair[0], 1e9).item() == 5.0
    nothing = clip([lib.nn.Parameter(lib.ones(1))], 1.0)
    assert (nothing.item(), nothing.dtype) == (0.0, lib.float32)
    with pytest.warns(UserWarning, match="empty generator"):
        clip((p for p in ()), 1.0)


def test_what_is_not_finite_spreads_or_is_refused(lib: Lib) -> None:
    parameters = with_gradients(lib, [1.0, NAN], [2.0])
    assert math.isnan(lib.nn.utils.clip_grad_norm_(parameters, 1.0).item())
    assert all(math.isnan(g) for row in gradients_of(parameters) for g in row)
    parameters = with_gradients(lib, [1.0, INF], [2.0])
    with pytest.raises(
        RuntimeError, match=r"The total norm of order 2.0 for gradients from `parameters` is"
    ):
        lib.nn.utils.clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True)
    assert gradients_of(parameters) == [[1.0, INF], [2.0]]
    assert lib.nn.utils.clip_grad_norm_(parameters, 1.0).item() == INF
    ((first, second), (third,)) = gradients_of(parameters)
    assert (first, third) == (0.0, 0.0)
    assert math.isnan(second)


def test_the_two_halves_of_clipping(lib: Lib, pair: list[Any]) -> None:
    utils = lib.nn.utils
    total = utils.get_total_norm([p.grad for p in pair])
    assert total.item() == 13.0
    utils.clip_grads_with_norm_(pair, 6.5, total)
    np.testing.assert_allclose(pair[1].grad.tolist(), [6.0], 1e-6)


def test_clipping_by_value(lib: Lib) -> None:
    parameters = with_gradients(lib, [3.0, -3.0, 0.5], [NAN, INF, -INF])
    assert lib.nn.utils.clip_grad_value_(parameters, 1.0) is None
    np.testing.assert_array_equal(gradients_of(parameters), [[1.0, -1.0, 0.5], [NAN, 1.0, -1.0]])
    lib.nn.utils.clip_grad_value_(parameters[0], -1)
    assert gradients_of(parameters[:1]) == [[-1.0, -1.0, -1.0]]


def test_parameters_as_one_vector_and_back(lib: Lib) -> None:
    utils, layer = lib.nn.utils, lib.nn.Linear(2, 1)
    assert utils.parameters_to_vector(layer.parameters()).shape == (3,)
    utils.vector_to_parameters(lib.tensor([1.0, 2.0, 3.0]), layer.parameters())
    assert (layer.weight.tolist(), layer.bias.tolist()) == ([[1.0, 2.0]], [3.0])


def test_the_bound_is_called_max_norm(lib: Lib, pair: list[Any]) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'clip_norm'"):
        lib.nn.utils.clip_grad_norm_(pair, clip_norm=1)
