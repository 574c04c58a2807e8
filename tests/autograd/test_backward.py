"""`backward`: roots, starting gradients, accumulation, freed graphs, chosen inputs."""

from __future__ import annotations

from typing import Any

import pytest

Lib = Any


def leaf(lib: Lib, *values: float) -> Any:
    return lib.tensor(list(values), requires_grad=True)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_a_root_of_one_element_starts_from_one(lib: Lib, shape: tuple[int, ...]) -> None:
    x = leaf(lib, 1.0, 2.0)
    (x * 3).sum().reshape(shape).backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_a_larger_root_needs_a_starting_gradient(lib: Lib) -> None:
    y = leaf(lib, 1.0, 2.0) * 2
    for arguments in ((), (None,)):
        with pytest.raises(RuntimeError, match="grad can be implicitly created only for scalar"):
            y.backward(*arguments)


def test_the_starting_gradient_has_the_roots_shape(lib: Lib) -> None:
    y = leaf(lib, 1.0, 2.0, 3.0) * 2
    with pytest.raises(RuntimeError, match=r"Mismatch in shape: grad_output\[0\] has a shape of"):
        y.backward(lib.ones(2))
    with pytest.raises(RuntimeError, match="Mismatch in shape"):
        y.backward(lib.tensor(1.0))


def test_the_starting_gradient_is_a_tensor(lib: Lib) -> None:
    with pytest.raises(TypeError, match="float"):
        (leaf(lib, 1.0) * 2).backward(1.0)


def test_a_starting_gradient_of_another_dtype_is_cast(lib: Lib) -> None:
    x = leaf(lib, 1.0, 2.0)
    (x * 2).backward(lib.ones(2, dtype=lib.float64))
    assert x.grad.dtype == lib.float32
    assert x.grad.tolist() == [2.0, 2.0]


def test_a_root_without_a_graph_is_refused(lib: Lib) -> None:
    with pytest.raises(RuntimeError, match="element 0 of tensors does not require grad and does"):
        lib.ones(1).backward()


def test_backward_from_a_leaf_sets_its_gradient(lib: Lib) -> None:
    x = lib.tensor(5.0, requires_grad=True)
    x.backward()
    assert x.grad.item() == 1.0


def test_the_starting_gradient_is_copied(lib: Lib) -> None:
    x = leaf(lib, 1.0, 2.0)
    seed = lib.ones(2)
    x.backward(seed)
    seed.mul_(7)
    assert x.grad.tolist() == [1.0, 1.0]


def test_gradients_accumulate_in_the_same_object(lib: Lib) -> None:
    x = leaf(lib, 1.0, 2.0)
    (x * 2).sum().backward()
    first = x.grad
    (x * 3).sum().backward()
    assert x.grad is first
    assert first.tolist() == [5.0, 5.0]


def test_backward_works_inside_no_grad(lib: Lib) -> None:
    x = leaf(lib, 1.0)
    y = (x * 2).sum()
    with lib.no_grad():
        y.backward()
    assert x.grad.tolist() == [2.0]


def test_a_second_backward_needs_the_saved_tensors(lib: Lib) -> None:
    x = leaf(lib, 3.0)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.backward()


def test_a_second_backward_is_fine_where_nothing_was_saved(lib: Lib) -> None:
    x = leaf(lib, 3.0)
    y = (x + x).sum()
    y.backward()
    y.backward()
    assert x.grad.tolist() == [4.0]


def test_a_retained_graph_can_be_walked_again(lib: Lib) -> None:
    x = leaf(lib, 3.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [12.0]


def test_backward_can_be_limited_to_inputs(lib: Lib) -> None:
    x, w = leaf(lib, 2.0), leaf(lib, 5.0)
    y = x * w
    (y * 3).backward(inputs=[w, y])
    assert w.grad.tolist() == [6.0]
    assert y.grad.tolist() == [3.0]
    assert x.grad is None


def test_backward_to_no_inputs_is_refused(lib: Lib) -> None:
    with pytest.raises(RuntimeError, match="`inputs` argument to `backward\\(\\)` cannot be empty"):
        (leaf(lib, 1.0) * 2).backward(inputs=[])


def test_each_leaf_gets_a_gradient_of_its_own_dtype(lib: Lib) -> None:
    x = leaf(lib, 1.0, 2.0)
    w = lib.tensor([3.0, 4.0], dtype=lib.float64, requires_grad=True)
    y = x * w
    assert y.dtype == lib.float64
    y.sum().backward()
    assert (x.grad.dtype, w.grad.dtype) == (lib.float32, lib.float64)
    assert (x.grad.tolist(), w.grad.tolist()) == ([3.0, 4.0], [1.0, 2.0])


def test_a_gradient_has_its_leafs_memory_layout(lib: Lib) -> None:
    x = lib.ones((3, 4), requires_grad=True)
    (x.t() * lib.ones((4, 3))).sum().backward()
    assert x.grad.is_contiguous()


def test_a_leaf_used_many_times_gets_the_sum(lib: Lib) -> None:
    x = leaf(lib, 2.0)
    (x * x + x * 3 + x).sum().backward()
    assert x.grad.tolist() == [8.0]


def test_several_roots_are_walked_together(lib: Lib) -> None:
    x = leaf(lib, 2.0)
    shared = x * x
    lib.autograd.backward([shared * 3, (shared + 1).sum()], [lib.ones(1), None])
    assert x.grad.tolist() == [16.0]


def test_a_parameter_of_an_earlier_layer_is_served_later(lib: Lib) -> None:
    order = []
    layers = [leaf(lib, 1.5) for _ in range(4)]
    for number, layer in enumerate(layers):
        layer.register_post_accumulate_grad_hook(lambda _, number=number: order.append(number))
    y = lib.ones(1)
    for layer in layers:
        y = (y * layer).relu()
    y.backward()
    assert order == [3, 2, 1, 0]


def test_detach_stops_the_gradient(lib: Lib) -> None:
    x = leaf(lib, 3.0)
    (x * x.detach()).backward()
    assert x.grad.tolist() == [3.0]


def test_an_unused_output_costs_the_other_nothing(lib: Lib) -> None:
    x = leaf(lib, 1.0, 2.0, 3.0)
    first, _ = x.split([1, 2])
    (first * 4).backward()
    assert x.grad.tolist() == [4.0, 0.0, 0.0]


def test_the_gradient_of_a_sum_is_one_number_expanded_and_dense_once_it_is_kept(lib: Lib) -> None:
    x, strides = lib.ones(2, 3, requires_grad=True), []
    x.register_hook(lambda grad: strides.append(grad.stride()))
    x.sum().backward()
    assert strides == [(0, 0)]
    assert x.grad.stride() == (3, 1)
    x.grad.add_(1)


def test_a_gradient_lies_in_memory_as_its_leaf_does(lib: Lib) -> None:
    x = lib.ones(4, 3).t().requires_grad_()
    (x * 2).sum().backward()
    assert x.grad.stride() == (1, 3)
