"""Operations at their edges: bools, empty and 0-d operands, `out=`, and arguments that are wrong.

What the first runs of PyTorch's own samples found; those samples are run in `tests/oracle`.
"""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Lib = Any
NAN, INF = math.nan, math.inf


def same(tensor: Any, expected: Any, dtype: str) -> None:
    """The values and the dtype of a tensor."""
    assert str(tensor.dtype).removeprefix("torch.") == dtype
    np.testing.assert_allclose(np.asarray(tensor.tolist()), expected, rtol=1e-6)


VALUES: list[tuple[str, Callable[[Lib], Any], Any, str]] = [
    (
        "clamp_min keeps bools",
        lambda lib: lib.clamp_min(lib.tensor([True, False]), lib.tensor(False)),
        [True, False],
        "bool",
    ),
    (
        "addr keeps bools",
        lambda lib: lib.addr(
            lib.tensor([[False]]), lib.tensor([True]), lib.tensor([True]), beta=True, alpha=True
        ),
        [[True]],
        "bool",
    ),
    (
        "diff of bools says where they change",
        lambda lib: lib.tensor([True, False, False]).diff(),
        [True, False],
        "bool",
    ),
    (
        "prod in another dtype",
        lambda lib: lib.tensor([2, 3]).prod(dtype=lib.float64),
        6.0,
        "float64",
    ),
    (
        "cumsum_ takes a dtype",
        lambda lib: lib.tensor([1.5, 2.0]).cumsum_(0, dtype=lib.float32),
        [1.5, 3.5],
        "float32",
    ),
    ("cumsum_ of a 0-d tensor", lambda lib: lib.tensor(2.0).cumsum_(0), 2.0, "float32"),
    (
        "div_ rounds",
        lambda lib: lib.tensor([7, -7]).div_(2, rounding_mode="trunc"),
        [3, -3],
        "int64",
    ),
    (
        "squeeze_ takes several axes",
        lambda lib: lib.zeros(1, 2, 1).squeeze_((0, 2)),
        [0, 0],
        "float32",
    ),
    ("transpose_ of a 0-d tensor", lambda lib: lib.tensor(3.0).transpose_(0, 0), 3.0, "float32"),
    (
        "tensor_split by a tensor",
        lambda lib: lib.arange(5).tensor_split(lib.tensor(2))[1],
        [3, 4],
        "int64",
    ),
    (
        "tensordot stretches axes of length 1",
        lambda lib: lib.tensordot(lib.ones(2, 1), lib.ones(3, 2), dims=([1], [0])),
        [[3, 3], [3, 3]],
        "float32",
    ),
    (
        "take_along_dim counts from the end",
        lambda lib: lib.take_along_dim(lib.arange(5), lib.tensor([-1, 0]), 0),
        [4, 0],
        "int64",
    ),
    (
        "scatter multiplies",
        lambda lib: lib.ones(3).scatter(0, lib.tensor([0, 0]), 2.0, reduce="multiply"),
        [4, 1, 1],
        "float32",
    ),
    (
        "matrix_power by squares",
        lambda lib: lib.linalg.matrix_power(lib.tensor([[1.0, 1.0], [0.0, 1.0]]), 5),
        [[1, 5], [0, 1]],
        "float32",
    ),
    (
        "multi_dot of vectors and matrices",
        lambda lib: lib.linalg.multi_dot(
            [lib.ones(2), lib.ones(2, 3), lib.ones(3, 4), lib.ones(4)]
        ),
        24.0,
        "float32",
    ),
    ("norm of singular values", lambda lib: lib.eye(3).norm("nuc"), 3.0, "float32"),
    (
        "operands by name",
        lambda lib: lib.add(input=lib.tensor([1.0]), other=2),
        [3.0],
        "float32",
    ),
]


@pytest.mark.parametrize("case", VALUES, ids=lambda case: case[0])
def test_the_value_at_an_edge(lib: Lib, case: Any) -> None:
    _, operation, expected, dtype = case
    same(operation(lib), expected, dtype)


def test_the_first_operand_may_be_named(lib: Lib) -> None:
    same(lib.exp(input=lib.zeros(2)), [1.0, 1.0], "float32")


GRADIENTS: list[tuple[str, Callable[[Lib, Any], Any], list[float], list[float]]] = [
    ("abs at NaN", lambda lib, x: x.abs(), [NAN, -2.0], [0.0, -1.0]),
    ("relu at NaN", lambda lib, x: x.relu(), [NAN, -2.0, 3.0], [1.0, 0.0, 1.0]),
    (
        "quantile by its place",
        lambda lib, q: lib.quantile(lib.tensor([0.0, 1.0, 4.0]), q),
        [0.25, 0.75],
        [2.0, 6.0],
    ),
    (
        "products of what is scattered, one of them 0",
        lambda lib, x: lib.full((2,), 3.0).scatter_reduce(0, lib.tensor([0, 0, 1]), x, "prod"),
        [0.0, 2.0, 5.0],
        [6.0, 0.0, 3.0],
    ),
    (
        "products of what is scattered, without what was there",
        lambda lib, x: lib.full((2,), 3.0).scatter_reduce(
            0, lib.tensor([0, 0, 1]), x, "prod", include_self=False
        ),
        [4.0, 2.0, 5.0],
        [2.0, 4.0, 1.0],
    ),
    (
        "products into what is scattered to",
        lambda lib, x: x.scatter_reduce(0, lib.tensor([0, 0]), lib.tensor([2.0, 5.0]), "prod"),
        [0.0, 7.0],
        [10.0, 1.0],
    ),
    ("a draw", lambda lib, x: lib.normal(x, 0.0), [1.0, 2.0], [0.0, 0.0]),
    ("a coin", lambda lib, x: lib.bernoulli(x), [1.0, 0.0], [0.0, 0.0]),
    (
        "what is joined to nothing",
        lambda lib, x: lib.cat([lib.ones(1, 2), x[:0], x[None]]),
        [1.0, 2.0],
        [1.0, 1.0],
    ),
    (
        "a tensor modulo a tensor",
        lambda lib, x: lib.tensor([7.0, -7.0]).__mod__(x),
        [2.0, 2.0],
        [-3.0, 4.0],
    ),
    (
        "a bound that holds",
        lambda lib, x: lib.clamp_max(lib.tensor([0.0, 3.0]), x),
        [1.0, 1.0],
        [0.0, 1.0],
    ),
]


@pytest.mark.parametrize("case", GRADIENTS, ids=lambda case: case[0])
def test_the_gradient_at_an_edge(lib: Lib, case: Any) -> None:
    _, operation, values, expected = case
    x = lib.tensor(values, requires_grad=True)
    operation(lib, x).sum().backward()
    np.testing.assert_allclose(x.grad.tolist(), expected, rtol=1e-6)


def test_the_gradient_through_eigenvectors_is_symmetric(lib: Lib) -> None:
    x = lib.tensor([[2.0, 0.5, 0.1], [0.5, 1.0, 0.2], [0.1, 0.2, 3.0]], requires_grad=True)
    (lib.linalg.eigh(x).eigenvectors.abs() * lib.arange(9.0).reshape(3, 3)).sum().backward()
    np.testing.assert_allclose(x.grad.tolist(), x.grad.mT.tolist(), atol=1e-6)


WRONG: list[tuple[str, Callable[[Lib], Any], type[Exception], str]] = [
    ("a number alone", lambda lib: lib.sin(1), TypeError, "must be Tensor, not int"),
    ("two numbers", lambda lib: lib.pow(2, 3), TypeError, "invalid combination of arguments"),
    ("a number for values", lambda lib: lib.heaviside(lib.ones(1), 1), TypeError, "not int"),
    ("nothing to join", lambda lib: lib.cat([]), ValueError, "non-empty"),
    ("nothing to stack", lambda lib: lib.stack([]), RuntimeError, "stack expects a non-empty"),
    ("a tensor for tensors", lambda lib: lib.cat(lib.ones(2, 2)), TypeError, "tuple of Tensors"),
    ("a number among tensors", lambda lib: lib.cat([lib.ones(1), 3]), TypeError, "element 1"),
    (
        "a tolerance below 0",
        lambda lib: lib.isclose(lib.ones(1), lib.ones(1), rtol=-1.0),
        RuntimeError,
        "rtol must be greater than or equal to zero",
    ),
    (
        "an axis twice",
        lambda lib: lib.ones(2).amax((0, -1)),
        RuntimeError,
        "appears multiple times",
    ),
    (
        "an axis moved twice",
        lambda lib: lib.ones(2, 2).movedim((0, 1), (0, 0)),
        RuntimeError,
        "repeat",
    ),
    ("one diagonal axis", lambda lib: lib.ones(2, 2).diagonal(0, 1, 1), RuntimeError, "identical"),
    ("a plane of one axis", lambda lib: lib.ones(2, 2).rot90(1, (1, 1)), RuntimeError, "different"),
    ("a vector turned over", lambda lib: lib.ones(2).fliplr(), RuntimeError, "2-d"),
    ("uneven parts", lambda lib: lib.ones(5).hsplit(2), RuntimeError, "not divisible"),
    ("differences of order -1", lambda lib: lib.ones(2).diff(-1), RuntimeError, "non-negative"),
    (
        "a filling of many",
        lambda lib: lib.ones(2).masked_fill(lib.ones(2) > 0, lib.ones(2)),
        RuntimeError,
        "0-dim",
    ),
    (
        "a mask of numbers",
        lambda lib: lib.ones(2).masked_scatter(lib.ones(2), lib.ones(2)),
        RuntimeError,
        "boolean masks",
    ),
    (
        "a start of 0.5",
        lambda lib: lib.ones(2).narrow(0, lib.tensor(0.5), 1),
        RuntimeError,
        "0-dim integral",
    ),
    (
        "norms of a vector's rows",
        lambda lib: lib.tensor(1.0).renorm(1, 0, 1),
        RuntimeError,
        "at least 2 dim",
    ),
    ("a negative size", lambda lib: lib.eye(-1), RuntimeError, "greater or equal to 0"),
    ("a range without end", lambda lib: lib.arange(0, INF), RuntimeError, "unsupported range"),
    (
        "an index of other rank",
        lambda lib: lib.ones(2, 2).scatter(0, lib.tensor([0]), 1.0),
        RuntimeError,
        "same number of dimensions",
    ),
    (
        "a weight of many axes",
        lambda lib: lib.nn.functional.prelu(lib.ones(2), lib.ones(1, 1)),
        RuntimeError,
        "scalar or 1D",
    ),
]


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case[0])
def test_a_wrong_argument_is_refused(lib: Lib, case: Any) -> None:
    _, operation, error, words = case
    with pytest.raises(error, match=words):
        operation(lib)


DTYPES: list[tuple[str, Callable[[Lib], Any], Any, str]] = [
    (
        "a running sum of bytes",
        lambda lib: lib.tensor(200, dtype=lib.uint8).cumsum(0),
        200,
        "int64",
    ),
    ("all of bytes", lambda lib: lib.ones(2, dtype=lib.uint8).all(), 1, "uint8"),
    (
        "products of whole numbers",
        lambda lib: lib.addbmm(
            *[lib.ones(s, dtype=lib.int32) for s in ((1, 1), (2, 1, 1), (2, 1, 1))]
        ),
        [[3]],
        "int32",
    ),
    (
        "a product scaled by half",
        lambda lib: lib.addcmul(*[lib.tensor([3])] * 3, value=1.5),
        [12],
        "int64",
    ),
    (
        "an integral of bytes",
        lambda lib: lib.trapz(lib.full((3,), 100, dtype=lib.uint8)),
        200.0,
        "float32",
    ),
    (
        "a norm of halves",
        lambda lib: lib.full((2,), 300.0, dtype=lib.float16).norm(1),
        600.0,
        "float16",
    ),
    (
        "a long norm of halves",
        lambda lib: (lib.tensor([3, 4], dtype=lib.float16) * 100).norm(),
        500.0,
        "float16",
    ),
    (
        "halves whose squares overflow",
        lambda lib: lib.nn.functional.rms_norm(lib.full((2,), 300.0, dtype=lib.float16), (2,)),
        [1.0, 1.0],
        "float16",
    ),
    (
        "whole numbers all dropped",
        lambda lib: lib.nn.functional.dropout(lib.tensor([3]), 1.0),
        [0],
        "int64",
    ),
    (
        "bools added at indices",
        lambda lib: lib.zeros(2, dtype=lib.bool).index_add(
            0, lib.tensor([1]), lib.tensor([True]), alpha=1
        ),
        [False, True],
        "bool",
    ),
]


@pytest.mark.parametrize("case", DTYPES, ids=lambda case: case[0])
def test_the_dtype_is_that_of_pytorch(lib: Lib, case: Any) -> None:
    _, operation, expected, dtype = case
    same(operation(lib), expected, dtype)


NO_KERNEL: list[tuple[str, Callable[[Lib], Any]]] = [
    ("the size of bools", lambda lib: lib.tensor([True]).abs()),
    ("a power of bools", lambda lib: lib.tensor([True]) ** lib.tensor([True])),
    ("a quotient of bools", lambda lib: lib.tensor([True]) // lib.tensor([True])),
    ("a remainder of bools", lambda lib: lib.tensor([True]) % lib.tensor([True])),
    ("bools rounded", lambda lib: lib.tensor([True]).round()),
    ("the median of bools", lambda lib: lib.tensor([True]).median()),
    ("the best of bools", lambda lib: lib.tensor([True]).topk(1)),
    ("the place of the largest bool", lambda lib: lib.tensor([True]).argmax()),
    ("a norm of whole numbers", lambda lib: lib.tensor([3]).norm()),
    ("a quantile of whole numbers", lambda lib: lib.tensor([3]).quantile(0.5)),
    ("the inverse of whole numbers", lambda lib: lib.linalg.inv(lib.eye(2, dtype=lib.int64))),
    ("the factors of halves", lambda lib: lib.linalg.qr(lib.eye(2, dtype=lib.float16))),
    ("a mean of whole numbers but NaN", lambda lib: lib.nanmean(lib.tensor([3]))),
    ("a hypotenuse of whole numbers", lambda lib: lib.hypot(lib.tensor([3]), lib.tensor([4]))),
    (
        "whole numbers scaled by a float",
        lambda lib: lib.addr(lib.ones(1, 1, dtype=lib.int64), *[lib.tensor([2])] * 2, alpha=2.0),
    ),
    (
        "channels of whole numbers dropped",
        lambda lib: lib.nn.functional.dropout2d(lib.ones(1, 2, 1, 1, dtype=lib.int64)),
    ),
    ("whole numbers blended", lambda lib: lib.lerp(lib.tensor([3]), lib.tensor([4]), 0.5)),
    (
        "an index from behind",
        lambda lib: lib.ones(2, 2).index_add(0, lib.tensor([-1]), lib.ones(1, 2)),
    ),
]


@pytest.mark.parametrize("case", NO_KERNEL, ids=lambda case: case[0])
def test_what_pytorch_has_no_kernel_for_is_refused(lib: Lib, case: Any) -> None:
    with pytest.raises(RuntimeError):
        case[1](lib)


def test_a_tensor_becomes_a_view_of_itself(lib: Lib) -> None:
    x = lib.arange(6.0).reshape(2, 3).requires_grad_()
    y = x * 2
    row = y[0]
    y.t_().unsqueeze_(0)
    assert tuple(y.shape) == (1, 3, 2)
    row.mul_(10)
    assert y.tolist() == [[[0, 6], [20, 8], [40, 10]]]
    (y * lib.arange(6.0).reshape(1, 3, 2)).sum().backward()
    np.testing.assert_allclose(x.grad.tolist(), [[0, 40, 80], [2, 6, 10]])


def test_a_view_becomes_a_view_in_place(lib: Lib) -> None:
    x = lib.ones(2, 3, requires_grad=True)
    y = x * 1
    column = y[:, 0]
    with lib.no_grad():
        column.unsqueeze_(1)
    (column * lib.tensor([[2.0], [5.0]])).sum().backward()
    assert x.grad.tolist() == [[2, 0, 0], [5, 0, 0]]


def test_a_leaf_does_not_become_a_view(lib: Lib) -> None:
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        lib.ones(2, requires_grad=True).unsqueeze_(0)


def test_a_freed_layer_says_what_was_not_used(lib: Lib) -> None:
    x = lib.ones(3, requires_grad=True)
    aside = x.clamp(min=0)
    y = lib.nn.functional.linear(x, lib.ones(1, 3, requires_grad=True), lib.ones(1))
    (y * y).sum().backward()
    with pytest.raises(RuntimeError, match="not have been used in the graph"):
        lib.autograd.grad(y.mean(), [aside])


def test_out_of_several_results(lib: Lib) -> None:
    values, indices = lib.empty(2), lib.empty(2, dtype=lib.int64)
    told = lib.sort(lib.tensor([2.0, 1.0]), out=(values, indices))
    same(values, [1.0, 2.0], "float32")
    same(indices, [1, 0], "int64")
    assert told.values is values or told.values.tolist() == values.tolist()


@pytest.mark.parametrize("name", ["gather", "index_select"])
def test_what_is_gathered_is_not_written_over_its_source(lib: Lib, name: str) -> None:
    x = lib.arange(3.0)
    with pytest.raises(RuntimeError, match="refer to a single memory location"):
        getattr(lib, name)(x, 0, lib.tensor([0, 1, 2]), out=x)


def test_out_has_the_dtype_of_what_is_gathered(lib: Lib) -> None:
    with pytest.raises(RuntimeError, match="Expected out tensor to have dtype"):
        lib.gather(lib.ones(1), 0, lib.tensor([0]), out=lib.ones(1, dtype=lib.float64))


def test_out_that_repeats_an_element_is_refused(lib: Lib) -> None:
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
        lib.add(lib.ones(2), 1, out=lib.zeros(1).expand(2))


def test_infinities_meet_without_a_warning_even_where_warnings_are_errors() -> None:
    script = (
        "import ddp\n"
        "x = ddp.tensor([float('inf'), -float('inf'), 3e38])\n"
        "x.sum(), x.prod(), x.cumsum(0), x + x.flip(0), x * 0, x - x, x @ x.flip(0), x.long()\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=60)
