"""Writing into tensors: what is refused, what bumps the version, where the history goes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ddp

Lib = Any


def leaf(lib: Lib, *values: float) -> Any:
    return lib.tensor(list(values), requires_grad=True)


def test_a_leaf_that_requires_gradients_is_not_written_to(lib: Lib) -> None:
    x = leaf(lib, 1.0, 2.0)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used"):
        x.add_(1)
    with pytest.raises(RuntimeError, match="a view of a leaf Variable that requires grad"):
        x[0].mul_(2)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used"):
        x[0] = 1.0
    assert x.tolist() == [1.0, 2.0]


def test_under_no_grad_a_leaf_is_written_to_and_its_version_grows(lib: Lib) -> None:
    x = leaf(lib, 1.0)
    with lib.no_grad():
        x.add_(1)
        x.mul_(3)
        x[0] = x[0] + 1
    assert x.tolist() == [7.0]
    assert x._version == 3
    assert x.is_leaf


def test_the_version_is_shared_by_views(lib: Lib) -> None:
    x = lib.ones((2, 2))
    view = x[0].view(2, 1)
    view.add_(1)
    assert x._version == view._version == 1
    assert x.tolist() == [[2.0, 2.0], [1.0, 1.0]]


def test_a_step_between_forward_and_backward_is_noticed(lib: Lib) -> None:
    x, w = leaf(lib, 1.0), leaf(lib, 2.0)
    y = x * w
    with lib.no_grad():
        w.sub_(0.1)
    with pytest.raises(RuntimeError, match="has been modified by an inplace operation"):
        y.backward()


def test_only_what_a_node_saved_is_watched(lib: Lib) -> None:
    x = leaf(lib, 1.0)
    y = x * 2
    z = y + 1
    z.add_(1)
    z.backward()
    assert x.grad.tolist() == [2.0]


def test_a_saved_input_must_stay(lib: Lib) -> None:
    y = leaf(lib, 3.0) * 2
    z = y * y
    y.add_(1)
    with pytest.raises(RuntimeError, match="has been modified by an inplace operation"):
        z.backward()


@pytest.mark.parametrize("name", ["exp", "sqrt", "sigmoid", "tanh", "relu"])
def test_a_saved_output_must_stay(lib: Lib, name: str) -> None:
    y = getattr(leaf(lib, 3.0) * 2, name)()
    y.detach().add_(1)
    with pytest.raises(RuntimeError, match="has been modified by an inplace operation"):
        y.backward()


def test_writing_through_data_goes_unnoticed(lib: Lib) -> None:
    y = leaf(lib, 3.0) * 2
    z = y * y
    y.data.zero_()
    z.backward()


def test_an_in_place_operation_moves_the_tensor_to_a_new_node(lib: Lib) -> None:
    x = leaf(lib, 2.0)
    y = x * 5
    same = y.mul_(3)
    assert same is y
    assert y.grad_fn.name() == "MulBackward0"
    y.backward()
    assert y.tolist() == [30.0]
    assert x.grad.tolist() == [15.0]


def test_writing_a_row_takes_that_rows_gradient_away(lib: Lib) -> None:
    x, v = leaf(lib, 1.0, 2.0), leaf(lib, 7.0)
    y = x * 3
    y[1] = v[0] * 2
    (y * lib.tensor([10.0, 100.0])).sum().backward()
    assert y.tolist() == [3.0, 14.0]
    assert x.grad.tolist() == [30.0, 0.0]
    assert v.grad.tolist() == [200.0]


def test_a_constant_tensor_gets_a_history_by_what_is_written_into_it(lib: Lib) -> None:
    v = leaf(lib, 7.0)
    y = lib.zeros(2)
    y[0] = v[0]
    assert y.requires_grad
    (y * 3).sum().backward()
    assert v.grad.tolist() == [3.0]


def test_writing_through_a_view_reaches_the_base(lib: Lib) -> None:
    x = leaf(lib, 1.0, 2.0)
    y = x * 3
    view = y[0:1]
    view.mul_(10)
    assert y.tolist() == [30.0, 6.0]
    assert y.grad_fn.name() == "torch::autograd::CopySlices"
    (y.sum() + view.sum()).backward()
    assert x.grad.tolist() == [60.0, 3.0]


def test_a_view_older_than_a_write_to_its_base_follows_the_base(lib: Lib) -> None:
    buffer, v = lib.zeros(2), leaf(lib, 7.0)
    view = buffer[0:1]
    buffer[0] = v[0]
    assert view.requires_grad
    assert view.grad_fn.name() == "AsStridedBackward0"
    (view * 2).sum().backward(retain_graph=True)
    assert v.grad.tolist() == [2.0]
    view.mul_(3)
    buffer.sum().backward()
    assert (buffer.tolist(), v.grad.tolist()) == ([21.0, 0.0], [5.0])


def test_a_write_to_the_base_reaches_a_view_that_was_used_before(lib: Lib) -> None:
    x = leaf(lib, 1.0, 2.0, 3.0)
    y = x * 2
    view = y[1:]
    before = view.sum()
    y.mul_(10)
    (before + view.sum()).backward()
    assert x.grad.tolist() == [0.0, 22.0, 22.0]


def test_views_of_memory_in_any_order_are_written_through(lib: Lib) -> None:
    x = lib.arange(12.0).view(3, 4).requires_grad_()
    y = (x.t() * 2).clone()
    y[1:3].mul_(lib.tensor([10.0, 100.0, 1000.0]))
    y.t()[2].add_(x[0])
    y.sum().backward()
    expected = [[3.0, 21.0, 21.0, 3.0], [2.0, 200.0, 200.0, 2.0], [2.0, 2000.0, 2000.0, 2.0]]
    assert x.grad.tolist() == expected


def test_a_view_of_memory_with_gaps_is_written_through() -> None:
    x = leaf(ddp, 1.0, 1.0)
    y = ddp.from_numpy(np.zeros((4, 6), np.float32)[::-2, 1::3])
    y[0].copy_(x)
    y[:, 0].mul_(5)
    y.sum().backward()
    assert (y.tolist(), x.grad.tolist()) == ([[5.0, 1.0], [0.0, 0.0]], [5.0, 1.0])


def test_a_view_made_under_no_grad_requires_gradients_and_is_a_leaf(lib: Lib) -> None:
    x = leaf(lib, 1.0, 2.0)
    with lib.no_grad():
        view = x.view(-1)
        computed = (x * 2)[0:1]
    assert (view.requires_grad, view.is_leaf, view.grad_fn) == (True, True, None)
    assert not computed.requires_grad
    with pytest.raises(RuntimeError, match="A view was created in no_grad mode and is being mod"):
        view.mul_(2)
    with lib.no_grad():
        view.mul_(2)
    assert (x.tolist(), x._version) == ([2.0, 4.0], 1)


def test_a_result_that_was_saved_and_written_to_in_a_chain_is_noticed(lib: Lib) -> None:
    y = (leaf(lib, 1.0, 2.0) * 2).exp_().sqrt_()
    with pytest.raises(RuntimeError, match=r"inplace operation: .*version 2; expected"):
        y.sum().backward()
    leaf(lib, 1.0).mul(2).exp_().backward()


def test_the_version_error_names_the_tensor_and_where_it_came_from(lib: Lib) -> None:
    y = leaf(lib, 1.0, 2.0) + 1
    z = y * y
    y.add_(1)
    text = (
        r"modified by an inplace operation: \[\w+.FloatTensor \[2\]\], which is output 0 of "
        r"Add(Backward0)?, is at version 1; expected version 0 instead. Hint: enable anomaly "
        r"detection to find the operation that failed to compute its gradient, with "
        r"[\w.]+.set_detect_anomaly\(True"
    )
    with pytest.raises(RuntimeError, match=text):
        z.sum().backward()
    w = leaf(lib, 1.0, 2.0)
    z = w * leaf(lib, 1.0, 1.0)
    with lib.no_grad():
        w.add_(1)
    with pytest.raises(RuntimeError, match=r"FloatTensor \[2\]\] is at version 1; expected versi"):
        z.sum().backward()


def test_a_view_made_under_no_grad_of_a_computed_tensor_is_not_written_to(lib: Lib) -> None:
    y = leaf(lib, 1.0, 2.0) * 2
    with lib.no_grad():
        view = y[0:1]
    with pytest.raises(RuntimeError, match="A view was created in no_grad mode and is being mod"):
        view.mul_(2)


def test_views_of_views_write_through_to_the_base(lib: Lib) -> None:
    x = leaf(lib, 1.0, 2.0, 3.0, 4.0)
    y = x * 2
    y.view(2, 2).t()[1].mul_(lib.tensor([10.0, 100.0]))
    y.sum().backward()
    assert y.tolist() == [2.0, 40.0, 6.0, 800.0]
    assert x.grad.tolist() == [2.0, 20.0, 2.0, 200.0]


def test_an_in_place_operation_keeps_shape_and_dtype(lib: Lib) -> None:
    with pytest.raises(RuntimeError, match=r"result type Float can't be cast to the desired outp"):
        lib.tensor([1, 2]).add_(1.5)
    with pytest.raises(RuntimeError, match="shape"):
        lib.ones(2).add_(lib.ones((3, 2)))
    x = lib.ones(2)
    x.mul_(lib.tensor([2.0, 3.0], dtype=lib.float64))
    assert x.dtype == lib.float32


def test_an_expanded_tensor_is_not_written_to(lib: Lib) -> None:
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
        lib.ones(1).expand(3).add_(1)


def test_augmented_assignment_is_in_place(lib: Lib) -> None:
    x = lib.ones(2)
    same = x
    x += 1
    x *= 3
    x -= 2
    x /= 4
    assert same is x
    assert x.tolist() == [1.0, 1.0]


def test_fills_and_copies(lib: Lib) -> None:
    x = lib.ones(2)
    assert x.fill_(3).tolist() == [3.0, 3.0]
    assert x.copy_(lib.tensor([1, 2])).tolist() == [1.0, 2.0]
    assert x.clamp_(max=1.5).tolist() == [1.0, 1.5]
    assert x.neg_().abs_().zero_().tolist() == [0.0, 0.0]
    assert x.dtype == lib.float32


def test_what_is_retained_follows_the_tensor_and_hooks_stay_with_the_old_value(lib: Lib) -> None:
    x = leaf(lib, 2.0)
    y = x * 5
    seen = []
    y.retain_grad()
    y.register_hook(lambda grad: seen.append(("old", grad.tolist())))
    y.mul_(3)
    y.register_hook(lambda grad: seen.append(("new", grad.tolist())))
    (y * 7).backward()
    assert seen == [("new", [7.0]), ("old", [21.0])]
    assert y.grad.tolist() == [7.0]


def test_one_of_several_views_made_at_once_is_not_written_to(lib: Lib) -> None:
    y = leaf(lib, 1.0, 2.0) * 2
    for part in (y.split(1)[1], y.unbind(0)[1]):
        with pytest.raises(RuntimeError, match="is a view and is being modified inplace"):
            part.mul_(2)
    lib.ones(2).split(1)[1].mul_(2)
    with lib.no_grad():
        y.split(1)[1].mul_(2)


def test_a_softmax_must_stay_as_it_is(lib: Lib) -> None:
    y = (leaf(lib, 1.0, 2.0) * 2).softmax(0)
    y.detach().add_(1)
    with pytest.raises(RuntimeError, match="has been modified by an inplace operation"):
        y.sum().backward()


OVERWRITES = [
    (lambda lib, y: y.zero_(), "ZeroBackward0", ["MulBackward0"]),
    (lambda lib, y: y.fill_(2), "FillBackward2", ["MulBackward0"]),
    (lambda lib, y: y.uniform_(), "UniformBackward0", ["MulBackward0"]),
    (lambda lib, y: y.normal_(), "NormalBackward0", ["MulBackward0"]),
    (lambda lib, y: y.copy_(lib.ones(2)), "torch::autograd::CopyBackwards", ["MulBackward0", None]),
    (lambda lib, y: lib.zeros(2).copy_(y), "torch::autograd::CopyBackwards",
     [None, "MulBackward0"]),
    (lambda lib, y: lib.zeros(2).fill_(y[0]), "FillBackward3", [None, "SelectBackward0"]),
]  # fmt: skip


@pytest.mark.parametrize("index", range(len(OVERWRITES)))
def test_what_replaces_all_values_is_a_node_by_its_name(lib: Lib, index: int) -> None:
    write, name, before = OVERWRITES[index]
    x = leaf(lib, 1.0, 2.0)
    y = write(lib, x * 1)
    assert y.grad_fn.name() == name
    assert [node and node.name() for node, _ in y.grad_fn.next_functions] == before
    y.sum().backward()
    kept = {"CopyBackwards": [1.0, 1.0], "FillBackward3": [2.0, 0.0]}
    expected = kept.get(name.split("::")[-1], [0.0, 0.0]) if before[0] is None else [0.0, 0.0]
    assert x.grad.tolist() == expected


def test_a_copy_is_broadcast_and_converted_and_so_is_its_gradient(lib: Lib) -> None:
    x = leaf(lib, 3.0)
    y = lib.zeros(2, 2, dtype=lib.float64).copy_(x)
    y.sum().backward()
    assert (y.tolist(), x.grad.tolist()) == ([[3.0, 3.0], [3.0, 3.0]], [4.0])
    assert x.grad.dtype == lib.float32


def test_only_a_number_or_a_tensor_without_axes_fills(lib: Lib) -> None:
    with pytest.raises(RuntimeError, match="fill_ only supports 0-dimension value tensor but got"):
        lib.zeros(2).fill_(lib.ones(2))
