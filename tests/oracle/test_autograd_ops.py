"""Values, gradients, node names and random streams against PyTorch itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ddp
from ddp.autograd.random import Generator
from ddp.autograd.tensor import Tensor
from tests.autograd.cases import CASES, Case, inputs

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle


def _outputs(answer: Any) -> tuple[Any, ...]:
    return answer if isinstance(answer, tuple) else (answer,)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_values_and_gradients_are_pytorchs(case: Case) -> None:
    arrays = inputs(case, np.float32)
    ours = [Tensor(a.copy(), requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    mine, other = _outputs(case.function(ddp, *ours)), _outputs(case.function(torch, *theirs))
    assert len(mine) == len(other)
    for y, expected in zip(mine, other, strict=True):
        assert y.shape == tuple(expected.shape)
        np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), 2e-6, 1e-6)
    weights = [np.cos(np.arange(y.numel(), dtype=np.float32)).reshape(y.shape) for y in mine]
    sum((y * w).sum() for y, w in zip(mine, weights, strict=True)).backward()
    sum((y * torch.tensor(w)).sum() for y, w in zip(other, weights, strict=True)).backward()
    for x, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(x.grad.array, expected.grad.numpy(), 2e-5, 2e-6)


# PyTorch reaches these results by other steps, which is visible in the last node only.
OTHER_STEPS = {"matrix by stack"}
SAME_STEPS = [case for case in CASES if case.name not in OTHER_STEPS]


@pytest.mark.parametrize("case", SAME_STEPS, ids=lambda case: case.name)
def test_the_last_node_has_pytorchs_name(case: Case) -> None:
    arrays = inputs(case, np.float32)
    mine = _outputs(case.function(ddp, *[Tensor(a, requires_grad=True) for a in arrays]))
    other = _outputs(case.function(torch, *[torch.tensor(a, requires_grad=True) for a in arrays]))
    assert mine[0].grad_fn.name() == other[0].grad_fn.name()


SPECIAL_POINTS = {
    "abs at 0": (lambda lib, x: x.abs(), [0.0, -1.0, 2.0]),
    "relu at 0": (lambda lib, x: x.relu(), [0.0, -1.0, 2.0]),
    "max tie": (lambda lib, x: x.max(), [2.0, 2.0, 1.0]),
    "max dim tie": (lambda lib, x: x.max(0).values, [2.0, 2.0, 1.0]),
    "min dim tie": (lambda lib, x: x.min(0).values, [1.0, 1.0, 1.0]),
    "amax tie": (lambda lib, x: x.amax(0), [2.0, 2.0, 2.0]),
    "clamp edges": (lambda lib, x: x.clamp(0, 1), [0.0, 1.0, 2.0]),
    "norm at 0": (lambda lib, x: x.norm(), [0.0, 0.0]),
    "norm inf tie": (lambda lib, x: x.norm(float("inf")), [3.0, -3.0, 1.0]),
    "norm 3 at 0": (lambda lib, x: x.norm(3), [0.0, 0.0]),
    "norm 3 with a 0": (lambda lib, x: x.norm(3), [0.0, 2.0]),
    "norm 1 with a 0": (lambda lib, x: x.norm(1), [0.0, 2.0]),
    "sqrt at 0": (lambda lib, x: x.sqrt(), [0.0, 4.0]),
    "power 0 at 0": (lambda lib, x: x**0, [0.0, 2.0]),
    "power 1 at 0": (lambda lib, x: x**1, [0.0, 2.0]),
    "power of tensors at 0": (lambda lib, x: x**x, [0.0, 2.0]),
    "negative base": (lambda lib, x: x**3, [-2.0, 0.0]),
    "prod with a 0": (lambda lib, x: x.prod(), [3.0, 0.0, 2.0]),
    "prod with two 0": (lambda lib, x: x.prod(), [0.0, 0.0, 2.0]),
    "where log at 0": (lambda lib, x: lib.where(x > 0, x.log(), x), [0.0, 2.0]),
    "log at 0": (lambda lib, x: x.log(), [0.0, -1.0]),
    "division by 0": (lambda lib, x: 1 / x, [0.0, 2.0]),
    "std of equals": (lambda lib, x: x.std(), [2.0, 2.0]),
    "var of one": (lambda lib, x: x.var(), [2.0]),
    "exp overflow": (lambda lib, x: x.exp(), [1000.0, -1000.0]),
    "maximum tie": (lambda lib, x: lib.maximum(x, x.detach()), [1.0, 2.0]),
    "maximum of NaN": (lambda lib, x: lib.maximum(x, x.detach() * 0), [float("nan"), 2.0]),
    "sigmoid far": (lambda lib, x: x.sigmoid(), [1000.0, -1000.0]),
    "mean of nothing": (lambda lib, x: x[:0].mean(), [1.0]),
    "sum of nothing": (lambda lib, x: x[:0].sum(), [1.0]),
}


@pytest.mark.parametrize("name", SPECIAL_POINTS)
@pytest.mark.filterwarnings("ignore:var\\(\\)")
def test_special_points_are_pytorchs(name: str) -> None:
    function, values = SPECIAL_POINTS[name]
    x = ddp.tensor(values, requires_grad=True)
    expected = torch.tensor(values, requires_grad=True)
    y, z = function(ddp, x), function(torch, expected)
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), 1e-6)
    y.sum().backward()
    z.sum().backward()
    np.testing.assert_allclose(x.grad.array, expected.grad.numpy(), 1e-6)


NUMBERS = [True, 2, 2.5]
OPERATORS = {
    "add": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "compare": lambda a, b: a > b,
    "floor": lambda a, b: a // b,
}
DTYPES = ["bool", "uint8", "int8", "int32", "int64", "float16", "float32", "float64"]


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("a", DTYPES)
@pytest.mark.parametrize("b", [*DTYPES, "number"])
def test_dtypes_of_results_are_pytorchs(operator: str, a: str, b: str) -> None:
    if operator == "floor" and a == "bool":
        pytest.skip("PyTorch has no floor division of bools")
    apply = OPERATORS[operator]
    for a_shape, b_shape in [((2,), (2,)), ((2,), ()), ((), (2,)), ((), ())]:
        mine, other = ddp.ones(a_shape, dtype=a), torch.ones(a_shape, dtype=getattr(torch, a))
        if b == "number":
            pairs = [((mine, n), (other, n)) for n in NUMBERS]
            pairs += [((n, mine), (n, other)) for n in NUMBERS]
        else:
            theirs = torch.ones(b_shape, dtype=getattr(torch, b))
            pairs = [((mine, ddp.ones(b_shape, dtype=b)), (other, theirs))]
        for ours, expected in pairs:
            dtype = str(apply(*expected).dtype).removeprefix("torch.")
            assert apply(*ours).dtype.name == dtype, (ours, expected)


@pytest.mark.parametrize("seed", [0, 1, 123, 2**40 + 5])
def test_the_random_stream_is_pytorchs(seed: int) -> None:
    theirs, ours = torch.Generator().manual_seed(seed), Generator(seed)
    for n in (1, 7, 1000):
        drawn = torch.empty(n).uniform_(-0.3, 0.7, generator=theirs).numpy()
        np.testing.assert_array_equal(ours.uniform((n,), -0.3, 0.7), drawn)
        drawn = torch.rand(n, 3, generator=theirs).numpy()
        np.testing.assert_array_equal(ours.uniform((n, 3)), drawn)
        drawn = torch.empty(n).bernoulli_(0.3, generator=theirs).numpy()
        np.testing.assert_array_equal(ours.bernoulli((n,), 0.3), drawn.astype(bool))
        np.testing.assert_array_equal(
            ours.permutation(n), torch.randperm(n, generator=theirs).numpy()
        )
        drawn = torch.randint(3, 17, (n,), generator=theirs).numpy()
        np.testing.assert_array_equal(ours.integers(3, 17, (n,)), drawn)
        drawn = torch.randn(n + 12, generator=theirs).numpy()
        np.testing.assert_allclose(ours.normal((n + 12,)), drawn, rtol=0, atol=5e-7)
        drawn = torch.randn(5, generator=theirs).numpy()
        np.testing.assert_array_equal(ours.normal((5,)), drawn)


PRINTED = [
    [1.0, 2.0],
    [0.5, -1.25],
    [1e-10, 1.0],
    [float("nan"), 1.0],
    [float("inf"), -2.5],
    [],
    [[1.0, 2.5], [3.0, 4.0]],
    [1, 20, 300],
    [True, False],
    3.5,
    7,
    [100000.0, 0.5],
    [1e9, 1.0],
]


@pytest.mark.parametrize("data", PRINTED, ids=str)
def test_tensors_print_as_pytorchs(data: Any) -> None:
    assert repr(ddp.tensor(data)) == repr(torch.tensor(data))


def test_tensors_with_history_print_as_pytorchs() -> None:
    for lib in (ddp, torch):
        x = lib.tensor([1.0, 2.0], requires_grad=True)
        assert repr(x) == "tensor([1., 2.], requires_grad=True)"
        assert repr(x * 2) == "tensor([2., 4.], grad_fn=<MulBackward0>)"
        assert repr(x.sum()) == "tensor(3., grad_fn=<SumBackward0>)"
