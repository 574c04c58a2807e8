"""Every operation's gradient against differences, in float64, and its dtypes in float32."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import ddp
from ddp.autograd.gradcheck import GradcheckError, gradcheck
from ddp.autograd.ops.elementwise import exp
from ddp.autograd.tensor import Tensor
from tests.autograd.cases import BINARY, CASES, Case, inputs


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_gradient_is_the_one_differences_give(case: Case) -> None:
    tensors = [Tensor(array, requires_grad=True) for array in inputs(case, np.float64)]
    assert gradcheck(lambda *xs: case.function(ddp, *xs), tensors)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_float32_goes_in_and_float32_comes_out(case: Case) -> None:
    tensors = [Tensor(array, requires_grad=True) for array in inputs(case, np.float32)]
    answer = case.function(ddp, *tensors)
    total = sum(y.sum() for y in (answer if isinstance(answer, tuple) else (answer,)))
    assert total.dtype == np.float32
    total.backward()
    for x in tensors:
        assert x.grad is not None
        assert x.grad.dtype == np.float32
        assert x.grad.shape == x.shape


@pytest.mark.parametrize(
    "case", [case for case in CASES if len(case.shapes) == 2], ids=lambda case: case.name
)
@pytest.mark.parametrize("frozen", [0, 1])
def test_a_frozen_operand_changes_nothing_for_the_other(case: Case, frozen: int) -> None:
    def gradient_of_the_other(freeze: bool) -> np.ndarray:
        tensors = [Tensor(array, requires_grad=True) for array in inputs(case, np.float64)]
        tensors[frozen].requires_grad = not freeze
        case.function(ddp, *tensors).sum().backward()
        assert (tensors[frozen].grad is None) == freeze
        return tensors[1 - frozen].grad.array

    np.testing.assert_array_equal(gradient_of_the_other(True), gradient_of_the_other(False))


PLAIN_BINARY = [case for case in CASES if case.name in dict(BINARY)]


@pytest.mark.parametrize("case", PLAIN_BINARY, ids=lambda case: case.name)
@pytest.mark.parametrize("frozen", [0, 1])
def test_no_work_is_done_for_a_frozen_operand(case: Case, frozen: int) -> None:
    tensors = [Tensor(array, requires_grad=True) for array in inputs(case, np.float64)]
    tensors[frozen].requires_grad = False
    node = case.function(ddp, *tensors).grad_fn
    gradients = node.backward(np.ones((3, 4)))
    assert [gradient is None for gradient in gradients] == [frozen == 0, frozen == 1]


def test_a_wrong_gradient_is_noticed_in_full_and_in_one_direction() -> None:
    class Wrong(ddp.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * x

        @staticmethod
        def backward(ctx, dy):
            return dy * 3

    x = Tensor(np.array([0.4, 2.0]), requires_grad=True)
    for fast_mode in (False, True):
        with pytest.raises(GradcheckError, match="ismatch"):
            gradcheck(Wrong.apply, x, fast_mode=fast_mode)
    assert not gradcheck(Wrong.apply, x, raise_exception=False)


def test_the_check_in_one_direction_accepts_a_right_gradient() -> None:
    x = Tensor(np.linspace(0.1, 2.0, 5), requires_grad=True)
    assert gradcheck(lambda x: (exp(x), x * x), x, fast_mode=True)


def test_the_check_refuses_inputs_that_need_no_gradient_and_warns_about_float32() -> None:
    with pytest.raises(ValueError, match="at least one input tensor to require gradient"):
        gradcheck(exp, Tensor(np.ones(2)))
    with pytest.warns(UserWarning, match="double precision"):
        gradcheck(exp, Tensor(np.ones(2, np.float32), requires_grad=True), raise_exception=False)


def test_a_mismatch_names_output_and_input_and_shows_both(lib: Any) -> None:
    class Wrong(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * x

        @staticmethod
        def backward(ctx, dy):
            return dy * 3

    x = lib.tensor([0.4, 2.0], dtype=lib.float64, requires_grad=True)
    words = r"(?s)Jacobian mismatch for output 0 with respect to input 0,\nnumerical:.*analytical:"
    with pytest.raises(RuntimeError, match=words) as raised:
        lib.autograd.gradcheck(Wrong.apply, x)
    assert type(raised.value).__name__ == "GradcheckError"
    with pytest.raises(ValueError, match="gradcheck expects at least one input tensor to require"):
        lib.autograd.gradcheck(lambda x: x, lib.ones(1, dtype=lib.float64))


def test_the_check_takes_pytorchs_arguments(lib: Any) -> None:
    arguments = inspect.signature(lib.autograd.gradcheck).parameters.values()
    assert {a.name: a.default for a in arguments if a.default is not a.empty} == {
        "eps": 1e-6, "atol": 1e-5, "rtol": 1e-3, "raise_exception": True, "nondet_tol": 0.0,
        "check_undefined_grad": True, "check_grad_dtypes": False, "check_batched_grad": False,
        "check_batched_forward_grad": False, "check_forward_ad": False, "check_backward_ad": True,
        "fast_mode": False, "masked": None,
    }  # fmt: skip
