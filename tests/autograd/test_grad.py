"""`autograd.grad`: gradients as values."""

from __future__ import annotations

from typing import Any

import pytest

Lib = Any


def leaf(lib: Lib, *values: float) -> Any:
    return lib.tensor(list(values), requires_grad=True)


def test_gradients_are_returned_and_leaves_left_alone(lib: Lib) -> None:
    x, w = leaf(lib, 2.0), leaf(lib, 5.0)
    called = []
    x.register_post_accumulate_grad_hook(called.append)
    dx, dw = lib.autograd.grad(x * w, [x, w])
    assert (dx.tolist(), dw.tolist()) == ([5.0], [2.0])
    assert x.grad is None
    assert called == []


def test_gradients_of_inner_tensors_are_found(lib: Lib) -> None:
    x = leaf(lib, 2.0)
    y = x * 3
    z = y * y
    dy, dx = lib.autograd.grad(z, (y, x))
    assert (dy.tolist(), dx.tolist()) == ([12.0], [36.0])


def test_the_requested_tensors_hooks_run(lib: Lib) -> None:
    x = leaf(lib, 2.0)
    x.register_hook(lambda grad: grad * 10)
    y = x * 3
    y.register_hook(lambda grad: grad + 1)
    y.retain_grad()
    z = y * 2
    (dx,) = lib.autograd.grad(z, x, retain_graph=True)
    assert y.grad.tolist() == [3.0]
    (dy,) = lib.autograd.grad(z, y)
    assert (dx.tolist(), dy.tolist()) == ([90.0], [3.0])


def test_several_outputs_are_summed_with_their_weights(lib: Lib) -> None:
    x = leaf(lib, 2.0, 3.0)
    (dx,) = lib.autograd.grad([x * 2, (x * x).sum()], x, [lib.ones(2), lib.tensor(10.0)])
    assert dx.tolist() == [42.0, 62.0]


def test_an_unused_input_is_an_error_or_none_or_zeros(lib: Lib) -> None:
    x, unused = leaf(lib, 2.0), leaf(lib, 1.0, 1.0)
    with pytest.raises(RuntimeError, match="appears to not have been used in the graph"):
        lib.autograd.grad(x * 2, [x, unused])
    assert lib.autograd.grad(x * 2, [x, unused], allow_unused=True)[1] is None
    zeros = lib.autograd.grad(x * 2, unused, materialize_grads=True)[0]
    assert zeros.tolist() == [0.0, 0.0]


def test_an_input_must_require_gradients(lib: Lib) -> None:
    with pytest.raises(RuntimeError, match="does not require grad"):
        lib.autograd.grad(leaf(lib, 1.0) * 2, lib.ones(1))


def test_the_graph_is_freed_unless_retained(lib: Lib) -> None:
    x = leaf(lib, 2.0)
    y = x * x
    lib.autograd.grad(y, x, retain_graph=True)
    lib.autograd.grad(y, x)
    with pytest.raises(RuntimeError, match="a second time"):
        lib.autograd.grad(y, x)


def test_only_the_way_to_the_inputs_is_walked(lib: Lib) -> None:
    x, w = leaf(lib, 2.0), leaf(lib, 3.0)
    aside, walked = w * 2, []
    aside.register_hook(lambda grad: walked.append("aside"))
    (dx,) = lib.autograd.grad(x * 5 + aside, x)
    assert dx.tolist() == [5.0]
    assert walked == []


def test_the_gradient_of_an_output_by_itself_is_the_seed(lib: Lib) -> None:
    y = leaf(lib, 2.0) * 3
    assert lib.autograd.grad(y, y)[0].tolist() == [1.0]
    x = lib.tensor(2.0, requires_grad=True)
    assert lib.autograd.grad(x, x)[0].item() == 1.0


def test_arguments_that_programs_still_give_are_taken(lib: Lib) -> None:
    x = leaf(lib, 2.0)
    (dx,) = lib.autograd.grad(x * x, x, None, True, False, True, True)
    assert dx.tolist() == [4.0]
    with pytest.warns(FutureWarning, match="only_inputs argument is deprecated and is ignored"):
        lib.autograd.grad(outputs=x * x, inputs=x, only_inputs=False)
