"""Gradients of gradients through fused operations: layers and losses."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ddp
import ddp.nn.functional as F
from ddp.autograd.gradcheck import gradgradcheck
from ddp.autograd.ops import recurrent
from ddp.autograd.random import use_generator
from ddp.autograd.tensor import Tensor
from tests.helpers.spawn import ROOT

CLASSES = [1, 0, 2, 2]
IMAGE = (2, 4, 5, 5)


def _target(*shape: int) -> Any:
    return ddp.tensor(np.arange(int(np.prod(shape))).reshape(shape) % 3)


def _dropped_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    with use_generator(ddp.Generator(1)):
        return F.scaled_dot_product_attention(q, k, v, dropout_p=0.4)


def _squares(x: Any) -> Any:
    """Positive definite matrices."""
    return x @ x.mT + ddp.eye(3, dtype=ddp.float64)


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
    "average pooling to a size": ((IMAGE,), lambda x: F.adaptive_avg_pool2d(x, (2, 3)) ** 2),
    "maxima to a size": ((IMAGE,), lambda x: F.adaptive_max_pool2d(x, (2, 3)) ** 2),
    "interpolation": (
        (IMAGE,),
        lambda x: F.interpolate(x, scale_factor=2, mode="bilinear") ** 2,
    ),
    "pixels and channels": ((IMAGE,), lambda x: F.pixel_shuffle(x, 2) ** 2),
    "padding": ((IMAGE,), lambda x: F.pad(x, (1, 2, 0, 1), "reflect") ** 2),
    "convolution along one axis": (
        ((2, 4, 5), (4, 2, 3), (4,)),
        lambda x, w, b: F.conv1d(x, w, b, stride=2, padding=1, groups=2),
    ),
    "transposed convolution": (
        (IMAGE, (4, 2, 3, 3), (4,)),
        lambda x, w, b: F.conv_transpose2d(x, w, b, 2, 1, 1, 2),
    ),
    "transposed convolution along one axis": (
        ((2, 4, 5), (4, 2, 3)),
        lambda x, w: F.conv_transpose1d(x, w, None, 2),
    ),
    "layer norm": (
        ((4, 2, 3), (2, 3), (2, 3)),
        lambda x, w, b: F.layer_norm(x, (2, 3), w, b),
    ),
    "layer norm plain": (((4, 5),), lambda x: F.layer_norm(x, (5,))),
    "group norm": ((IMAGE, (4,), (4,)), lambda x, w, b: F.group_norm(x, 2, w, b)),
    "instance norm": ((IMAGE, (4,), (4,)), lambda x, w, b: F.instance_norm(x, None, None, w, b)),
    "rms norm": (((4, 5), (5,)), lambda x, w: F.rms_norm(x, (5,), w)),
    "gelu": (((3, 4),), lambda x: F.gelu(x - 1)),
    "gelu by tanh": (((3, 4),), lambda x: F.gelu(x - 1, "tanh")),
    "silu": (((3, 4),), lambda x: F.silu(x - 1)),
    "mish": (((3, 4),), lambda x: F.mish(x - 1)),
    "elu": (((3, 4),), lambda x: F.elu(x - 1)),
    "celu": (((3, 4),), lambda x: F.celu(x - 1, 0.7)),
    "selu": (((3, 4),), lambda x: F.selu(x - 1)),
    "softplus": (((3, 4),), lambda x: F.softplus(x - 1, 3.0, 1.0)),
    "log sigmoid": (((3, 4),), lambda x: F.logsigmoid(x - 1)),
    "hardtanh": (((3, 4),), lambda x: F.hardtanh(x - 1, -0.3, 0.4) ** 2),
    "hardsigmoid": (((3, 4),), lambda x: F.hardsigmoid(x) ** 2),
    "hardswish": (((3, 4),), lambda x: F.hardswish(x - 1)),
    "prelu": (((3, 4), (4,)), lambda x, w: F.prelu(x - 1, w)),
    "prelu of one slope": (((3, 4), (1,)), lambda x, w: F.prelu(x - 1, w) ** 2),
    "softshrink": (((3, 4),), lambda x: F.softshrink(x - 1) ** 2),
    "smooth l1": (((3, 4), (3, 4)), lambda x, t: F.smooth_l1_loss(x, t, beta=0.3)),
    "huber": (
        ((3, 4), (3, 4)),
        lambda x, t: F.huber_loss(x, t, reduction="none", delta=0.3),
    ),
    "cross entropy of probabilities": (
        ((3, 4), (3, 4)),
        lambda x, t: F.binary_cross_entropy(x / 2, t / 2),
    ),
    "divergence": (((3, 4), (3, 4)), lambda x, t: F.kl_div(x, t, reduction="sum")),
    "determinants": (((2, 3, 3),), lambda x: ddp.linalg.det(_squares(x))),
    "logarithms of determinants": (((2, 3, 3),), lambda x: ddp.linalg.slogdet(_squares(x))[1]),
    "solutions": (((3, 3), (3, 2)), lambda a, b: ddp.linalg.solve(_squares(a), b)),
    "solution for a vector": (((3, 3), (3,)), lambda a, b: ddp.linalg.solve(_squares(a), b)),
    "largest so far": (((3, 4),), lambda x: x.cummax(1)[0] ** 2),
    "smallest so far": (((3, 4),), lambda x: x.cummin(0)[0] ** 2),
    "rolled": (((3, 4),), lambda x: x.roll((1, 2), (0, 1)) ** 2),
    "windows": (((3, 5),), lambda x: x.unfold(1, 3, 2) ** 2),
    "hyperbolic": (((3, 4),), lambda x: x.sinh() * x.cosh()),
    "embedding": (
        ((5, 3),),
        lambda w: F.embedding(ddp.tensor([[1, 0], [3, 1]]), w, padding_idx=3) ** 2,
    ),
    "attention": (
        ((2, 3, 4), (2, 5, 4), (2, 5, 2), (3, 5)),
        F.scaled_dot_product_attention,
    ),
    "causal attention": (
        ((2, 3, 4), (2, 3, 4), (2, 3, 2)),
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
    ),
    "attention to itself": (((3, 4),), lambda x: F.scaled_dot_product_attention(x, x, x)),
    "attention with dropout": (((2, 3, 4), (2, 5, 4), (2, 5, 2)), _dropped_attention),
    "rnn": (
        ((2, 1, 2), (1, 3), (3, 2), (3, 3), (3,), (3,)),
        lambda x, h, w, u, a, b: recurrent.rnn(x, h, w, u, (a, b), "tanh"),
    ),
    "rnn with relu": (
        ((2, 1, 2), (1, 3), (3, 2), (3, 3)),
        lambda x, h, w, u: recurrent.rnn(x, h, w, u, None, "relu") ** 2,
    ),
    "gru": (
        ((2, 1, 2), (1, 2), (6, 2), (6, 2), (6,), (6,)),
        lambda x, h, w, u, a, b: recurrent.gru(x - 1, h, w - 1, u - 1, (a, b)),
    ),
    "lstm": (
        ((2, 1, 2), (1, 2), (1, 2), (8, 2), (8, 2), (8,), (8,)),
        lambda x, h, c, w, u, a, b: recurrent.lstm(x - 1, h, c, w - 1, u - 1, (a, b)),
    ),
    "lstm with a projection": (
        ((2, 1, 2), (1, 1), (1, 2), (8, 2), (8, 1), (1, 2)),
        lambda x, h, c, w, u, r: recurrent.lstm(x - 1, h, c, w - 1, u - 1, None, r),
    ),
}


REFUSED: dict[str, Callable[[Any], Any]] = {  # as docs/coming-from-pytorch.md says
    "cholesky": lambda x: ddp.linalg.cholesky(_squares(x)),
    "qr": lambda x: ddp.linalg.qr(_squares(x))[1],
    "eigh": lambda x: ddp.linalg.eigh(_squares(x))[1],
    "svd": lambda x: ddp.linalg.svd(_squares(x))[1],
    "pinv": lambda x: ddp.linalg.pinv(_squares(x)),
    "cumprod": lambda x: x.cumprod(1),
    "logcumsumexp": lambda x: x.logcumsumexp(1),
    "lgamma": ddp.lgamma,
    "scatter_reduce": lambda x: (
        x.scatter_reduce(0, ddp.tensor([[0, 1, 0]]), x[:1] * 2, "amax") ** 2
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_where_there_is_no_second_gradient_the_operation_is_named(name: str) -> None:
    x = Tensor(np.random.RandomState(0).uniform(0.3, 1.7, (3, 3)), requires_grad=True)
    y = REFUSED[name](x)
    with pytest.raises(NotImplementedError, match="create_graph=True is not supported"):
        ddp.autograd.grad(y.sum(), x, create_graph=True)


def test_the_page_names_what_has_no_second_gradient() -> None:
    page = (ROOT / "docs" / "coming-from-pytorch.md").read_text()
    (told,) = re.findall(r"\*\*Second gradients end.*?\n\n", page, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", told)) == set(REFUSED)


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
