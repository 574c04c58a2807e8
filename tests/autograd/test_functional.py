"""`autograd.functional`: Jacobians, Hessians and products with them."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

Lib = Any

A = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]


@pytest.fixture
def functional(lib: Lib) -> Any:
    return importlib.import_module(f"{lib.__name__}.autograd.functional")


def test_the_jacobian_has_the_outputs_shape_then_the_inputs(lib: Lib, functional: Any) -> None:
    a, x = lib.tensor(A), lib.tensor([1.0, 2.0, 3.0])
    jacobian = functional.jacobian(lambda x: (a @ x) ** 2, x)
    expected = 2 * (np.array(A) @ [1, 2, 3])[:, None] * np.array(A)
    np.testing.assert_allclose(jacobian.numpy(), expected, 1e-6)
    assert not jacobian.requires_grad


def test_several_inputs_and_outputs_make_a_table(lib: Lib, functional: Any) -> None:
    x, y = lib.tensor([1.0, 2.0]), lib.tensor(3.0)
    table = functional.jacobian(lambda x, y: (x * y, x.sum()), (x, y))
    assert [[entry.tolist() for entry in row] for row in table] == [
        [[[3.0, 0.0], [0.0, 3.0]], [1.0, 2.0]],
        [[1.0, 1.0], 0.0],
    ]


def test_the_hessian_of_a_quadratic_form_is_its_matrix(lib: Lib, functional: Any) -> None:
    matrix = lib.tensor([[2.0, 1.0], [1.0, 6.0]])
    hessian = functional.hessian(lambda x: 0.5 * (x @ (matrix @ x)), lib.tensor([5.0, 7.0]))
    assert hessian.tolist() == [[2.0, 1.0], [1.0, 6.0]]
    blocks = functional.hessian(lambda x, y: (x * y * y).sum(), (lib.ones(2), lib.ones(2) * 3))
    assert [[b.tolist() for b in row] for row in blocks] == [
        [[[0.0, 0.0], [0.0, 0.0]], [[6.0, 0.0], [0.0, 6.0]]],
        [[[6.0, 0.0], [0.0, 6.0]], [[2.0, 0.0], [0.0, 2.0]]],
    ]


def test_products_with_the_jacobian_from_both_sides(lib: Lib, functional: Any) -> None:
    a, x = lib.tensor(A), lib.tensor([1.0, 0.0, 2.0])
    value, left = functional.vjp(lambda x: a @ (x * x), x, lib.tensor([1.0, 10.0]))
    assert (value.tolist(), left.tolist()) == ([13.0, 28.0], [82.0, 0.0, 252.0])
    value, right = functional.jvp(lambda x: a @ (x * x), x, lib.tensor([1.0, 1.0, 1.0]))
    assert (value.tolist(), right.tolist()) == ([13.0, 28.0], [14.0, 32.0])


def test_products_with_the_hessian(lib: Lib, functional: Any) -> None:
    x, v = lib.tensor([1.0, 2.0]), lib.tensor([1.0, -1.0])
    for product in (functional.vhp, functional.hvp):
        value, answer = product(lambda x: (x**3).sum(), x, v)
        assert (value.item(), answer.tolist()) == (9.0, [6.0, -12.0])


def test_answers_may_be_differentiated_further(lib: Lib, functional: Any) -> None:
    x = lib.tensor([2.0, 3.0], requires_grad=True)
    jacobian = functional.jacobian(lambda x: x**3, x, create_graph=True)
    jacobian.sum().backward()
    assert x.grad.tolist() == [12.0, 18.0]


def test_no_dependence_is_zero_or_with_strict_an_error(lib: Lib, functional: Any) -> None:
    x = lib.tensor([1.0, 2.0])
    assert functional.jacobian(lambda x: lib.ones(1), x).tolist() == [[0.0, 0.0]]
    with pytest.raises(RuntimeError, match="does not require gradients"):
        functional.jacobian(lambda x: lib.ones(1), x, strict=True)


def test_a_vector_that_is_missing_or_does_not_fit_is_refused(lib: Lib, functional: Any) -> None:
    with pytest.raises(RuntimeError, match="can only be None"):
        functional.vjp(lambda x: x * 2, lib.ones(2))
    with pytest.raises(RuntimeError):
        functional.vjp(lambda x: x * 2, lib.ones(2), lib.ones(3))
    with pytest.raises(RuntimeError, match="contain a single element"):
        functional.hessian(lambda x: x * 2, lib.ones(2))
