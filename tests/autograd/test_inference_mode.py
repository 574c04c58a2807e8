"""`inference_mode`: results that can never take part in a recorded computation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

Lib = Any


def leaf(lib: Lib, *values: float) -> Any:
    return lib.tensor(list(values), requires_grad=True)


def inferred(lib: Lib) -> Any:
    x = leaf(lib, 1.0, 2.0)
    with lib.autograd.inference_mode():
        return x * 2


def test_results_are_inference_tensors_without_gradient_or_version(lib: Lib) -> None:
    y = inferred(lib)
    assert y.is_inference()
    assert not y.requires_grad
    with pytest.raises(RuntimeError, match="Inference tensors do not track version counter"):
        _ = y._version
    assert not leaf(lib, 1.0).is_inference()


def test_views_are_what_their_base_is(lib: Lib) -> None:
    x = leaf(lib, 1.0, 2.0)
    with lib.autograd.inference_mode():
        assert not x.view(-1).is_inference()
        assert (x * 2).view(-1).is_inference()
        assert all(part.is_inference() for part in (x * 2).split(1))
    assert inferred(lib).detach().is_inference()
    assert inferred(lib)[0].is_inference()


def test_outside_they_are_not_written_to(lib: Lib) -> None:
    with pytest.raises(RuntimeError, match="Inplace update to inference tensor outside Inference"):
        inferred(lib).add_(1)
    y = inferred(lib)
    with lib.autograd.inference_mode():
        y.add_(1)
    assert y.tolist() == [3.0, 5.0]


def test_they_cannot_be_saved_for_backward_but_may_be_added(lib: Lib) -> None:
    x, y = leaf(lib, 1.0, 1.0), inferred(lib)
    with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward"):
        y * x
    (x + y).sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_they_cannot_be_made_to_require_gradients_outside(lib: Lib) -> None:
    y = inferred(lib)
    with pytest.raises(RuntimeError, match="Setting requires_grad=True on inference tensor"):
        y.requires_grad_()
    y.requires_grad_(False)
    with lib.autograd.inference_mode():
        assert y.requires_grad_().requires_grad


def test_what_is_computed_from_them_outside_is_ordinary(lib: Lib) -> None:
    y, x = inferred(lib), leaf(lib, 3.0, 3.0)
    assert not (y * 2).is_inference()
    (y.clone() * x).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_it_is_a_decorator_and_can_be_switched_off_inside(lib: Lib) -> None:
    x = leaf(lib, 1.0)

    @lib.autograd.inference_mode()
    def doubled() -> Any:
        assert not lib.is_grad_enabled()
        return x * 2

    @lib.autograd.inference_mode
    def plainly() -> Any:
        return x * 2

    assert doubled().is_inference()
    assert plainly().is_inference()
    with lib.autograd.inference_mode():
        with lib.autograd.inference_mode(False):
            y = x * 2
            assert (y.requires_grad, y.is_inference()) == (True, False)
        assert (x * 2).is_inference()
    assert (x * 2).requires_grad


def test_enable_grad_inside_records_nothing(lib: Lib) -> None:
    x = leaf(lib, 1.0)
    with lib.autograd.inference_mode(), lib.enable_grad():
        assert x * 2 is not None
    assert (x * 2).requires_grad


FACTORIES = [
    lambda lib: lib.ones(2),
    lambda lib: lib.tensor([1.0]),
    lambda lib: lib.Tensor([1.0]),
    lambda lib: lib.from_numpy(np.ones(2)),
    lambda lib: lib.as_tensor(np.ones(2)),
    lambda lib: lib.rand(2),
    lambda lib: lib.randperm(2),
    lambda lib: lib.arange(2),
    lambda lib: lib.zeros_like(lib.ones(1)),
    lambda lib: lib.ones(1).new_full((2,), 1.0),
    lambda lib: lib.ones(1).clone(),
    lambda lib: lib.ones(2)[0],
    lambda lib: lib.nn.Parameter(lib.ones(1)),
    lambda lib: lib.nn.Linear(1, 1).weight,
]


@pytest.mark.parametrize("index", range(len(FACTORIES)))
def test_what_is_made_inside_is_an_inference_tensor(lib: Lib, index: int) -> None:
    make = FACTORIES[index]
    assert not make(lib).is_inference()
    with lib.inference_mode():
        assert make(lib).is_inference()


def test_one_may_be_made_to_require_gradients_inside(lib: Lib) -> None:
    with lib.inference_mode():
        x = lib.ones(2, requires_grad=True)
    assert (x.is_inference(), x.requires_grad) == (True, True)
