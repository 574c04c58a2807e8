"""Leaves, freezing, detaching, grad modes, and the guards that stop mistakes."""

from __future__ import annotations

import copy
import operator
import threading
from typing import Any

import numpy as np
import pytest

Lib = Any


def leaf(lib: Lib, *values: float) -> Any:
    return lib.tensor(list(values), requires_grad=True)


def test_only_floating_tensors_can_require_gradients(lib: Lib) -> None:
    with pytest.raises(RuntimeError, match="nly Tensors of floating point"):
        lib.tensor([1, 2], requires_grad=True)
    with pytest.raises(RuntimeError, match="only Tensors of floating point"):
        lib.tensor([1, 2]).requires_grad = True
    with pytest.raises(RuntimeError, match="only Tensors of floating point"):
        lib.tensor([True]).requires_grad_()


def test_the_flag_of_a_computed_tensor_cannot_be_cleared(lib: Lib) -> None:
    y = leaf(lib, 1.0) * 2
    with pytest.raises(RuntimeError, match="you can only change requires_grad flags of leaf"):
        y.requires_grad = False
    assert y.requires_grad_() is y
    assert not y.is_leaf


def test_every_tensor_that_requires_no_gradient_is_a_leaf(lib: Lib) -> None:
    y = lib.ones(2) * 2
    assert y.is_leaf
    assert y.grad_fn is None
    assert leaf(lib, 1.0).is_leaf


def test_a_frozen_subgraph_records_nothing(lib: Lib) -> None:
    y = (lib.ones(2) * 2).exp().sum()
    assert not y.requires_grad
    assert y.grad_fn is None


def test_gradients_flow_through_a_frozen_layer(lib: Lib) -> None:
    x, w = leaf(lib, 2.0), leaf(lib, 5.0).requires_grad_(False)
    y = x * w
    y.backward()
    assert x.grad.tolist() == [5.0]
    assert w.grad is None
    assert y.grad_fn.next_functions[1] == (None, 0)


def test_a_leaf_frozen_after_the_forward_pass_gets_nothing(lib: Lib) -> None:
    x, w = leaf(lib, 2.0), leaf(lib, 5.0)
    y = x * w
    w.requires_grad = False
    y.backward()
    assert x.grad.tolist() == [5.0]
    assert w.grad is None


def test_no_grad_records_nothing(lib: Lib) -> None:
    x = leaf(lib, 1.0)
    with lib.no_grad():
        assert not (x * 2).requires_grad
        with lib.enable_grad():
            assert (x * 2).requires_grad
    assert (x * 2).requires_grad


def test_the_mode_comes_back_after_an_exception(lib: Lib) -> None:
    with pytest.raises(KeyError), lib.no_grad():
        raise KeyError
    assert lib.is_grad_enabled()


def test_grad_modes_decorate_functions_with_and_without_parentheses(lib: Lib) -> None:
    @lib.no_grad()
    def called() -> bool:
        return lib.is_grad_enabled()

    @lib.no_grad
    def bare() -> bool:
        return lib.is_grad_enabled()

    @lib.set_grad_enabled(False)
    def chosen() -> bool:
        return lib.is_grad_enabled()

    assert not called()
    assert not bare()
    assert lib.is_grad_enabled()
    assert not chosen()
    assert lib.is_grad_enabled()


def test_a_decorated_generator_switches_only_while_it_runs(lib: Lib) -> None:
    @lib.no_grad()
    def generator():
        received = yield lib.is_grad_enabled()
        try:
            yield received
        except ValueError:
            yield lib.is_grad_enabled()

    running = generator()
    assert next(running) is False
    assert lib.is_grad_enabled()
    assert running.send("sent") == "sent"
    assert running.throw(ValueError) is False
    assert lib.is_grad_enabled()
    assert list(running) == []


def test_set_grad_enabled_takes_effect_at_once(lib: Lib) -> None:
    lib.set_grad_enabled(False)
    try:
        assert not lib.is_grad_enabled()
    finally:
        lib.set_grad_enabled(True)
    with lib.set_grad_enabled(False):
        assert not lib.is_grad_enabled()
    assert lib.is_grad_enabled()


def test_a_tensor_made_under_no_grad_may_require_gradients(lib: Lib) -> None:
    with lib.no_grad():
        assert lib.ones(2, requires_grad=True).requires_grad


def test_the_mode_belongs_to_the_thread(lib: Lib) -> None:
    seen = []
    with lib.no_grad():
        thread = threading.Thread(target=lambda: seen.append(lib.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_detach_shares_memory_and_version(lib: Lib) -> None:
    x = leaf(lib, 1.0, 2.0)
    y = x.detach()
    assert not y.requires_grad
    assert y.is_leaf
    y.add_(1)
    assert x.tolist() == [2.0, 3.0]
    assert x._version == y._version == 1


def test_data_shares_memory_but_not_the_version(lib: Lib) -> None:
    x = leaf(lib, 1.0)
    x.data.add_(1)
    assert x.tolist() == [2.0]
    assert x._version == 0


def test_assigning_data_points_the_tensor_at_other_memory(lib: Lib) -> None:
    x = leaf(lib, 1.0)
    memory = lib.tensor([7.0])
    x.data = memory
    memory.add_(1)
    assert x.tolist() == [8.0]
    assert x.requires_grad


def test_detach_in_place_cuts_history_but_not_of_views(lib: Lib) -> None:
    y = leaf(lib, 1.0, 2.0) * 2
    view = y[0]
    with pytest.raises(RuntimeError, match=r"[Cc]an't detach views in-place"):
        view.detach_()
    y.detach_()
    assert y.is_leaf
    assert not y.requires_grad


def test_numpy_refuses_a_tensor_that_requires_gradients(lib: Lib) -> None:
    x = leaf(lib, 1.0)
    with pytest.raises(RuntimeError, match=r"Use tensor.detach\(\).numpy\(\) instead"):
        x.numpy()
    assert x.detach().numpy().dtype == np.float32


def test_numbers_come_from_tensors_of_one_element_only(lib: Lib) -> None:
    assert float(lib.tensor([2.5])) == 2.5
    assert int(lib.tensor(3)) == 3
    assert lib.tensor([[4.0]]).item() == 4.0
    assert bool(lib.tensor([0.0])) is False
    with pytest.raises((ValueError, RuntimeError)):
        float(lib.ones(2))
    with pytest.raises(RuntimeError, match="cannot be converted to Scalar"):
        lib.ones(2).item()
    with pytest.raises(RuntimeError, match="Boolean value of Tensor with more than one value"):
        bool(lib.ones(2))
    with pytest.raises(RuntimeError, match="Boolean value of Tensor with no values is ambiguous"):
        bool(lib.ones(0))


def test_length_and_iteration_need_an_axis(lib: Lib) -> None:
    assert len(lib.ones((3, 2))) == 3
    assert [row.tolist() for row in lib.tensor([1, 2])] == [1, 2]
    with pytest.raises(TypeError, match="len"):
        len(lib.tensor(1.0))
    with pytest.raises(TypeError, match="iteration over a 0-d tensor"):
        iter(lib.tensor(1.0))


def test_an_integer_tensor_is_an_index(lib: Lib) -> None:
    assert ["a", "b"][lib.tensor(1)] == "b"
    with pytest.raises(TypeError, match="only integer tensors of a single element"):
        ["a"][lib.tensor(0.0)]


def test_deepcopy_copies_leaves_only(lib: Lib) -> None:
    x = leaf(lib, 1.0)
    (x * 2).backward()
    twin = copy.deepcopy(x)
    assert twin.requires_grad
    assert twin.grad.tolist() == [2.0]
    twin.data.add_(1)
    assert x.tolist() == [1.0]
    with pytest.raises(RuntimeError, match="Only Tensors created explicitly by the user"):
        copy.deepcopy(x * 2)


def test_reading_the_gradient_of_a_computed_tensor_warns(lib: Lib) -> None:
    y = leaf(lib, 1.0) * 2
    with pytest.warns(UserWarning, match=r"The \.grad attribute of a Tensor that is not a leaf"):
        assert y.grad is None


def test_an_assigned_gradient_must_fit(lib: Lib) -> None:
    x = leaf(lib, 1.0, 2.0)
    with pytest.raises(RuntimeError, match="attempting to assign a gradient of size"):
        x.grad = lib.ones(3)
    with pytest.raises(RuntimeError, match="attempting to assign a gradient with dtype"):
        x.grad = lib.ones(2, dtype=lib.float64)
    with pytest.raises(TypeError, match="assigned grad expected to be a Tensor or None"):
        x.grad = 1.0
    mine = lib.ones(2)
    x.grad = mine
    assert x.grad is mine
    x.grad = None
    assert x.grad is None


def test_equality_is_by_element_and_hash_by_identity(lib: Lib) -> None:
    a, b = lib.tensor([1.0, 2.0]), lib.tensor([1.0, 3.0])
    assert (a == b).tolist() == [True, False]
    assert (a != 1).tolist() == [False, True]
    assert len({a, b, a}) == 2


def test_a_view_made_under_no_grad_cannot_be_changed_with_gradients_on(lib: Lib) -> None:
    x = leaf(lib, 1.0, 2.0)
    with lib.no_grad():
        view = x.view(-1)
        view.add_(1)
        assert x.tolist() == [2.0, 3.0]
    with pytest.raises(RuntimeError, match="view"):
        view.add_(1)


def test_python_wants_one_element_for_a_number(lib: Lib) -> None:
    for kind in (float, int, complex):
        assert kind(lib.ones(1, 1)) == 1
        for several in (lib.ones(2), lib.ones(0)):
            with pytest.raises(ValueError, match="only one element tensors can be converted to Py"):
                kind(several)
    assert operator.index(lib.tensor([[3]])) == 3
    with pytest.raises(TypeError, match="only integer tensors of a single element can be"):
        operator.index(lib.tensor([1, 2]))


def test_a_frozen_input_of_a_layer_has_an_empty_edge(lib: Lib) -> None:
    weight, bias = lib.ones(2, 3, requires_grad=True), lib.ones(2, requires_grad=True)
    y = lib.nn.functional.linear(lib.ones(1, 3), weight, bias)
    (to_bias, _), to_input, (to_weight, _) = y.grad_fn.next_functions
    assert to_bias.variable is bias
    assert to_input == (None, 0)
    assert to_weight.next_functions[0][0].variable is weight
