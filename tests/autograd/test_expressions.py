"""Random expressions: whatever is built from the operations has the gradient differences give."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import ddp
from ddp.autograd.gradcheck import gradcheck
from ddp.autograd.tensor import Tensor

Expression = Callable[[list[Tensor]], Tensor]
SHAPES = [(3, 2), (2,), (3, 1), ()]

LEAVES = st.integers(0, len(SHAPES) - 1).map(lambda i: lambda xs: xs[i])
SMOOTH = [
    lambda a: a.sin(),
    lambda a: a.tanh(),
    lambda a: (a * a + 1).sqrt(),
    lambda a: (a * 0.5).sigmoid(),
    lambda a: -a + 1,
    lambda a: a.mean(),
    lambda a: a.sum(-1, keepdim=True) if a.ndim else a,
    lambda a: a.expand(2, *a.shape)[1],
    lambda a: a.reshape(-1).reshape(a.shape),
    lambda a: a.t().t() if a.ndim == 2 else a,
    lambda a: (a * 1).mul_(2).sub_(0.5),
]
PAIRED = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a / (b * b + 1),
    lambda a, b: ddp.where(ddp.tensor(True), a, b),
]


def _unary(operation: Callable[[Tensor], Tensor], inner: Expression) -> Expression:
    return lambda xs: operation(inner(xs))


def _binary(
    operation: Callable[[Tensor, Tensor], Tensor], left: Expression, right: Expression
) -> Expression:
    return lambda xs: operation(left(xs), right(xs))


EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(_unary, st.sampled_from(SMOOTH), inner)
        | st.builds(_binary, st.sampled_from(PAIRED), inner, inner)
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(EXPRESSIONS, st.integers(0, 2**16))
def test_a_random_expression_has_the_gradient_of_differences(
    expression: Expression, seed: int
) -> None:
    random = np.random.RandomState(seed)
    xs = [Tensor(random.uniform(-1, 1, shape), requires_grad=True) for shape in SHAPES]
    assert gradcheck(lambda *args: expression(list(args)) * 1, xs, fast_mode=True)
