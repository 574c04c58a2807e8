"""The recorded graph as one can look at it, and what it costs to keep and to free."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import ddp
from ddp.autograd.node import AccumulateGrad, Node
from ddp.autograd.tensor import Tensor

Lib = Any


def leaf(lib: Lib, *values: float) -> Any:
    return lib.tensor(list(values), requires_grad=True)


def test_edges_lead_to_the_inputs_in_order(lib: Lib) -> None:
    x, w = leaf(lib, 1.0), leaf(lib, 2.0)
    y = (x * w) - lib.ones(1)
    assert y.grad_fn.name() == "SubBackward0"
    (product, output_nr), constant = y.grad_fn.next_functions
    assert (product.name(), output_nr, constant) == ("MulBackward0", 0, (None, 0))
    for (node, _), tensor in zip(product.next_functions, (x, w), strict=True):
        assert node.variable is tensor
    assert product.next_functions[0][0].name() == "torch::autograd::AccumulateGrad"
    assert y.grad_fn._sequence_nr() > product._sequence_nr()
    assert y.grad_fn.metadata == {}


def test_the_accumulating_node_of_a_leaf_is_one(lib: Lib) -> None:
    x = leaf(lib, 1.0)
    a, b = x * 2, x + 1
    assert a.grad_fn.next_functions[0][0] is b.grad_fn.next_functions[0][0]


def test_outputs_of_one_node_are_numbered(lib: Lib) -> None:
    first, second = leaf(lib, 1.0, 2.0).split(1)
    assert (first.output_nr, second.output_nr) == (0, 1)
    assert first.grad_fn is second.grad_fn


def test_a_node_prints_as_an_object_of_its_name() -> None:
    assert "AddBackward0 object at 0x" in repr((leaf(ddp, 1.0) + 1).grad_fn)


def test_a_graph_dies_with_its_last_tensor_without_the_garbage_collector() -> None:
    gc.disable()
    try:
        y = (leaf(ddp, 1.0).exp() * 3).sum()
        node = weakref.ref(y.grad_fn)
        y.retain_grad()
        y.register_hook(lambda grad: None)
        y.backward()
        del y
        assert node() is None
    finally:
        gc.enable()


def test_a_function_that_saves_its_output_makes_no_cycle() -> None:
    class Exp(ddp.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(x, y)
            return y

    gc.disable()
    try:
        y = Exp.apply(leaf(ddp, 1.0) * 2)
        node = weakref.ref(y.grad_fn)
        del y
        assert node() is None
    finally:
        gc.enable()


def test_saved_arrays_are_freed_as_the_walk_passes() -> None:
    x = leaf(ddp, 1.0)
    middle = x.exp()
    saved = weakref.ref(middle.array)
    y = middle * 1
    alive = []
    x.register_hook(lambda grad: alive.append(saved() is not None))
    del middle
    y.backward()
    assert alive == [False]


def test_a_frozen_operand_is_not_kept_and_not_differentiated() -> None:
    weight = Tensor(np.ones((4, 4), np.float32))
    x = Tensor(np.ones((4, 4), np.float32), requires_grad=True)
    assert [s is weight.array for s in (x @ weight).grad_fn.saved] == [True, False]
    assert (x @ weight).grad_fn.saved[1] is None
    weight.requires_grad, x.requires_grad = True, False
    activation = x @ weight
    assert activation.grad_fn.saved[0] is None
    assert activation.grad_fn.backward(np.ones((4, 4), np.float32))[0] is None


def test_deep_graphs_are_walked_and_freed_without_recursion() -> None:
    x = leaf(ddp, 1.0)
    y = x
    for _ in range(100_000):
        y = y + 1
    y.backward()
    assert x.grad.tolist() == [1.0]
    y = x
    for _ in range(100_000):
        y = y * 1.0
    del y


def in_place(y: Any) -> Any:
    return y.mul_(1.0)


def through_a_view(y: Any) -> Any:
    y[0:1].add_(1)
    return y


class Same(ddp.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * 1

    @staticmethod
    def backward(ctx, dy):
        return dy * 1


def by_a_function(y: Any) -> Any:
    return Same.apply(y)


def with_hooks(y: Any) -> Any:
    y = y + 1
    y.register_hook(lambda grad: None)
    return y


@pytest.mark.exhaustive
@pytest.mark.parametrize("step", [in_place, through_a_view, by_a_function, with_hooks])
def test_deep_graphs_of_any_kind_are_walked_and_freed_without_a_leak(step: Any) -> None:
    def nodes() -> int:
        return sum(issubclass(type(thing), Node) for thing in gc.get_objects())

    gc.collect()
    before = nodes()
    x = leaf(ddp, 1.0)
    for walked in (True, False):
        y = x * 1
        for _ in range(100_000):
            y = step(y)
        if walked:
            y.backward()
            assert x.grad.tolist() == [1.0]
            x.grad = None
        del y
        assert nodes() <= before + 1


def test_wide_graphs_sum_what_arrives() -> None:
    x = leaf(ddp, 1.0)
    total = ddp.stack([x * float(i) for i in range(1000)]).sum()
    total.backward()
    assert x.grad.tolist() == [499500.0]


def test_a_diamond_runs_each_node_once() -> None:
    x = leaf(ddp, 1.0)
    y, runs = x, []
    for _ in range(20):
        y = y + y
        y.register_hook(lambda grad: runs.append(1))
    y.backward()
    assert len(runs) == 20
    assert x.grad.tolist() == [2.0**20]


def test_the_first_gradient_is_written_into_the_grad_buffer() -> None:
    x = leaf(ddp, 1.0, 2.0)
    flat = np.full(5, 7.0, np.float32)
    x.grad_buffer = flat[1:3]
    (x * 3).sum().backward()
    assert flat.tolist() == [7.0, 3.0, 3.0, 7.0, 7.0]
    assert np.shares_memory(x.grad.array, flat)
    (x * 2).sum().backward()
    assert flat.tolist() == [7.0, 5.0, 5.0, 7.0, 7.0]
    x.grad = None
    (x * 4).sum().backward()
    assert flat.tolist() == [7.0, 4.0, 4.0, 7.0, 7.0]


def test_a_leafs_node_lives_while_a_graph_needs_it() -> None:
    x = leaf(ddp, 1.0)
    y = x * 2
    node = y.grad_fn.next_functions[0][0]
    assert isinstance(node, AccumulateGrad)
    reference = weakref.ref(node)
    del y, node
    assert reference() is None


def test_threads_walk_their_own_graphs_in_the_same_order() -> None:
    def run(_: int) -> list[str]:
        order: list[str] = []
        layers = [leaf(ddp, 1.0 + i) for i in range(5)]
        for i, layer in enumerate(layers):
            layer.register_post_accumulate_grad_hook(lambda p, i=i: order.append(f"{i} {p.grad}"))
        for _ in range(20):
            y = ddp.ones(1)
            for layer in layers:
                y = (y * layer + layer).tanh()
            y.backward()
        return order

    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(run, range(4))
    assert others == [first] * 3
