"""New tensors, their dtypes, indexing, and the errors of shapes that do not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ddp
from ddp.autograd.tensor import Tensor

Lib = Any


def test_numbers_decide_the_dtype(lib: Lib) -> None:
    assert lib.tensor(1.5).dtype == lib.float32
    assert lib.tensor([1, 2]).dtype == lib.int64
    assert lib.tensor([True]).dtype == lib.bool
    assert lib.tensor([]).dtype == lib.float32
    assert lib.tensor(np.ones(2)).dtype == lib.float64
    assert lib.from_numpy(np.ones(2)).dtype == lib.float64
    assert lib.Tensor([1]).dtype == lib.float32
    assert lib.tensor([1, 2], dtype=lib.float64).dtype == lib.float64


def test_tensor_copies_and_from_numpy_shares(lib: Lib) -> None:
    array = np.zeros(2, np.float32)
    copied, shared = lib.tensor(array), lib.from_numpy(array)
    array[0] = 5
    assert copied.tolist() == [0.0, 0.0]
    assert shared.tolist() == [5.0, 0.0]
    assert lib.as_tensor(array).tolist() == [5.0, 0.0]
    with pytest.raises(TypeError, match=r"expected np\.ndarray"):
        lib.from_numpy([1.0])


def test_filled_tensors(lib: Lib) -> None:
    assert lib.zeros(2, 3).shape == lib.zeros((2, 3)).shape == (2, 3)
    assert lib.ones(2, dtype=lib.int64).tolist() == [1, 1]
    assert lib.full((2,), 7).dtype == lib.int64
    assert lib.full((2,), 7.0).dtype == lib.float32
    assert lib.empty(2, 0).numel() == 0
    assert lib.eye(2, 3).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    assert lib.arange(4).tolist() == [0, 1, 2, 3]
    assert lib.arange(1, 2, 0.5).tolist() == [1.0, 1.5]
    assert lib.arange(3.0).dtype == lib.float32
    assert lib.linspace(0, 1, 3).tolist() == [0.0, 0.5, 1.0]
    x = lib.ones(2, dtype=lib.float64)
    assert lib.zeros_like(x).dtype == lib.float64
    assert lib.ones_like(x, dtype=lib.int64).tolist() == [1, 1]
    assert lib.full_like(x, 3).tolist() == [3.0, 3.0]
    assert lib.empty_like(x, requires_grad=True).requires_grad


def test_a_tensor_over_an_array_shares_its_memory() -> None:
    array = np.zeros(2, np.float32)
    assert Tensor(array).array is array
    assert Tensor([1, 2]).dtype == np.float32


def test_the_size_of_a_tensor(lib: Lib) -> None:
    x = lib.zeros(2, 3)
    assert (x.dim(), x.ndim, x.numel(), x.size(1), tuple(x.size())) == (2, 2, 6, 3, (2, 3))
    assert (x.element_size(), x.itemsize, x.nbytes) == (4, 4, 24)
    assert x.stride() == (3, 1)
    assert x.t().stride(0) == 1
    assert x.is_contiguous()
    assert not x.t().is_contiguous()
    assert x.t().contiguous().is_contiguous()
    assert x.contiguous() is x
    assert x[0].data_ptr() == x.data_ptr()
    assert x.is_floating_point()


def test_conversions(lib: Lib) -> None:
    x = lib.tensor([1.7, -1.7, 0.0])
    assert x.long().tolist() == [1, -1, 0]
    assert x.int().dtype == lib.int32
    assert x.bool().tolist() == [True, True, False]
    assert x.double().dtype == x.to(lib.float64).dtype == lib.float64
    assert x.half().dtype == lib.float16
    assert x.float() is x
    assert x.to("cpu") is x.cpu() is x
    assert x.to(lib.tensor(1, dtype=lib.int64)).dtype == lib.int64
    y = lib.tensor([2.0], requires_grad=True)
    y.double().backward()
    assert y.grad.dtype == lib.float32


def test_integer_results(lib: Lib) -> None:
    x = lib.tensor([[1, 2], [3, 4]], dtype=lib.int32)
    assert x.sum().dtype == x.prod().dtype == x.cumsum(0).dtype == lib.int64
    assert x.argmax().dtype == lib.int64
    assert (x / 2).dtype == x.exp().dtype == lib.float32
    assert (lib.tensor([7]) // -2).tolist() == [-4]
    assert (7 // lib.tensor([-2])).tolist() == [-4]
    assert (lib.tensor([-7]) % 4).tolist() == [1]
    with pytest.raises(RuntimeError, match="mean"):
        x.mean()
    with pytest.raises(RuntimeError, match="negative integer powers are not allowed"):
        x**-1


def test_masks(lib: Lib) -> None:
    x = lib.tensor([1.0, 2.0, float("nan"), float("inf")])
    assert (~x.isnan() & (x > 1)).tolist() == [False, True, False, True]
    assert (x.isinf() | x.isnan()).tolist() == [False, False, True, True]
    assert (x.isfinite() ^ (x < 2)).tolist() == [False, True, False, False]
    assert bool((x[:2] >= 1).all())
    assert not bool((x[:2] <= 0).any())
    assert (x == None).__class__ is bool or not bool((x == 1.5).any())  # noqa: E711


def test_extrema_and_their_places(lib: Lib) -> None:
    x = lib.tensor([[1.0, 5.0, 5.0], [4.0, 2.0, 0.0]])
    values, indices = x.max(1)
    assert (values.tolist(), indices.tolist()) == ([5.0, 4.0], [1, 0])
    assert x.min(0, keepdim=True).indices.tolist() == [[0, 1, 1]]
    assert (x.argmax().item(), x.argmin(1).tolist()) == (1, [0, 2])
    assert x.argmax(1, keepdim=True).tolist() == [[1], [0]]
    assert x.max(lib.tensor(3.0)).tolist() == [[3.0, 5.0, 5.0], [4.0, 3.0, 3.0]]


def test_indices_are_views_or_copies(lib: Lib) -> None:
    x = lib.zeros(3, 3)
    x[1].fill_(1)
    x[..., 0].add_(5)
    x[2, 2].fill_(9)
    x[[0]].fill_(77)
    assert x.tolist() == [[5.0, 0.0, 0.0], [6.0, 1.0, 1.0], [5.0, 0.0, 9.0]]


def test_indices_write(lib: Lib) -> None:
    x = lib.zeros(2, 3)
    x[0] = 1
    x[:, 1] = lib.tensor([2.0, 3.0])
    x[x > 2] = -1
    x[lib.tensor([0, 1]), lib.tensor([2, 2])] = lib.tensor([7.0, 8.0])
    assert x.tolist() == [[1.0, 2.0, 7.0], [0.0, -1.0, 8.0]]


def test_slices_go_forward_only(lib: Lib) -> None:
    with pytest.raises(ValueError, match="step must be greater than zero"):
        lib.arange(3)[::-1]


@pytest.mark.parametrize(
    ("attempt", "error"),
    [
        (lambda lib: lib.ones(2, 3) @ lib.ones(2, 3), RuntimeError),
        (lambda lib: lib.ones(2) @ lib.tensor(1.0), RuntimeError),
        (lambda lib: lib.ones(2, 2) @ lib.ones((2, 2), dtype=lib.float64), RuntimeError),
        (lambda lib: lib.mm(lib.ones(2), lib.ones(2, 2)), RuntimeError),
        (lambda lib: lib.mv(lib.ones(2), lib.ones(2)), RuntimeError),
        (lambda lib: lib.ones(2, 3).reshape(4), RuntimeError),
        (lambda lib: lib.ones(2, 3).expand(4, 3), RuntimeError),
        (lambda lib: lib.ones(2, 3).permute(0, 0), RuntimeError),
        (lambda lib: lib.ones(2, 3, 4).t(), RuntimeError),
        (lambda lib: lib.ones(2, 3).repeat(2), RuntimeError),
        (lambda lib: lib.ones(2, 3).split([1, 2]), RuntimeError),
        (lambda lib: lib.ones(2, 3).sum(2), IndexError),
        (lambda lib: lib.cat([]), (RuntimeError, ValueError)),
        (lambda lib: lib.ones(2) + "a", TypeError),
        (lambda lib: lib.ones(2).clamp(), RuntimeError),
        (lambda lib: lib.ones(2, 3) + lib.ones(4), RuntimeError),
        (lambda lib: lib.ones(2, 3)[5], IndexError),
        (lambda lib: lib.cat([lib.ones(2), lib.ones(2, 2)]), RuntimeError),
        (lambda lib: lib.ones(2, 3).transpose(0, 2), IndexError),
        (lambda lib: lib.ones(2).unsqueeze(3), IndexError),
        (lambda lib: lib.ones(2, 3).flatten(1, 0), RuntimeError),
    ],
)
def test_what_does_not_fit_is_refused(lib: Lib, attempt: Any, error: Any) -> None:
    with pytest.raises(error):
        attempt(lib)


def test_a_0_d_tensor_formats_as_a_number(lib: Lib) -> None:
    assert f"{lib.tensor(1.23456):.2f}" == "1.23"
    assert f"{lib.tensor([1.0])}" == "tensor([1.])"


def test_numpy_arrays_are_operands() -> None:
    x = ddp.tensor([1.0, 2.0], requires_grad=True)
    y = np.float32(2) * x + np.array([1.0, 1.0], np.float32)
    z = np.array([1.0, 1.0], np.float32) - y
    z.sum().backward()
    assert z.tolist() == [-2.0, -4.0]
    assert z.dtype == np.float32
    assert x.grad.tolist() == [-2.0, -2.0]
    assert np.asarray(x.detach()).tolist() == [1.0, 2.0]


def test_importing_the_package_brings_no_transport() -> None:
    import subprocess
    import sys

    code = "import ddp, sys; print([m for m in ('mpi4py', 'zmq', 'msgpack') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_old_constructor_takes_data_or_sizes(lib: Lib) -> None:
    assert lib.Tensor(2, 3).shape == (2, 3)
    assert lib.Tensor(3).shape == (3,)
    assert lib.Tensor().shape == (0,)
    assert lib.Tensor(lib.ones(2, 3).size()).shape == (2, 3)
    assert lib.Tensor((2, 3)).tolist() == lib.Tensor([2, 3]).tolist() == [2.0, 3.0]
    x = lib.ones(2)
    lib.Tensor(x).zero_()
    assert x.tolist() == [0.0, 0.0]
    assert lib.nn.Parameter(lib.Tensor(2, 3)).shape == (2, 3)
    with pytest.raises(TypeError):
        lib.Tensor(2, 3.5)


def test_a_dtype_that_is_absent_may_be_named_and_compared_with(lib: Lib) -> None:
    assert lib.ones(1).dtype != lib.bfloat16
    assert lib.bfloat16 not in {lib.float32: "single"}
    assert str(lib.bfloat16).endswith(".bfloat16")


def test_a_dtype_that_is_absent_cannot_be_used() -> None:
    uses = (
        lambda: ddp.zeros(2, dtype=ddp.bfloat16),
        lambda: ddp.ones(2).to(ddp.bfloat16),
        lambda: ddp.tensor([1.0], dtype=ddp.bfloat16),
        lambda: ddp.nn.Linear(1, 1).to(dtype=ddp.bfloat16),
        lambda: ddp.set_default_dtype(ddp.bfloat16),
    )
    for use in uses:
        with pytest.raises(NotImplementedError, match=r"^ddp has no bfloat16: .*float32"):
            use()


def test_variables_of_old_programs_are_tensors(lib: Lib) -> None:
    variable, x = lib.autograd.Variable, lib.ones(2)
    y = variable(x, requires_grad=True)
    assert isinstance(x, variable)
    assert (type(y) is lib.Tensor, y.requires_grad, x.requires_grad) == (True, True, False)
    (y * 3).sum().backward()
    assert y.grad.tolist() == [3.0, 3.0]
    variable(x).add_(1)
    assert y.tolist() == [2.0, 2.0]
    assert variable(y * 2).is_leaf
    with pytest.raises(TypeError, match="Variable data has to be a tensor, but got list"):
        variable([1.0])
    with pytest.warns(UserWarning, match="volatile was removed and now has no effect"):
        variable(x, volatile=True)
