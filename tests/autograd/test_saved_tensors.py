"""What nodes saved: as attributes, and through the hands of hooks."""

from __future__ import annotations

from typing import Any

import pytest

import ddp
from ddp.autograd.node import Node

Lib = Any


def leaf(lib: Lib, *values: float) -> Any:
    return lib.tensor(list(values), requires_grad=True)


def test_saved_values_are_attributes_of_the_node(lib: Lib) -> None:
    x, w = leaf(lib, 2.0), leaf(lib, 3.0)
    y = x * w
    assert y.grad_fn._saved_self is x
    assert y.grad_fn._saved_other is w
    assert (x**3).grad_fn._saved_exponent == 3
    assert (x * 2).grad_fn._saved_self is None
    with pytest.raises(AttributeError):
        _ = y.grad_fn._saved_result


def test_a_saved_result_is_another_object_at_the_same_place(lib: Lib) -> None:
    y = leaf(lib, 0.0).exp()
    saved = y.grad_fn._saved_result
    assert saved is not y
    assert saved.tolist() == [1.0]
    assert saved.grad_fn is y.grad_fn


def test_a_saved_value_is_gone_after_backward(lib: Lib) -> None:
    y = leaf(lib, 0.0).exp()
    y.backward()
    with pytest.raises(RuntimeError, match="directly access saved tensors after they have already"):
        _ = y.grad_fn._saved_result


def test_hooks_pack_what_is_saved_and_unpack_it_once_per_use(lib: Lib) -> None:
    packed, unpacked = [], []

    def pack(tensor: Any) -> int:
        packed.append(tensor.detach().clone())
        return len(packed) - 1

    def unpack(number: int) -> Any:
        unpacked.append(number)
        return packed[number]

    x, w = leaf(lib, 2.0), leaf(lib, 3.0)
    with lib.autograd.graph.saved_tensors_hooks(pack, unpack):
        y = x * w
        z = y.exp()
    assert sorted(t.item() for t in packed) == [2.0, 3.0, z.item()]
    assert unpacked == []
    z.sum().backward()
    assert sorted(unpacked) == [0, 1, 2]
    assert x.grad.item() == pytest.approx(3 * z.item())
    assert w.grad.item() == pytest.approx(2 * z.item())


def test_hooks_that_change_values_change_gradients(lib: Lib) -> None:
    x = leaf(lib, 2.0)
    with lib.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t * 10):
        y = x * x
    y.backward()
    assert x.grad.tolist() == [40.0]


def test_only_the_innermost_hooks_are_used_and_only_inside_the_block(lib: Lib) -> None:
    seen = []
    graph = lib.autograd.graph
    with graph.saved_tensors_hooks(lambda t: seen.append("outer") or t, lambda t: t):
        with graph.saved_tensors_hooks(lambda t: seen.append("inner") or t, lambda t: t):
            leaf(lib, 1.0).exp()
        leaf(lib, 1.0).exp()
    leaf(lib, 1.0).exp()
    assert seen == ["inner", "outer"]


def test_hooks_reach_functions(lib: Lib) -> None:
    class Cube(lib.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx: Any, dy: Any) -> Any:
            (x,) = ctx.saved_tensors
            return 3 * x * x * dy

    x = leaf(lib, 2.0)
    with lib.autograd.graph.saved_tensors_hooks(lambda t: t.detach() * 10, lambda t: t):
        y = Cube.apply(x)
    assert y.tolist() == [8.0]
    y.backward()
    assert x.grad.tolist() == [1200.0]


def test_gradients_of_gradients_go_through_unpacked_values(lib: Lib) -> None:
    x = leaf(lib, 2.0)
    with lib.autograd.graph.saved_tensors_hooks(lambda t: t.detach().clone(), lambda t: t):
        y = x * x * x
    (dx,) = lib.autograd.grad(y, x, create_graph=True)
    assert dx.tolist() == [12.0]


def test_the_second_order_keeps_its_place_through_hooks() -> None:
    x = leaf(ddp, 2.0)
    with ddp.autograd.graph.saved_tensors_hooks(lambda t: t.array.copy(), ddp.from_numpy):
        y = x * x * x
    (dx,) = ddp.autograd.grad(y, x, create_graph=True)
    assert ddp.autograd.grad(dx, x)[0].tolist() == [12.0]


def test_an_unpack_hook_must_return_a_tensor(lib: Lib) -> None:
    with lib.autograd.graph.saved_tensors_hooks(lambda t: 3, lambda t: t):
        y = leaf(lib, 1.0).exp()
    with pytest.raises(TypeError, match="unpack_hook expected to be a Tensor but got result of ty"):
        y.backward()


def test_a_pack_hook_must_not_write_to_what_it_gets(lib: Lib) -> None:
    with (
        pytest.raises(RuntimeError, match="pack hook is modifying its input in place"),
        lib.autograd.graph.saved_tensors_hooks(lambda t: t.mul_(2), lambda t: t),
    ):
        leaf(lib, 1.0).exp()


def test_saved_on_cpu_is_a_copy_that_later_writes_do_not_reach(lib: Lib) -> None:
    x = leaf(lib, 2.0)
    with lib.autograd.graph.save_on_cpu():
        y = x * 3
        z = y * y
    z.backward()
    assert x.grad.tolist() == [36.0]


def test_hooks_can_be_forbidden(lib: Lib) -> None:
    graph = lib.autograd.graph
    with (
        graph.disable_saved_tensors_hooks("not in here"),
        pytest.raises(RuntimeError, match="not in here"),
        graph.saved_tensors_hooks(lambda t: t, lambda t: t),
    ):
        pass
    with graph.saved_tensors_hooks(lambda t: t, lambda t: t):
        pass


def test_what_is_kept_is_listed_under_pytorchs_names(lib: Lib) -> None:
    names = dir((leaf(lib, 2.0) ** 3).grad_fn)
    assert {"_saved_self", "_saved_exponent"} <= set(names)


def test_attributes_of_nodes_are_plain_ones() -> None:
    """A `__getattr__` on a class of nodes would cost a tenth of every backward pass."""
    classes = [Node]
    for node_class in classes:
        classes += node_class.__subclasses__()
        assert not hasattr(node_class, "__getattr__")
