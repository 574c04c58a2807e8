"""Anomaly detection: which line of the forward pass a failing gradient comes from."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import ddp
from ddp.autograd.ops.elementwise import SqrtBackward0

Lib = Any


def leaf(lib: Lib, *values: float) -> Any:
    return lib.tensor(list(values), requires_grad=True)


def root_of(x: Any) -> Any:
    return x.sqrt()


def failing(lib: Lib, y: Any) -> list[str]:
    """The warnings of a backward pass from `y` that meets NaN."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(RuntimeError, match="'SqrtBackward0' returned nan values in its 0th"):
            y.backward()
    return [str(warning.message) for warning in caught]


def test_enabling_it_warns(lib: Lib) -> None:
    with (
        pytest.warns(UserWarning, match="Anomaly Detection has been enabled"),
        lib.autograd.detect_anomaly(),
    ):
        pass


def test_a_nan_is_traced_to_its_line_of_the_forward_pass(lib: Lib) -> None:
    with lib.autograd.set_detect_anomaly(True):
        y = root_of(leaf(lib, -1.0))
        assert "return x.sqrt()" in y.grad_fn.metadata["traceback_"][-1]
        (message,) = failing(lib, y)
    assert "Error detected in SqrtBackward0. Traceback of forward call that caused" in message
    assert "return x.sqrt()" in message


def test_without_a_trace_of_the_forward_pass_it_says_so(lib: Lib) -> None:
    y = root_of(leaf(lib, -1.0))
    with lib.autograd.set_detect_anomaly(True):
        (message,) = failing(lib, y)
    assert "No forward pass information available" in message


def test_nan_may_be_left_unchecked(lib: Lib) -> None:
    x = leaf(lib, -1.0)
    with lib.autograd.set_detect_anomaly(True, check_nan=False):
        root_of(x).backward()
    assert x.grad.isnan().all()


def test_any_failure_is_traced(lib: Lib) -> None:
    with lib.autograd.set_detect_anomaly(True):
        y = leaf(lib, 2.0) + 1
        z = y * y
        y.add_(1)
        with (
            pytest.warns(UserWarning, match=r"(?s)Error detected in MulBackward0.*z = y \* y"),
            pytest.raises(RuntimeError, match="Good luck!"),
        ):
            z.backward()


def test_a_user_written_function_is_traced_too(lib: Lib) -> None:
    class Broken(lib.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, dy: Any) -> Any:
            return dy * float("nan")

    with lib.autograd.set_detect_anomaly(True):
        y = Broken.apply(leaf(lib, 1.0))
        with (
            pytest.warns(UserWarning, match=r"(?s)Error detected in BrokenBackward.*Broken.apply"),
            pytest.raises(RuntimeError, match="'BrokenBackward' returned nan values in its 0th"),
        ):
            y.backward()


def test_it_is_off_after_the_block_and_may_be_turned_on_and_off(lib: Lib) -> None:
    with lib.autograd.set_detect_anomaly(True), lib.autograd.set_detect_anomaly(False):
        assert root_of(leaf(lib, -1.0)).grad_fn.metadata == {}
    root_of(leaf(lib, -1.0)).backward()
    lib.autograd.set_detect_anomaly(True)
    failing(lib, root_of(leaf(lib, -1.0)))
    lib.autograd.set_detect_anomaly(False)
    root_of(leaf(lib, -1.0)).backward()


def test_what_was_turned_off_costs_nothing_any_more() -> None:
    for name in (True, False):
        ddp.autograd.set_detect_anomaly(name)
    assert type(root_of(leaf(ddp, 1.0)).grad_fn) is SqrtBackward0


def test_modes_inside_keep_it_and_restore_it(lib: Lib) -> None:
    with lib.autograd.set_detect_anomaly(True):
        with lib.no_grad():
            assert not (leaf(lib, 1.0) * 2).requires_grad
            with lib.enable_grad():
                assert "traceback_" in root_of(leaf(lib, 1.0)).grad_fn.metadata
        assert "traceback_" in root_of(leaf(lib, 1.0)).grad_fn.metadata
    assert "traceback_" not in root_of(leaf(lib, 1.0)).grad_fn.metadata


def test_gradients_of_gradients_are_checked_too(lib: Lib) -> None:
    x = leaf(lib, 0.0)
    with lib.autograd.set_detect_anomaly(True):
        (dx,) = lib.autograd.grad(x**2.5, x, create_graph=True)
        (ddx,) = lib.autograd.grad(dx, x, create_graph=True)
        assert ddx.tolist() == [0.0]
        with (
            pytest.warns(UserWarning, match="Error detected in"),
            pytest.raises(RuntimeError, match="returned nan values"),
        ):
            lib.autograd.grad(root_of(ddx * 0), x)
