"""Gradients where functions have kinks, poles and ties: the conventions users notice."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Lib = Any
NAN, INF = math.nan, math.inf

POINTS: list[tuple[str, Callable[..., Any], list[float], list[float]]] = [
    ("relu", lambda lib, x: x.relu(), [0.0, 1.0], [0.0, 1.0]),
    ("abs", lambda lib, x: x.abs(), [0.0, -1.0], [0.0, -1.0]),
    ("max shares ties", lambda lib, x: x.max(), [2.0, 2.0, 1.0], [0.5, 0.5, 0.0]),
    ("min shares ties", lambda lib, x: x.min(), [1.0, 1.0, 2.0], [0.5, 0.5, 0.0]),
    ("amax shares ties", lambda lib, x: x.amax(0), [2.0, 2.0], [0.5, 0.5]),
    ("max over an axis takes the first", lambda lib, x: x.max(0)[0], [2.0, 2.0], [1.0, 0.0]),
    ("min over an axis takes the first", lambda lib, x: x.min(0)[0], [2.0, 2.0], [1.0, 0.0]),
    ("maximum shares ties", lambda lib, x: lib.maximum(x, x.detach()), [1.0], [0.5]),
    ("clamp includes its edges", lambda lib, x: x.clamp(0, 1), [0.0, 1.0, 2.0], [1.0, 1.0, 0.0]),
    ("clamp min", lambda lib, x: x.clamp_min(1.0), [0.0, 1.0], [0.0, 1.0]),
    ("clamp max", lambda lib, x: x.clamp_max(0.5), [0.0, 1.0], [1.0, 0.0]),
    ("norm of zeros", lambda lib, x: x.norm(), [0.0, 0.0], [0.0, 0.0]),
    ("norm 3 of zeros", lambda lib, x: x.norm(3), [0.0, 0.0], [0.0, 0.0]),
    ("norm inf shares ties", lambda lib, x: x.norm(INF), [3.0, -3.0, 1.0], [0.5, -0.5, 0.0]),
    ("norm -inf", lambda lib, x: x.norm(-INF), [3.0, -1.0], [0.0, -1.0]),
    ("sqrt", lambda lib, x: x.sqrt(), [0.0, 4.0], [INF, 0.25]),
    ("power 0", lambda lib, x: x**0, [0.0, 2.0], [0.0, 0.0]),
    ("prod with a zero", lambda lib, x: x.prod(), [3.0, 0.0, 2.0], [0.0, 6.0, 0.0]),
    ("prod with two zeros", lambda lib, x: x.prod(), [0.0, 0.0, 2.0], [0.0, 0.0, 0.0]),
    ("where log", lambda lib, x: lib.where(x > 0, x.log(), x), [0.0, 2.0], [NAN, 0.5]),
    ("std of equals", lambda lib, x: x.std(), [2.0, 2.0], [0.0, 0.0]),
    ("log", lambda lib, x: x.log(), [0.0, 2.0], [INF, 0.5]),
    ("0 ** tensor", lambda lib, x: 0**x, [1.0, 2.0], [0.0, 0.0]),
    ("flat functions", lambda lib, x: x + x.sign() * x.floor(), [1.5, -1.5], [1.0, 1.0]),
]

POINTS += [
    ("leaky_relu", lambda lib, x: lib.nn.functional.leaky_relu(x, 0.1), [0.0, 1.0], [0.1, 1.0]),
    ("hardtanh", lambda lib, x: lib.nn.functional.hardtanh(x), [-1.0, 0.0, 1.0], [0.0, 1.0, 0.0]),
    ("relu6", lambda lib, x: lib.nn.functional.relu6(x), [0.0, 3.0, 6.0], [0.0, 1.0, 0.0]),
    ("hardswish", lambda lib, x: lib.nn.functional.hardswish(x), [-3.0, 3.0], [0.0, 1.0]),
    ("elu", lambda lib, x: lib.nn.functional.elu(x), [0.0], [1.0]),
    ("gelu", lambda lib, x: lib.nn.functional.gelu(x), [0.0], [0.5]),
    ("median takes the lower", lambda lib, x: x.median(), [4.0, 1.0, 3.0, 2.0], [0, 0, 0, 1]),
    ("max_pool takes the first", lambda lib, x: lib.nn.functional.max_pool1d(x[None, None], 3),
     [2.0, 2.0, 1.0], [1.0, 0.0, 0.0]),
    ("dropout of all", lambda lib, x: lib.nn.functional.dropout(x, 1.0), [2.0, 3.0], [0.0, 0.0]),
]  # fmt: skip


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point[0])
def test_the_gradient_at_a_special_point(lib: Lib, point: Any) -> None:
    _, function, values, gradients = point
    x = lib.tensor(values, requires_grad=True)
    function(lib, x).sum().backward()
    np.testing.assert_allclose(x.grad.tolist(), gradients, rtol=1e-6)


@pytest.mark.parametrize(
    ("order", "value"),
    [(0, 2.0), (1, 7.0), (2, 5.0), (INF, 4.0), (-INF, 0.0), ("fro", 5.0), (3, 4.497941)],
)
def test_norms(lib: Lib, order: Any, value: float) -> None:
    assert lib.tensor([3.0, 0.0, -4.0]).norm(order).item() == pytest.approx(value)


def test_the_norm_that_counts_sends_no_gradient(lib: Lib) -> None:
    x = lib.tensor([3.0, 0.0], requires_grad=True)
    x.norm(0).backward()
    assert x.grad is None


def test_poles_and_overflow_come_without_a_warning(lib: Lib) -> None:
    x = lib.tensor([0.0, 1000.0], requires_grad=True)
    for y in (x.exp(), 1 / x, x.log(), (x - 1) ** 0.5, x / 0, x**-2):
        y.sum().backward()
    assert math.isnan(x.grad[0].item())
    assert math.isnan(lib.tensor([]).mean().item())


def test_products_by_name(lib: Lib) -> None:
    a, v = lib.tensor([[1.0, 2.0], [3.0, 4.0]]), lib.tensor([1.0, 10.0])
    assert lib.mm(a, a).tolist() == a.mm(a).tolist() == [[7.0, 10.0], [15.0, 22.0]]
    assert lib.mv(a, v).tolist() == a.mv(v).tolist() == [21.0, 43.0]
    assert lib.dot(v, v).item() == v.dot(v).item() == 101.0
    assert (
        lib.bmm(a[None], a[None]).tolist()
        == a[None].bmm(a[None]).tolist()
        == [lib.mm(a, a).tolist()]
    )


PROMOTIONS = [
    (lambda lib: lib.ones(2, dtype=lib.int64) + 2.5, "float32"),
    (lambda lib: lib.ones(2) * lib.ones((), dtype=lib.float64), "float32"),
    (lambda lib: lib.ones(2, dtype=lib.int32) + lib.ones((), dtype=lib.int64), "int32"),
    (lambda lib: lib.ones(2, dtype=lib.int64) * lib.ones(2), "float32"),
    (lambda lib: lib.ones(2, dtype=lib.uint8) + lib.ones(2, dtype=lib.int8), "int16"),
    (lambda lib: lib.ones((), dtype=lib.int8) + 2, "int8"),
    (lambda lib: lib.ones(2, dtype=lib.bool) + 1, "int64"),
    (lambda lib: lib.ones(2) + lib.ones(2, dtype=lib.float64), "float64"),
    (lambda lib: lib.ones(2, dtype=lib.float16) * 1e30, "float16"),
    (lambda lib: lib.ones(2, dtype=lib.int64) / lib.ones(2, dtype=lib.int64), "float32"),
    (lambda lib: lib.ones(2, dtype=lib.int64) > 1.5, "bool"),
]


@pytest.mark.parametrize("index", range(len(PROMOTIONS)))
@pytest.mark.filterwarnings("ignore:overflow")
def test_dtypes_of_results(lib: Lib, index: int) -> None:
    function, dtype = PROMOTIONS[index]
    assert str(function(lib).dtype).removeprefix("torch.") == dtype


PRINTS = [
    ([1.0, 2.0], "tensor([1., 2.])"),
    ([0.5, -1.25], "tensor([ 0.5000, -1.2500])"),
    ([1e-10, 1.0], "tensor([1.0000e-10, 1.0000e+00])"),
    ([NAN, 1.0], "tensor([nan, 1.])"),
    ([[1.0, 2.5], [3.0, 4.0]], "tensor([[1.0000, 2.5000],\n        [3.0000, 4.0000]])"),
    ([1, 20], "tensor([ 1, 20])"),
    ([True, False], "tensor([ True, False])"),
    (3.5, "tensor(3.5000)"),
]


@pytest.mark.parametrize(("data", "text"), PRINTS, ids=str)
def test_prints(lib: Lib, data: Any, text: str) -> None:
    assert repr(lib.tensor(data)) == text


def test_prints_say_dtype_and_history(lib: Lib) -> None:
    x = lib.tensor([1.0], dtype=lib.float64, requires_grad=True)
    assert "float64" in repr(x)
    assert "requires_grad=True" in repr(x)
    assert repr(x.float() * 2) == "tensor([2.], grad_fn=<MulBackward0>)"
    assert len(repr(lib.zeros(100, 100))) < 2000


def test_clamping_by_tensors_keeps_integers_and_lets_the_upper_bound_win(lib: Any) -> None:
    x = lib.tensor([1, 5, 9])
    assert x.clamp(min=lib.tensor([2, 2, 2])).tolist() == [2, 5, 9]
    assert x.clamp(max=lib.tensor(4)).dtype == lib.int64
    y = lib.tensor([1.0, 5.0, 9.0], requires_grad=True)
    low, high = (lib.tensor(v, requires_grad=True) for v in ([2.0, 7.0, 3.0], [4.0, 6.0, 8.0]))
    z = y.clamp(min=low, max=high)
    z.sum().backward()
    assert z.tolist() == [2.0, 6.0, 8.0]
    assert y.grad.tolist() == [0.0, 0.0, 0.0]
    assert low.grad.tolist() == [1.0, 0.0, 0.0]
    assert high.grad.tolist() == [0.0, 1.0, 1.0]


def test_the_variance_of_one_value_is_nan_and_warned_of(lib: Lib) -> None:
    for name in ("var", "std"):
        with pytest.warns(UserWarning, match=rf"{name}\(\): degrees of freedom is <= 0"):
            assert math.isnan(getattr(lib.ones(1), name)().item())
    assert lib.tensor([1.0, 3.0]).var().item() == 2.0
    assert lib.tensor([1.0, 3.0]).std(correction=0).item() == 1.0


def test_dtypes_of_new_tensors_and_of_results(lib: Lib) -> None:
    assert (lib.tensor(1.5).dtype, lib.tensor(1).dtype) == (lib.float32, lib.int64)
    assert lib.tensor(np.float64(1.5)).dtype == lib.tensor(np.ones(2)).dtype == lib.float64
    assert lib.from_numpy(np.ones(2)).dtype == lib.float64
    assert lib.Tensor([1]).dtype == lib.tensor([1]).exp().dtype == lib.float32
    assert lib.tensor([1], dtype=lib.int32).sum().dtype == lib.tensor([True]).sum().dtype
    assert lib.tensor([True]).sum().dtype == lib.ones(3).argmax().dtype == lib.int64
    for refused in (lambda: lib.tensor([1, 2]).mean(), lambda: lib.tensor([2]) ** -1):
        with pytest.raises(RuntimeError):
            refused()


def test_floor_division_rounds_down(lib: Lib) -> None:
    for whole in (lib.tensor([7]), lib.tensor([7.0])):
        assert (whole // -2).tolist() == [-4]
        assert (whole % -2).tolist() == [-1]


def test_small_powers_are_products_and_roots(lib: Lib) -> None:
    lib.manual_seed(0)
    x = lib.randn(100)
    assert lib.equal(x**3, x * x * x)
    assert lib.equal(x**-2, 1 / (x * x))
    assert lib.equal(x**-1, 1 / x)
    assert (lib.tensor([-0.0, -math.inf]) ** 0.5).isnan().tolist() == [False, True]
