"""The tensor's wider surface against PyTorch: values, gradients, dtypes, classes of error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ddp
from ddp.autograd.ops.index import OutOfRange
from ddp.autograd.tensor import Tensor
from tests.autograd.cases import Case, inputs
from tests.autograd.surface_cases import DIFFERENTIABLE, PLAIN

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore::UserWarning")]


def _outputs(answer: Any) -> tuple[Any, ...]:
    return tuple(answer) if isinstance(answer, (tuple, list)) else (answer,)


def _same(ours: Any, theirs: Any, rtol: float = 2e-6, atol: float = 2e-6) -> None:
    assert tuple(ours.shape) == tuple(theirs.shape)
    assert ours.dtype.name == str(theirs.dtype).removeprefix("torch.")
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol, atol)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=lambda case: case.name)
def test_values_and_gradients_are_pytorchs(case: Case, dtype: Any) -> None:
    arrays = inputs(case, dtype)
    ours = [Tensor(a.copy(), requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    mine, other = _outputs(case.function(ddp, *ours)), _outputs(case.function(torch, *theirs))
    assert len(mine) == len(other)
    for y, expected in zip(mine, other, strict=True):
        _same(y, expected)
    weights = [np.cos(np.arange(y.numel(), dtype=dtype)).reshape(y.shape) for y in mine]
    sum((y * w).sum() for y, w in zip(mine, weights, strict=True)).backward()
    sum((y * torch.tensor(w)).sum() for y, w in zip(other, weights, strict=True)).backward()
    for x, expected in zip(ours, theirs, strict=True):
        _same(x.grad, expected.grad, 5e-5, 1e-5)


@pytest.mark.parametrize("name", dict(PLAIN))
def test_results_without_gradient_are_pytorchs(name: str) -> None:
    function = dict(PLAIN)[name]
    for scale in (1, 2):
        (x,) = inputs(Case(name, ((3, 4),), function), np.float32)
        mine = _outputs(function(ddp, Tensor(x * scale)))
        other = _outputs(function(torch, torch.tensor(x * scale)))
        for y, expected in zip(mine, other, strict=True):
            _same(y, expected)


VALUES = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.5, -2.5, 3.0, 1e-30, 1e30]
SPECIAL = [*VALUES, float("nan"), float("inf"), float("-inf")]
POINTWISE = [
    "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh", "expm1", "exp2",
    "log2", "log10", "erf", "erfc", "erfinv", "lgamma", "round", "floor", "ceil", "trunc", "frac",
    "sign", "nan_to_num", "square", "reciprocal", "isnan", "isinf", "isfinite", "signbit",
    "isposinf", "isneginf", "logical_not", "rsqrt", "sqrt", "log", "log1p", "exp", "neg",
    "sigmoid", "tanh", "logit",
]  # fmt: skip


@pytest.mark.parametrize("name", POINTWISE)
def test_functions_at_special_points_are_pytorchs(name: str) -> None:
    x = ddp.tensor(SPECIAL, requires_grad=True)
    z = torch.tensor(SPECIAL, requires_grad=True)
    y, expected = getattr(ddp, name)(x), getattr(torch, name)(z)
    _same(y, expected, 3e-6, 1e-6)
    if expected.requires_grad:
        y.backward(ddp.ones(len(SPECIAL)))
        expected.backward(torch.ones(len(SPECIAL)))
        _same(x.grad, z.grad, 3e-6, 1e-6)


BINARY = [
    "atan2", "hypot", "logaddexp", "xlogy", "fmod", "fmax", "fmin", "copysign", "maximum",
    "minimum", "remainder",
]  # fmt: skip


@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two_at_special_points_are_pytorchs(name: str) -> None:
    values = [value for value in SPECIAL if value != 1e-30]  # 1e30 / 1e-30 overflows there
    grid = np.array(np.meshgrid(values, values), np.float32).reshape(2, -1)
    ours = [Tensor(row.copy(), requires_grad=True) for row in grid]
    theirs = [torch.tensor(row, requires_grad=True) for row in grid]
    y, expected = getattr(ddp, name)(*ours), getattr(torch, name)(*theirs)
    _same(y, expected)


INTEGER = [
    "tan", "exp2", "log2", "erf", "round", "floor", "ceil", "trunc", "sign", "nan_to_num",
    "square", "abs", "neg", "cumprod:0", "sort", "argsort", "logsumexp:0", "median", "unique",
    "roll:1", "topk:2", "cummax:0", "isnan", "signbit", "bitwise_not", "logical_not",
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "bool"])
@pytest.mark.parametrize("name", INTEGER)
def test_integers_give_pytorchs_results_or_errors(name: str, dtype: str) -> None:
    function, _, argument = name.partition(":")
    arguments = (int(argument),) if argument else ()
    x = np.array([3, 1, 2, 1, 0]).astype(dtype)
    error = False
    try:
        expected = _outputs(getattr(torch, function)(torch.tensor(x), *arguments))
    except (RuntimeError, NotImplementedError):
        error = True
    if error:
        pytest.skip("PyTorch refuses it")
    mine = _outputs(getattr(ddp, function)(Tensor(x), *arguments))
    _same(mine[0], expected[0])


ERRORS: dict[str, Callable[[Any, Any], Any]] = {
    "einsum of too few": lambda lib, x: lib.einsum("ij,jk", x),
    "einsum of other rank": lambda lib, x: lib.einsum("ijk", x),
    "einsum of other length": lambda lib, x: lib.einsum("ij,ij", x, x.t()),
    "einsum output": lambda lib, x: lib.einsum("ij->k", x),
    "topk": lambda lib, x: x.topk(9),
    "kthvalue": lambda lib, x: x.kthvalue(0),
    "sort": lambda lib, x: x.sort(5),
    "cumsum": lambda lib, x: x.cumsum(3),
    "roll": lambda lib, x: x.roll((1, 2), (0,)),
    "unfold": lambda lib, x: x.unfold(0, 7, 1),
    "unflatten": lambda lib, x: x.unflatten(1, (3, 2)),
    "gather negative": lambda lib, x: x.gather(0, lib.tensor([[-1]])),
    "gather bounds": lambda lib, x: x.gather(0, lib.tensor([[7]])),
    "index_select negative": lambda lib, x: x.index_select(0, lib.tensor([-1])),
    "select": lambda lib, x: x.select(0, 9),
    "diag": lambda lib, x: x[None].diag(),
    "trace": lambda lib, x: x[0].trace(),
    "tril of a vector": lambda lib, x: lib.outer(x, x),
    "mm": lambda lib, x: lib.addmm(x, x, x),
    "masked_select": lambda lib, x: x.masked_select(x.long()),
    "scatter index": lambda lib, x: x.scatter(0, x, x),
    "scatter bounds": lambda lib, x: x.scatter(0, lib.tensor([[7]]), 1.0),
    "scatter negative": lambda lib, x: x.scatter(0, lib.tensor([[-1]]), 1.0),
    "scatter dtype": lambda lib, x: x.scatter(0, lib.tensor([[0]]), x.double()),
    "index_add shape": lambda lib, x: x.index_add(0, lib.tensor([0]), x),
    "where condition": lambda lib, x: lib.where(x, x, x),
    "repeat_interleave": lambda lib, x: x.repeat_interleave(lib.tensor([1, 2]), 0),
    "broadcast": lambda lib, x: lib.broadcast_tensors(x, lib.zeros(5)),
    "randint": lambda lib, x: lib.randint(3, 3, (2,)),
    "multinomial": lambda lib, x: lib.multinomial(x, 9),
    "multinomial of negatives": lambda lib, x: lib.multinomial(-x, 1),
    "bernoulli": lambda lib, x: lib.bernoulli(x + 5),
    "normal": lambda lib, x: x.normal_(0, -1),
    "uniform": lambda lib, x: x.uniform_(2, 1),
    "uniform of integers": lambda lib, x: x.long().uniform_(),
    "in place on a leaf": lambda lib, x: x.clone().requires_grad_().sin_(),
    "in place category": lambda lib, x: x.long().tan_(),
    "in place shape": lambda lib, x: x[0].lerp_(x, 0.3),
    "zeros": lambda lib, x: lib.zeros(-1),
    "arange": lambda lib, x: lib.arange(3, 1),
    "arange step": lambda lib, x: lib.arange(0, 3, 0),
    "unknown keyword": lambda lib, x: lib.zeros(2, dtipe=None),
    "tensor of text": lambda lib, x: lib.tensor("text"),
    "linspace": lambda lib, x: lib.linspace(0, 1, -1),
    "bincount": lambda lib, x: x.bincount(),
    "dot dtype": lambda lib, x: lib.lerp(x, x.double(), 0.1),
    "and of floats": lambda lib, x: x & x,
    "quantile": lambda lib, x: x.quantile(2.0),
    "div mode": lambda lib, x: lib.div(x, 2, rounding_mode="up"),
    "inverse": lambda lib, x: lib.linalg.inv(x),
    "singular": lambda lib, x: lib.linalg.inv(lib.zeros(2, 2)),
    "out requires grad": lambda lib, x: lib.add(x.clone().requires_grad_(), 1, out=lib.zeros(3, 4)),
    "out dtype": lambda lib, x: lib.add(x, 1, out=lib.zeros(3, 4, dtype=lib.int64)),
    "meshgrid": lambda lib, x: lib.meshgrid(x[0], x[0], indexing="no"),
    "size": lambda lib, x: x.size(4),
    "movedim": lambda lib, x: x.movedim((0, 1), (1,)),
    "isclose": lambda lib, x: x.isclose(x.double()),
    "default dtype": lambda lib, x: lib.set_default_dtype(lib.int64),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_pytorch_refuses_is_refused_with_its_class_of_error(name: str) -> None:
    x = np.linspace(0.1, 0.9, 12, dtype=np.float32).reshape(3, 4)
    with pytest.raises(Exception) as theirs:  # noqa: PT011
        ERRORS[name](torch, torch.tensor(x))
    with pytest.raises(Exception) as ours:  # noqa: PT011
        ERRORS[name](ddp, Tensor(x))
    expected = theirs.type.__name__.removeprefix("_")
    is_both = ours.type is OutOfRange  # PyTorch raises the one or the other
    kinds = OutOfRange.__bases__ if is_both else (ours.type,)
    assert expected in [kind.__name__ for kind in kinds], (ours, theirs)
