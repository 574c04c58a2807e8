"""Gradients of gradients: `create_graph=True`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ddp
from ddp.autograd.gradcheck import gradgradcheck
from ddp.autograd.node import Node
from ddp.autograd.tensor import Tensor, wrap
from tests.autograd.cases import CASES, Case, inputs

Lib = Any


def leaf(lib: Lib, *values: float) -> Any:
    return lib.tensor(list(values), requires_grad=True)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_second_gradient_is_the_one_differences_of_the_first_give(case: Case) -> None:
    tensors = [Tensor(array, requires_grad=True) for array in inputs(case, np.float64)]
    assert gradgradcheck(lambda *xs: case.function(ddp, *xs), tensors, fast_mode=True)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_recorded_gradient_has_the_bits_of_a_plain_one(case: Case) -> None:
    tensors = [Tensor(array, requires_grad=True) for array in inputs(case, np.float32)]
    answer = case.function(ddp, *tensors)
    outputs = answer if isinstance(answer, tuple) else (answer,)
    seeds = [ddp.linspace(0.4, 0.9, y.numel()).reshape(y.shape) for y in outputs]
    plain = ddp.autograd.grad(outputs, tensors, seeds, retain_graph=True)
    recorded = ddp.autograd.grad(outputs, tensors, seeds, create_graph=True)
    for expected, gradient in zip(plain, recorded, strict=True):
        assert gradient.dtype == np.float32
        np.testing.assert_allclose(gradient.array, expected.array, 1e-6)


def test_the_cube_has_first_and_second_derivatives(lib: Lib) -> None:
    x = leaf(lib, 2.0, 3.0)
    (first,) = lib.autograd.grad((x**3).sum(), x, create_graph=True)
    assert first.tolist() == [12.0, 27.0]
    assert first.requires_grad
    assert first.grad_fn is not None
    (second,) = lib.autograd.grad(first.sum(), x, create_graph=True)
    assert second.tolist() == [12.0, 18.0]
    (third,) = lib.autograd.grad(second.sum(), x)
    assert third.tolist() == [6.0, 6.0]


def test_create_graph_retains_the_graph_by_default(lib: Lib) -> None:
    x = leaf(lib, 2.0)
    y = x * x
    lib.autograd.grad(y, x, create_graph=True)
    lib.autograd.grad(y, x, retain_graph=False, create_graph=True)
    with pytest.raises(RuntimeError, match="a second time"):
        lib.autograd.grad(y, x)


def test_backward_with_create_graph_warns_and_gives_a_grad_with_history(lib: Lib) -> None:
    x = leaf(lib, 2.0)
    with pytest.warns(UserWarning, match="create a reference cycle between the parameter and its"):
        (x**3).sum().backward(create_graph=True)
    first = x.grad
    assert first.requires_grad
    x.grad = None
    first.backward()
    assert x.grad.tolist() == [12.0]


@pytest.mark.filterwarnings("ignore:Using backward")
def test_a_recorded_accumulation_makes_a_new_grad(lib: Lib) -> None:
    x = leaf(lib, 2.0)
    (x * x).sum().backward()
    before = x.grad
    (x * x).sum().backward(create_graph=True)
    assert x.grad is not before
    assert (before.tolist(), x.grad.tolist()) == ([4.0], [8.0])
    x.grad = None


def test_hooks_see_recorded_gradients_and_their_answers_are_recorded(lib: Lib) -> None:
    x = leaf(lib, 2.0)
    y = x * x
    seen = []
    handles = [
        y.register_hook(lambda grad: seen.append((grad.requires_grad, lib.is_grad_enabled()))),
        y.register_hook(lambda grad: grad * x),
        y.grad_fn.register_prehook(lambda grads: (grads[0] * 2,)),
        y.grad_fn.register_hook(lambda into, out: (into[0] * 3, into[1] * 3)),
    ]
    (dx,) = lib.autograd.grad((y * y).sum(), x, create_graph=True)
    assert dx.tolist() == [24.0 * 16]  # 2y, then x, 2, 2x and 3
    for handle in handles:
        handle.remove()
    assert lib.autograd.grad(dx, x)[0].tolist() == [24.0 * 4 * 8]
    assert seen == [(True, True)]


def test_a_gradient_penalty_reaches_the_weights(lib: Lib) -> None:
    w, x = leaf(lib, 1.0, -2.0), leaf(lib, 0.5, 0.25)
    (dx,) = lib.autograd.grad((w * x).tanh().sum(), x, create_graph=True)
    (dx.norm() ** 2).backward()
    t = np.tanh([0.5, -0.5])
    slope = 1 - t * t
    wv, xv = np.array([1.0, -2.0]), np.array([0.5, 0.25])
    expected = 2 * wv * slope**2 - 4 * wv * wv * slope**2 * t * xv
    np.testing.assert_allclose(w.grad.numpy(), expected, 1e-5)


def test_a_functions_backward_is_recorded_when_asked(lib: Lib) -> None:
    class Cube(lib.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx: Any, dy: Any) -> Any:
            (x,) = ctx.saved_tensors
            return 3 * x * x * dy

    x = leaf(lib, 2.0)
    (first,) = lib.autograd.grad(Cube.apply(x), x, create_graph=True)
    assert lib.autograd.grad(first, x)[0].tolist() == [12.0]


def test_a_function_may_differentiate_through_an_output_it_saved(lib: Lib) -> None:
    class Exp(lib.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx: Any, dy: Any) -> Any:
            (y,) = ctx.saved_tensors
            return dy * y

    x = leaf(lib, 0.0)
    (first,) = lib.autograd.grad(Exp.apply(x), x, create_graph=True)
    (second,) = lib.autograd.grad(first, x, create_graph=True)
    assert lib.autograd.grad(second, x)[0].tolist() == [1.0]


def test_once_differentiable_means_it(lib: Lib) -> None:
    mark = lib.autograd.function.once_differentiable

    class Twice(lib.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        @mark
        def backward(ctx: Any, dy: Any) -> Any:
            return dy * 2

    x = leaf(lib, 3.0)
    (plain,) = lib.autograd.grad(Twice.apply(x).sum(), x, create_graph=True)
    assert not plain.requires_grad
    (dx,) = lib.autograd.grad((Twice.apply(x) ** 2).sum(), x, create_graph=True)
    assert dx.tolist() == [24.0]
    with pytest.raises(RuntimeError, match="marked with @once_differentiable"):
        dx.sum().backward()


def test_an_operation_whose_gradient_has_none_is_refused_by_name() -> None:
    class FusedBackward0(Node):
        __slots__ = ()

        def backward(self, dy: Any) -> Any:
            (slope,) = self.saved
            return (dy * slope,)

    x = leaf(ddp, 1.0)
    y = wrap(x.array * 2)
    node = FusedBackward0.record(y, x)
    assert node is not None
    node.save(np.full(1, 2.0, np.float32))
    with pytest.raises(NotImplementedError, match="FusedBackward0"):
        ddp.autograd.grad(y, x, create_graph=True)
    assert ddp.autograd.grad(y, x)[0].tolist() == [2.0]


def test_saved_values_that_changed_since_are_noticed_in_the_second_order_too(lib: Lib) -> None:
    x = leaf(lib, 2.0)
    y = x + 1
    (dx,) = lib.autograd.grad((y * y * y).sum(), x, create_graph=True)
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        dx.backward()
