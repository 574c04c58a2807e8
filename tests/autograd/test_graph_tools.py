"""`autograd.graph` beside the saved tensors: hooks on several tensors, edges as values."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

import ddp

Lib = Any


def leaf(lib: Lib, *values: float) -> Any:
    return lib.tensor(list(values), requires_grad=True)


def plain(gradients: Any) -> Any:
    return [None if gradient is None else gradient.tolist() for gradient in gradients]


def test_one_hook_gets_the_gradients_of_several_tensors_once_per_pass(lib: Lib) -> None:
    x, w, calls = leaf(lib, 2.0), leaf(lib, 3.0), []
    y = x * w
    hook = lib.autograd.graph.register_multi_grad_hook
    handle = hook([x, y, w], lambda gradients: calls.append(plain(gradients)))
    z = y * 5
    z.backward(retain_graph=True)
    assert calls == [[[15.0], [5.0], [10.0]]]
    z.backward(retain_graph=True)
    assert len(calls) == 2
    handle.remove()
    z.backward()
    assert len(calls) == 2


def test_it_gets_none_for_what_the_pass_does_not_reach(lib: Lib) -> None:
    x, aside, calls = leaf(lib, 2.0), leaf(lib, 3.0), []
    hook = lib.autograd.graph.register_multi_grad_hook
    with hook([aside, x], lambda gradients: calls.append(plain(gradients))):
        (x * 2).backward()
    assert calls == [[None, [2.0]]]
    (x * 2).backward()
    assert len(calls) == 1


def test_in_mode_any_it_is_called_with_the_first_gradient(lib: Lib) -> None:
    x, calls = leaf(lib, 2.0), []
    y = x * 3
    hook = lib.autograd.graph.register_multi_grad_hook
    hook([x, y], lambda gradient: calls.append(gradient.tolist()), mode="any")
    (y * 5).backward(retain_graph=True)
    assert calls == [[5.0]]


def test_another_mode_is_refused(lib: Lib) -> None:
    with pytest.raises(ValueError, match="Expects mode to be one of"):
        lib.autograd.graph.register_multi_grad_hook([leaf(lib, 1.0)], print, mode="some")


def test_it_counts_what_grad_reaches(lib: Lib) -> None:
    x, w, calls = leaf(lib, 2.0), leaf(lib, 3.0), []
    y = x * w
    hook = lib.autograd.graph.register_multi_grad_hook
    hook([y, w], lambda gradients: calls.append(plain(gradients)))
    lib.autograd.grad(y * 5, x)
    assert calls == [[[5.0], None]]


def test_an_edge_is_a_node_and_an_output(lib: Lib) -> None:
    x = leaf(lib, 1.0, 2.0)
    parts = x.split(1)
    edge = lib.autograd.graph.get_gradient_edge(parts[1])
    assert (edge.node, edge.output_nr) == (parts[1].grad_fn, 1)
    assert lib.autograd.graph.get_gradient_edge(x).node.variable is x
    with pytest.raises(RuntimeError, match="not possible to get the gradient edge"):
        lib.autograd.graph.get_gradient_edge(lib.ones(1))


def test_memory_written_to_behind_the_engines_back_can_be_said_so(lib: Lib) -> None:
    x = leaf(lib, 2.0)
    y = x * 3
    z = y * y
    lib.autograd.graph.increment_version(y)
    assert y._version == 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.backward()


def test_a_gradient_in_the_middle_is_taken_before_hooks_on_the_way_and_after_them_at_the_end(
    lib: Lib,
) -> None:
    x = leaf(lib, 1.0)
    y = x * 2
    y.register_hook(lambda gradient: gradient * 10)
    z = y * 3
    dy, dx = lib.autograd.grad(z, [y, x], retain_graph=True)
    assert (dy.tolist(), dx.tolist()) == ([3.0], [60.0])
    assert lib.autograd.grad(z, [y], retain_graph=True)[0].tolist() == [30.0]
    y.grad_fn.register_prehook(lambda gradients: (gradients[0] * 7,))
    assert lib.autograd.grad(z, [y], retain_graph=True)[0].tolist() == [30.0]


def test_the_node_of_a_requested_tensor_is_not_run_for_its_own_sake(lib: Lib) -> None:
    x = leaf(lib, 2.0)
    y = x * x
    lib.autograd.grad(y * 3, y)
    y.backward()
    assert x.grad.tolist() == [4.0]


def test_a_hook_must_answer_with_as_many_gradients_as_it_got(lib: Lib) -> None:
    y = leaf(lib, 2.0) * leaf(lib, 3.0)
    y.grad_fn.register_hook(lambda into, out: (into[0],))
    with pytest.raises(RuntimeError, match="returned an incorrect number of values"):
        y.backward()


def test_a_recorded_gradient_leaves_no_cycle_behind() -> None:
    x = leaf(ddp, 2.0)
    (dx,) = ddp.autograd.grad((x.exp() * x).sum(), x, create_graph=True)
    gone = weakref.ref(dx)
    gc.disable()
    try:
        del dx
        assert gone() is None
    finally:
        gc.enable()


def test_a_long_graph_is_differentiated_twice_without_recursion() -> None:
    x = ddp.tensor(1.0, dtype=ddp.float64, requires_grad=True)
    y = x
    for _ in range(5_000):
        y = y * x
    (dx,) = ddp.autograd.grad(y, x, create_graph=True)
    (ddx,) = ddp.autograd.grad(dx, x)
    assert (dx.item(), ddx.item()) == (5_001.0, 5_001.0 * 5_000.0)
