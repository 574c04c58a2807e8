"""Gradients of gradients through fused operations: layers and losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ddp
import ddp.nn.functional as F
from ddp.autograd.gradcheck import gradgradcheck
from ddp.autograd.tensor import Tensor

CLASSES = [1, 0, 2, 2]
IMAGE = (2, 4, 5, 5)


def _target(*shape: int) -> Any:
    return ddp.tensor(np.arange(int(np.prod(shape))).reshape(shape) % 3)


CASES: dict[str, tuple[tuple[tuple[int, ...], ...], Callable[..., Any]]] = {
    "linear": (((3, 4), (2, 4), (2,)), F.linear),
    "linear of a stack": (((2, 3, 4), (2, 4), (2,)), F.linear),
    "linear without bias": (((3, 4), (2, 4)), F.linear),
    "mse": (((3, 4), (3, 4)), F.mse_loss),
    "mse sum": (((3, 4), (3, 4)), lambda x, t: F.mse_loss(x, t, reduction="sum")),
    "mse none": (((3, 4), (3, 4)), lambda x, t: F.mse_loss(x, t, reduction="none")),
    "cross entropy": (((4, 3),), lambda x: F.cross_entropy(x, ddp.tensor(CLASSES))),
    "cross entropy smoothed": (
        ((4, 3),),
        lambda x: F.cross_entropy(
            x,
            ddp.tensor(CLASSES),
            weight=ddp.tensor([0.5, 1.0, 2.0], dtype=ddp.float64),
            ignore_index=0,
            label_smoothing=0.1,
        ),
    ),
    "cross entropy none": (
        ((4, 3),),
        lambda x: F.cross_entropy(x, ddp.tensor(CLASSES), reduction="none"),
    ),
    "cross entropy of images": (((2, 3, 4),), lambda x: F.cross_entropy(x, _target(2, 4))),
    "cross entropy of one": (((3,),), lambda x: F.cross_entropy(x, ddp.tensor(1))),
    "nll": (((4, 3),), lambda x: F.nll_loss(x.log_softmax(1), ddp.tensor(CLASSES))),
    "batch norm": (
        (IMAGE, (4,), (4,)),
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
    ),
    "batch norm plain": (((6, 3),), lambda x: F.batch_norm(x, None, None, training=True)),
    "batch norm of given statistics": (
        (IMAGE, (4,), (4,)),
        lambda x, w, b: F.batch_norm(
            x, ddp.zeros(4, dtype=ddp.float64), ddp.ones(4, dtype=ddp.float64) * 2, w, b
        ),
    ),
    "convolution": ((IMAGE, (3, 4, 3, 3), (3,)), lambda x, w, b: F.conv2d(x, w, b, padding=1)),
    "convolution with strides": ((IMAGE, (3, 4, 3, 3)), lambda x, w: F.conv2d(x, w, stride=2)),
    "convolution in groups": ((IMAGE, (4, 2, 2, 2)), lambda x, w: F.conv2d(x, w, groups=2)),
    "convolution then maxima": (
        (IMAGE, (3, 4, 3, 3)),
        lambda x, w: F.max_pool2d(F.conv2d(x, w, padding=1) ** 2, 3, stride=2, padding=1),
    ),
    "binary cross entropy": (
        ((3, 4), (3, 4)),
        lambda x, t: F.binary_cross_entropy_with_logits(x, t, reduction="sum"),
    ),
    "binary cross entropy weighted": (
        ((3, 4),),
        lambda x: F.binary_cross_entropy_with_logits(
            x,
            ddp.ones(3, 4, dtype=ddp.float64) * 0.3,
            weight=ddp.ones(4, dtype=ddp.float64) * 2,
            pos_weight=ddp.ones(4, dtype=ddp.float64) * 3,
        ),
    ),
    "leaky relu": (((3, 4),), lambda x: F.leaky_relu(x - 1, 0.1) ** 2),
    "average pooling": ((IMAGE,), lambda x: F.avg_pool2d(x, 2) ** 2),
}


@pytest.mark.parametrize("name", CASES)
def test_the_second_gradient_is_the_one_differences_of_the_first_give(name: str) -> None:
    shapes, function = CASES[name]
    random = np.random.RandomState(len(name))
    inputs = [Tensor(random.uniform(0.3, 1.7, shape), requires_grad=True) for shape in shapes]
    assert gradgradcheck(function, inputs, fast_mode=True)


def test_the_third_order_of_a_convolution_is_right_too() -> None:
    x = Tensor(np.random.RandomState(0).uniform(0.5, 1.5, (1, 1, 4, 4)), requires_grad=True)
    w = Tensor(np.random.RandomState(1).uniform(0.5, 1.5, (1, 1, 2, 2)), requires_grad=True)

    def slope(x: Tensor, w: Tensor) -> Tensor:
        (dx,) = ddp.autograd.grad((F.conv2d(x, w) ** 3).sum(), x, create_graph=True)
        return dx

    assert gradgradcheck(slope, (x, w), fast_mode=True)


def test_the_hessian_of_a_small_network_is_symmetric() -> None:
    x = ddp.randn(5, 3, generator=ddp.Generator(0))
    target = ddp.tensor([0, 1, 1, 0, 1])

    def objective(w: Tensor, v: Tensor) -> Any:
        return F.cross_entropy(F.linear(F.linear(x, w).tanh(), v), target)

    w, v = (ddp.randn(*s, generator=ddp.Generator(1)) for s in ((4, 3), (2, 4)))
    (ww, wv), (vw, _) = ddp.autograd.functional.hessian(objective, (w, v))
    square = ww.numpy().reshape(12, 12)
    np.testing.assert_allclose(square, square.T, atol=1e-6)
    across, back = wv.numpy().reshape(12, 8), vw.numpy().reshape(8, 12)
    np.testing.assert_allclose(across, back.T, atol=1e-6)


@pytest.mark.parametrize("name", ["linear", "convolution"])
def test_a_weight_that_was_stepped_before_the_second_backward_is_noticed(name: str) -> None:
    shapes, function = CASES[name]
    x, w, b = [Tensor(np.ones(shape), requires_grad=True) for shape in shapes]
    (dx,) = ddp.autograd.grad((function(x, w, b) ** 2).sum(), x, create_graph=True)
    with ddp.no_grad():
        w.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        dx.sum().backward()
