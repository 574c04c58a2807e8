"""Hooks on tensors: their order, what they may answer, when they run."""

from __future__ import annotations

from typing import Any

import pytest

Lib = Any


def leaf(lib: Lib, *values: float) -> Any:
    return lib.tensor(list(values), requires_grad=True)


def test_hooks_run_in_order_each_on_the_result_of_the_one_before(lib: Lib) -> None:
    x = leaf(lib, 1.0)
    seen = []
    x.register_hook(lambda grad: seen.append(grad.tolist()))
    x.register_hook(lambda grad: grad * 10)
    x.register_hook(lambda grad: seen.append(grad.tolist()))
    x.register_hook(lambda grad: grad + 1)
    (x * 2).backward()
    assert seen == [[2.0], [20.0]]
    assert x.grad.tolist() == [21.0]


def test_a_hook_sees_the_sum_once_per_backward(lib: Lib) -> None:
    x = leaf(lib, 3.0)
    seen = []
    x.register_hook(lambda grad: seen.append(grad.tolist()))
    (x * x + x * 4).backward()
    (x * 2).backward()
    assert seen == [[10.0], [2.0]]
    assert x.grad.tolist() == [12.0]


def test_the_starting_gradient_passes_through_the_roots_hooks(lib: Lib) -> None:
    x = leaf(lib, 1.0)
    y = x * 2
    y.register_hook(lambda grad: grad * 5)
    y.backward()
    assert x.grad.tolist() == [10.0]


def test_what_an_inner_hook_returns_flows_on(lib: Lib) -> None:
    x = leaf(lib, 1.0)
    y = x * 2
    handle = y.register_hook(lambda grad: grad * 100)
    (y * 3).backward(retain_graph=True)
    assert x.grad.tolist() == [600.0]
    handle.remove()
    handle.remove()
    x.grad = None
    (y * 3).backward()
    assert x.grad.tolist() == [6.0]


def test_a_handle_is_a_context_manager(lib: Lib) -> None:
    x = leaf(lib, 1.0)
    with x.register_hook(lambda grad: grad * 0) as handle:
        assert isinstance(handle.id, int)
    (x * 2).backward()
    assert x.grad.tolist() == [2.0]


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (lambda lib, grad: 1.0, TypeError, "expected Variable, but hook returned 'float'"),
        (lambda lib, grad: lib.ones(3), RuntimeError, "has changed the size of value"),
        (lambda lib, grad: grad.double(), RuntimeError, "has changed the type of value"),
    ],
)
def test_a_hooks_answer_must_fit(lib: Lib, answer: Any, error: Any, message: str) -> None:
    x = leaf(lib, 1.0)
    x.register_hook(lambda grad: answer(lib, grad))
    with pytest.raises(error, match=message):
        (x * 2).backward()


def test_a_hooks_exception_comes_out_as_it_is(lib: Lib) -> None:
    def raising(grad: Any) -> None:
        raise ZeroDivisionError("mine")

    x = leaf(lib, 1.0)
    x.register_hook(raising)
    with pytest.raises(ZeroDivisionError, match="mine"):
        (x * 2).backward()
    assert lib.is_grad_enabled()


def test_hooks_need_a_tensor_that_requires_gradients(lib: Lib) -> None:
    with pytest.raises(RuntimeError, match="cannot register a hook on a tensor that doesn't requ"):
        lib.ones(1).register_hook(print)
    with pytest.raises(RuntimeError, match="can't retain_grad on Tensor that has requires_grad=Fa"):
        lib.ones(1).retain_grad()


def test_nothing_is_recorded_inside_a_hook(lib: Lib) -> None:
    x = leaf(lib, 1.0)
    seen = []
    x.register_hook(lambda grad: seen.append(((x * 2).requires_grad, grad.requires_grad)))
    (x * 2).backward()
    assert seen == [(False, False)]


def test_a_hook_may_walk_another_graph(lib: Lib) -> None:
    x, w = leaf(lib, 1.0), leaf(lib, 5.0)

    def walk_another(grad: Any) -> Any:
        with lib.enable_grad():
            (w * w).backward()
        return grad + w.grad

    y = x * 2
    y.register_hook(walk_another)
    (y * 3).backward()
    assert w.grad.tolist() == [10.0]
    assert x.grad.tolist() == [26.0]


def test_a_gradient_of_a_sum_is_not_written_to_in_a_hook(lib: Lib) -> None:
    x = leaf(lib, 1.0, 2.0)
    x.register_hook(lambda grad: grad.mul_(2))
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
        x.sum().backward()


@pytest.mark.parametrize("first", [True, False])
def test_a_retained_gradient_is_what_the_hooks_made_of_it(lib: Lib, first: bool) -> None:
    y = leaf(lib, 1.0) * 2
    if first:
        y.retain_grad()
    y.register_hook(lambda grad: grad * 10)
    if not first:
        y.retain_grad()
    assert y.retains_grad
    (y * 3).backward()
    assert y.grad.tolist() == [30.0]


def test_retain_grad_does_nothing_on_a_leaf(lib: Lib) -> None:
    x = leaf(lib, 1.0)
    x.retain_grad()
    assert not x.retains_grad


def test_post_accumulate_hooks_get_the_parameter_with_its_gradient(lib: Lib) -> None:
    x = leaf(lib, 3.0)
    seen = []

    def step(parameter: Any) -> None:
        seen.append((parameter is x, parameter.grad.tolist()))
        parameter.grad = None

    handle = x.register_post_accumulate_grad_hook(step)
    (x * x + x).backward()
    (x * 2).backward()
    handle.remove()
    (x * 5).backward()
    assert seen == [(True, [7.0]), (True, [2.0])]
    assert x.grad.tolist() == [5.0]


def test_post_accumulate_hooks_are_for_leaves_and_return_nothing(lib: Lib) -> None:
    x = leaf(lib, 1.0)
    with pytest.raises(RuntimeError, match="cannot be registered on non-leaf tensors"):
        (x * 2).register_post_accumulate_grad_hook(print)
    x.register_post_accumulate_grad_hook(lambda parameter: 1)
    with pytest.raises(TypeError):
        (x * 2).backward()


def test_the_order_around_a_leaf(lib: Lib) -> None:
    x = leaf(lib, 1.0)
    order = []
    y = x * 2
    accumulate = y.grad_fn.next_functions[0][0]
    accumulate.register_hook(lambda inputs, outputs: order.append(("after", inputs)))
    accumulate.register_prehook(lambda outputs: order.append("before"))
    x.register_post_accumulate_grad_hook(lambda parameter: order.append("accumulated"))
    x.register_hook(lambda grad: order.append("tensor"))
    y.backward()
    assert order == ["tensor", "before", "accumulated", ("after", ())]


def test_the_order_around_a_node(lib: Lib) -> None:
    x = leaf(lib, 2.0)
    y = x * 3
    order = []
    y.grad_fn.register_hook(lambda ins, outs: order.append((ins[0].tolist(), outs[0].tolist())))
    y.grad_fn.register_prehook(lambda outs: (outs[0] * 10,))
    y.register_hook(lambda grad: grad + 1)
    y.retain_grad()
    (y * 1).backward()
    assert order == [([60.0], [20.0])]
    assert y.grad.tolist() == [2.0]
    assert x.grad.tolist() == [60.0]


def test_a_nodes_hook_replaces_the_gradients_of_its_inputs(lib: Lib) -> None:
    x = leaf(lib, 2.0)
    y = x * 3
    handle = y.grad_fn.register_hook(lambda ins, outs: (ins[0] * 7, None))
    y.backward(retain_graph=True)
    handle.remove()
    y.backward()
    assert x.grad.tolist() == [24.0]


def test_everything_around_a_node_and_a_leaf_in_order(lib: Lib) -> None:
    x = leaf(lib, 2.0)
    y = x * 3
    accumulate, order = y.grad_fn.next_functions[0][0], []
    accumulate.register_hook(lambda into, out: order.append("after accumulating"))
    y.grad_fn.register_hook(lambda into, out: order.append("after the node"))
    y.grad_fn.register_prehook(lambda out: order.append("before the node"))
    accumulate.register_prehook(lambda out: order.append("before accumulating"))
    x.register_post_accumulate_grad_hook(lambda leaf: order.append("accumulated"))
    y.register_hook(lambda grad: order.append("y, first"))
    x.register_hook(lambda grad: order.append("x"))
    y.register_hook(lambda grad: order.append("y, second"))
    y.backward()
    assert order == [
        "y, first", "y, second", "before the node", "after the node",
        "x", "before accumulating", "accumulated", "after accumulating",
    ]  # fmt: skip


def test_handles_are_of_one_class_that_programs_know(lib: Lib) -> None:
    handle = lib.utils.hooks.RemovableHandle
    assert isinstance(leaf(lib, 1.0).register_hook(print), handle)
    assert isinstance(lib.nn.Linear(1, 1).register_forward_hook(print), handle)
