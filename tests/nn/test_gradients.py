"""The gradient of every operation of nn against differences, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ddp.autograd.gradcheck import gradcheck
from ddp.autograd.random import Generator
from ddp.autograd.tensor import Tensor
from ddp.nn import functional as F


def leaf(seed: int, *shape: int) -> Tensor:
    """Float64 values at least 0.02 apart, so that no difference steps over a kink or a maximum."""
    rng = np.random.default_rng(seed)
    size = int(np.prod(shape))
    values = (rng.permutation(size) - size / 2 + 0.3) * max(0.02, 3 / max(size, 1))
    return Tensor(values.reshape(shape), requires_grad=True)


def probabilities(seed: int, *shape: int) -> Tensor:
    return Tensor(np.random.default_rng(seed).uniform(0.1, 0.9, shape), requires_grad=True)


CLASSES = Tensor(np.array([2, 0, 3, 2]))
FACTORS = Tensor(np.array([0.5, 1.0, 2.0, 0.25], np.float32))

CASES: dict[str, tuple[Callable[..., Any], list[Tensor]]] = {
    "linear": (F.linear, [leaf(1, 3, 4), leaf(2, 5, 4), leaf(3, 5)]),
    "linear without bias": (F.linear, [leaf(1, 3, 4), leaf(2, 5, 4)]),
    "linear, three axes": (F.linear, [leaf(1, 2, 3, 4), leaf(2, 5, 4), leaf(3, 5)]),
    "relu": (F.relu, [leaf(1, 3, 4)]),
    "sigmoid": (F.sigmoid, [leaf(1, 3, 4)]),
    "tanh": (F.tanh, [leaf(1, 3, 4)]),
    "softmax": (lambda x: F.softmax(x, 1), [leaf(1, 2, 4, 3)]),
    "log_softmax": (lambda x: F.log_softmax(x, -1), [leaf(1, 2, 4)]),
    "conv2d": (
        lambda x, w, b: F.conv2d(x, w, b, padding=1),
        [leaf(1, 2, 2, 4, 5), leaf(2, 3, 2, 3, 3), leaf(3, 3)],
    ),
    "conv2d, stride, dilation": (
        lambda x, w: F.conv2d(x, w, None, (2, 1), (1, 2), (1, 2)),
        [leaf(1, 2, 2, 5, 6), leaf(2, 2, 2, 3, 2)],
    ),
    "conv2d, groups": (
        lambda x, w, b: F.conv2d(x, w, b, groups=2),
        [leaf(1, 2, 4, 3, 3), leaf(2, 2, 2, 2, 2), leaf(3, 2)],
    ),
    "conv2d, pointwise": (F.conv2d, [leaf(1, 2, 3, 3, 2), leaf(2, 4, 3, 1, 1), leaf(3, 4)]),
    "max_pool2d": (lambda x: F.max_pool2d(x, 2), [leaf(1, 2, 2, 4, 5)]),
    "max_pool2d, overlapping": (lambda x: F.max_pool2d(x, 3, 1, 1), [leaf(1, 1, 2, 4, 4)]),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 3, 2, 1), [leaf(1, 2, 2, 5, 4)]),
    "avg_pool2d, uneven": (
        lambda x: F.avg_pool2d(x, 2, 2, 0, True, False),
        [leaf(1, 2, 2, 5, 3)],
    ),
    "batch_norm of a batch": (
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True, eps=0.1),
        [leaf(1, 3, 2, 2, 2), leaf(2, 2), leaf(3, 2)],
    ),
    "batch_norm without bias": (
        lambda x, w: F.batch_norm(x, None, None, w, training=True, eps=0.1),
        [leaf(1, 3, 2, 2), leaf(2, 2)],
    ),
    "batch_norm without weights": (
        lambda x: F.batch_norm(x, None, None, training=True, eps=0.1),
        [leaf(1, 5, 2)],
    ),
    "batch_norm by running statistics": (
        lambda x, w, b: F.batch_norm(x, FACTORS[:2], FACTORS[2:], w, b),
        [leaf(1, 3, 2, 2, 2), leaf(2, 2), leaf(3, 2)],
    ),
    "dropout": (lambda x: F.dropout(x, 0.4, generator=Generator(0)), [leaf(1, 4, 5)]),
    "cross_entropy": (lambda x: F.cross_entropy(x, CLASSES), [leaf(1, 4, 4)]),
    "cross_entropy, all options": (
        lambda x: F.cross_entropy(
            x, CLASSES, FACTORS.to(x.dtype), ignore_index=0, label_smoothing=0.2, reduction="sum"
        ),
        [leaf(1, 4, 4)],
    ),
    "cross_entropy, no reduction": (
        lambda x: F.cross_entropy(x, CLASSES, FACTORS.to(x.dtype), reduction="none"),
        [leaf(1, 4, 4)],
    ),
    "cross_entropy, pixels": (
        lambda x: F.cross_entropy(x, Tensor(np.array([[0, 3], [1, 2]])), label_smoothing=0.1),
        [leaf(1, 2, 4, 2)],
    ),
    "cross_entropy of probabilities": (
        lambda x, t: F.cross_entropy(x, t, FACTORS, label_smoothing=0.1),
        [leaf(1, 3, 4), probabilities(2, 3, 4)],
    ),
    "nll_loss": (lambda x: F.nll_loss(x, CLASSES, FACTORS.to(x.dtype)), [leaf(1, 4, 4)]),
    "nll_loss, sum": (lambda x: F.nll_loss(x, CLASSES, reduction="sum"), [leaf(1, 4, 4)]),
    "mse_loss": (F.mse_loss, [leaf(1, 3, 4), leaf(2, 3, 4)]),
    "mse_loss, no reduction": (
        lambda x, t: F.mse_loss(x, t, reduction="none"),
        [leaf(1, 3, 4), leaf(2, 3, 4)],
    ),
    "bce_with_logits": (
        F.binary_cross_entropy_with_logits,
        [leaf(1, 3, 4), probabilities(2, 3, 4)],
    ),
    "bce_with_logits, weights": (
        lambda x, t: F.binary_cross_entropy_with_logits(
            x, t, FACTORS, reduction="sum", pos_weight=FACTORS
        ),
        [leaf(1, 3, 4), probabilities(2, 3, 4)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_gradient_is_that_of_differences(name: str) -> None:
    function, inputs = CASES[name]
    assert gradcheck(function, inputs)


@pytest.mark.parametrize("name", CASES)
def test_an_input_that_needs_no_gradient_changes_no_other_gradient(name: str) -> None:
    function, inputs = CASES[name]
    for frozen in range(len(inputs)):
        if len(inputs) > 1:
            mixed = [x.detach() if i == frozen else x for i, x in enumerate(inputs)]
            assert gradcheck(function, mixed, fast_mode=True)


@pytest.mark.parametrize("name", CASES)
def test_float32_stays_float32(name: str) -> None:
    function, inputs = CASES[name]
    narrow = [Tensor(x.array.astype(np.float32), requires_grad=True) for x in inputs]
    output = function(*narrow)
    output.backward(Tensor(np.ones(output.shape, np.float32)))
    assert output.dtype == np.float32
    assert [x.grad.dtype for x in narrow if x.grad is not None] == [np.float32] * len(narrow)
