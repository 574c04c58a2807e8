"""The wider surface: gradients against differences, dtypes, in-place twins, `out=`, and goldens."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import ddp
from ddp.autograd.gradcheck import gradcheck, gradgradcheck
from ddp.autograd.methods import Methods
from ddp.autograd.tensor import Tensor
from tests.autograd.cases import Case, inputs
from tests.autograd.surface_cases import DIFFERENTIABLE


@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=lambda case: case.name)
def test_the_gradient_is_the_one_differences_give(case: Case) -> None:
    tensors = [Tensor(array, requires_grad=True) for array in inputs(case, np.float64)]
    assert gradcheck(lambda *xs: case.function(ddp, *xs), tensors, fast_mode=True)


@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=lambda case: case.name)
def test_float32_goes_in_and_float32_comes_out(case: Case) -> None:
    tensors = [Tensor(array, requires_grad=True) for array in inputs(case, np.float32)]
    answer = case.function(ddp, *tensors)
    total = sum(y.sum() for y in (answer if isinstance(answer, (tuple, list)) else (answer,)))
    assert total.dtype == np.float32
    total.backward()
    for x in tensors:
        assert x.grad is not None
        assert x.grad.dtype == np.float32


UNARY_TWINS = [
    "sin", "cos", "tan", "atan", "sinh", "cosh", "tanh", "sigmoid", "relu", "exp", "log", "log1p",
    "log2", "log10", "expm1", "sqrt", "rsqrt", "erf", "round", "floor", "ceil", "trunc", "frac",
    "sign", "square", "reciprocal", "neg", "abs", "nan_to_num", "tril", "triu", "logical_not",
]  # fmt: skip


@pytest.mark.parametrize("name", UNARY_TWINS)
def test_an_in_place_twin_writes_what_the_operation_gives(name: str) -> None:
    x = Tensor(np.linspace(0.2, 1.9, 6).reshape(2, 3))
    expected, memory, version = getattr(x, name)().to(x.dtype), x.array, x._version
    assert getattr(x, name + "_")() is x
    assert x.array is memory
    assert x._version == version + 1
    np.testing.assert_array_equal(x.array, expected.array)


def test_every_in_place_method_has_an_operation_of_its_name() -> None:
    alone = {"fill_", "zero_", "copy_", "requires_grad_", "fill_diagonal_", "resize_", "t_"}
    sampled = {"uniform_", "normal_", "exponential_", "cauchy_", "geometric_"}
    alone |= sampled | {"random_", "share_memory_"}
    names = [name for name in vars(Methods) if name.endswith("_") and not name.startswith("_")]
    assert [name for name in names if name not in alone and not hasattr(Tensor, name[:-1])] == []


def test_out_is_written_resized_and_returned() -> None:
    x, out = ddp.ones(2, 2), ddp.zeros(2, 2, dtype=ddp.float64)
    memory = out.array
    assert ddp.add(x, 2, out=out) is out
    assert out.array is memory
    assert out.tolist() == [[3.0, 3.0], [3.0, 3.0]]
    empty = ddp.empty(0)
    assert ddp.matmul(x, x, out=empty).tolist() == [[2.0, 2.0], [2.0, 2.0]]
    with pytest.raises(RuntimeError, match="can't be cast"):
        ddp.add(x, 1.5, out=ddp.zeros(2, 2, dtype=ddp.int64))
    with pytest.raises(RuntimeError, match="don't support automatic differentiation"):
        ddp.mul(ddp.ones(2, requires_grad=True), 2, out=empty)


def test_views_are_views() -> None:
    x = ddp.zeros(3, 3)
    x.diagonal().fill_(1)
    x.select(0, 1).add_(2)
    x.unfold(1, 2, 1)[0, 1].mul_(5)
    x.movedim(0, 1)[2, 0] = 7
    assert x.tolist() == [[1.0, 0.0, 7.0], [2.0, 3.0, 2.0], [0.0, 0.0, 1.0]]


def test_einsum_reads_its_equation() -> None:
    a = ddp.arange(6.0).reshape(2, 3)
    b = ddp.arange(12.0).reshape(3, 4)
    assert ddp.einsum("ij,jk->ki", a, b).tolist() == (a @ b).t().tolist()
    assert ddp.einsum("ij -> i", a).tolist() == [3.0, 12.0]
    assert ddp.einsum("i,i", a[0], a[1]).item() == 14.0
    assert ddp.einsum("...j->...", [a]).tolist() == [3.0, 12.0]
    assert ddp.einsum("aA,aA->A", a, a).tolist() == [9.0, 17.0, 29.0]
    with pytest.raises(RuntimeError, match="does not appear in any input"):
        ddp.einsum("ij->z", a)
    with pytest.raises(RuntimeError, match="does not broadcast"):
        ddp.einsum("ij,jk", a, a)


def test_what_is_not_there_says_so() -> None:
    with pytest.raises(AttributeError, match="ddp has no 'compile'"):
        ddp.compile  # noqa: B018
    x = ddp.ones(2)
    with pytest.raises(RuntimeError, match="CPU only"):
        x.cuda()
    with pytest.raises(RuntimeError, match="CPU only, but the device 'cuda:0'"):
        x.to("cuda:0")
    with pytest.raises(RuntimeError, match="CPU only"):
        ddp.zeros(2, device="mps")
    with pytest.raises(NotImplementedError, match="bfloat16"):
        x.bfloat16()
    with pytest.raises(TypeError, match="complex"):
        ddp.tensor([1j])


def test_scripts_that_ask_for_devices_go_on_with_the_cpu() -> None:
    place = ddp.device("cuda" if ddp.cuda.is_available() else "cpu")
    x = ddp.zeros(2, device=place).to(place, non_blocking=True)
    assert x.device == place == ddp.device("cpu")
    assert (str(place), repr(place)) == ("cpu", "device(type='cpu')")
    ddp.cuda.manual_seed_all(1)
    ddp.backends.cudnn.benchmark = True
    assert str(ddp.device("cuda", 1)) == "cuda:1"


def test_a_shape_is_a_tuple_that_can_be_multiplied_out() -> None:
    shape = ddp.zeros(2, 3, 4).shape
    assert shape == (2, 3, 4) == ddp.Size([2, 3, 4])
    assert shape.numel() == 24
    assert shape[1:].numel() == 12
    assert (*shape[:1], 5) == (2, 5)
    assert repr(shape + shape[:1]) == "ddp.Size([2, 3, 4, 2])"


def test_the_default_dtype_is_that_of_python_floats() -> None:
    try:
        ddp.set_default_dtype(ddp.float64)
        assert ddp.tensor(1.5).dtype == ddp.zeros(1).dtype == ddp.rand(1).dtype == ddp.float64
        assert (ddp.tensor([1]) / 2).dtype == (ddp.tensor([1]) + 0.5).dtype == ddp.float64
    finally:
        ddp.set_default_dtype(ddp.float32)
    assert ddp.tensor(1.5).dtype == ddp.float32
    assert ddp.finfo(ddp.float32).min == float(np.finfo(np.float32).min)
    assert ddp.iinfo(ddp.int8).max == 127


def test_equal_elements_keep_their_order_in_a_sort() -> None:
    x = ddp.tensor([2.0, 1.0, 2.0, float("nan"), 1.0])
    assert x.sort().indices.tolist() == [1, 4, 0, 2, 3]
    assert x.sort(descending=True).indices.tolist() == [3, 0, 2, 1, 4]
    assert x[:3].topk(2).indices.tolist() == [0, 2]
    assert x.median().isnan().item()


# A second gradient is refused by name where a formula cannot be recorded; it is never wrong.
WITHOUT_SECOND_GRADIENT = 6


@pytest.mark.slow(reason="one check of second gradients per case")
def test_second_gradients_are_right_or_refused() -> None:
    refused = []
    for case in DIFFERENTIABLE:
        tensors = [Tensor(array, requires_grad=True) for array in inputs(case, np.float64)]
        try:
            assert gradgradcheck(partial(case.function, ddp), tensors, fast_mode=True)
        except NotImplementedError as error:
            assert "create_graph=True is not supported" in str(error)  # noqa: PT017
            refused.append(case.name)
    assert len(refused) <= WITHOUT_SECOND_GRADIENT, refused
