"""Where a leaf's gradient lies: in the caller's buffer, or in the memory it was computed in.

A linear layer is one node until somebody looks at the graph; what is seen then is PyTorch's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ddp
from ddp.autograd.tensor import Tensor
from ddp.nn import functional as F

Array = np.ndarray[Any, np.dtype[Any]]
Shape = tuple[int, ...]
SIZES = [(4, 3, 2), (32, 300, 400), (200, 5, 70)]  # rows, inputs, outputs: one for each kernel


def draw(seed: int, *shape: int) -> Tensor:
    return Tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def layer(rows: int, inputs: int, outputs: int) -> tuple[Tensor, Tensor, Tensor]:
    """x, weight, bias; all want gradients."""
    leaves = draw(1, rows, inputs), draw(2, outputs, inputs), draw(3, outputs)
    for leaf in leaves:
        leaf.requires_grad = True
    return leaves


def squared(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return (F.linear(x, weight, bias) ** 2).sum()


def expected(x: Tensor, weight: Tensor, bias: Tensor) -> list[Array]:
    dy = 2 * (x.array.astype(float) @ weight.array.T.astype(float) + bias.array)
    return [dy @ weight.array, dy.T @ x.array, dy.sum(0)]


def gradient_of(leaf: Tensor) -> Array:
    assert leaf.grad is not None
    return leaf.grad.array


@pytest.mark.parametrize("sizes", SIZES)
def test_gradients_are_the_same_with_and_without_a_buffer(sizes: tuple[int, int, int]) -> None:
    plain, buffered = layer(*sizes), layer(*sizes)
    buffers = [np.full_like(leaf.array, np.nan) for leaf in buffered]
    for leaf, buffer in zip(buffered, buffers, strict=True):
        leaf.grad_buffer = buffer
    squared(*plain).backward()
    squared(*buffered).backward()
    for leaf, other, right in zip(plain, buffered, expected(*plain), strict=True):
        np.testing.assert_array_equal(gradient_of(leaf), gradient_of(other))
        np.testing.assert_allclose(gradient_of(leaf), right, atol=np.abs(right).max() / 1e5)
    assert all(gradient_of(leaf) is buffer for leaf, buffer in zip(buffered, buffers, strict=True))


def test_a_weight_used_twice_gets_the_sum_in_its_buffer() -> None:
    x, weight, bias = layer(4, 3, 3)
    weight.grad_buffer = np.empty_like(weight.array)
    F.linear(F.linear(x, weight, bias), weight, bias).sum().backward()
    twin = layer(4, 3, 3)
    ((twin[0] @ twin[1].t() + twin[2]) @ twin[1].t() + twin[2]).sum().backward()
    assert gradient_of(weight) is weight.grad_buffer
    np.testing.assert_allclose(gradient_of(weight), gradient_of(twin[1]), rtol=1e-5)


def test_a_second_backward_adds_in_place_and_shares_no_memory_with_the_first() -> None:
    leaves = layer(4, 3, 2)
    loss = squared(*leaves)
    loss.backward(retain_graph=True)
    first = [gradient_of(leaf) for leaf in leaves]
    kept = [array.copy() for array in first]
    loss.backward()
    for leaf, array, once in zip(leaves, first, kept, strict=True):
        assert gradient_of(leaf) is array
        np.testing.assert_allclose(array, 2 * once, rtol=1e-6)
    assert not np.shares_memory(first[0], first[1])


def test_a_gradient_kept_from_before_zero_grad_is_not_written_again() -> None:
    x, weight, bias = layer(4, 3, 2)
    squared(x, weight, bias).backward()
    before = gradient_of(weight)
    kept = before.copy()
    for leaf in (x, weight, bias):
        leaf.grad = None
    (3 * squared(x, weight, bias)).backward()
    np.testing.assert_array_equal(before, kept)
    assert gradient_of(weight) is not before


def test_gradients_are_kept_where_they_were_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight, bias = layer(200, 300, 400)
    scale, shift = draw(4, 400).requires_grad_(), draw(5, 400).requires_grad_()
    loss = F.layer_norm(F.linear(x, weight, bias), (400,), scale, shift).sum()
    monkeypatch.setattr(ddp.Tensor, "_accumulate_grad", None)  # nothing is copied
    loss.backward()
    gradients = [gradient_of(leaf) for leaf in (x, weight, bias, scale, shift)]
    for i, one in enumerate(gradients):
        assert not any(np.may_share_memory(one, other) for other in gradients[:i])


def test_what_a_hook_makes_of_a_gradient_is_what_lies_in_the_buffer() -> None:
    x, weight, bias = layer(4, 3, 2)
    weight.grad_buffer = np.empty_like(weight.array)
    weight.register_hook(lambda gradient: gradient * 10)
    squared(x, weight, bias).backward()
    assert gradient_of(weight) is weight.grad_buffer
    np.testing.assert_allclose(gradient_of(weight), 10 * expected(x, weight, bias)[1], rtol=1e-4)


def test_autograd_grad_leaves_the_buffer_alone() -> None:
    x, weight, bias = layer(4, 3, 2)
    weight.grad_buffer = np.full_like(weight.array, 7)
    (gradient,) = ddp.autograd.grad(squared(x, weight, bias), weight)
    np.testing.assert_array_equal(weight.grad_buffer, 7)
    np.testing.assert_allclose(gradient.array, expected(x, weight, bias)[1], rtol=1e-4)


def test_a_linear_layer_shows_the_transposed_weight_as_pytorch_does() -> None:
    x, weight, bias = layer(4, 3, 2)
    node = F.linear(x, weight, bias).grad_fn
    assert node is not None
    names = [target.name() for target, _ in node.next_functions if target is not None]
    assert names == ["torch::autograd::AccumulateGrad"] * 2 + ["TBackward0"]
    transposed = node.next_functions[2][0]
    assert transposed is node.next_functions[2][0]
    assert transposed.next_functions[0][0].variable is weight
    assert node._saved_mat2.shape == (3, 2)


@pytest.mark.parametrize("moment", ["before", "in a hook", "in a hook of grad"])
def test_looking_at_the_graph_changes_no_gradient(moment: str) -> None:
    x, weight, bias = layer(4, 3, 2)
    y = F.linear(x, weight, bias)
    node = y.grad_fn
    assert node is not None
    if moment == "before":
        assert len(node.next_functions) == 3
    else:
        y.register_hook(lambda _: node.next_functions and None)
    loss = (y**2).sum()
    if moment == "in a hook of grad":
        gradients = [g.array for g in ddp.autograd.grad(loss, [x, weight, bias])]
    else:
        loss.backward()
        gradients = [gradient_of(leaf) for leaf in (x, weight, bias)]
    for gradient, right in zip(gradients, expected(x, weight, bias), strict=True):
        np.testing.assert_allclose(gradient, right, rtol=1e-4)


def test_a_hook_on_the_transposed_weight_is_called() -> None:
    x, weight, bias = layer(4, 3, 2)
    y = F.linear(x, weight, bias)
    assert y.grad_fn is not None
    transposed = y.grad_fn.next_functions[2][0]
    assert transposed is not None
    seen: list[Shape] = []
    transposed.register_prehook(lambda gradients: seen.append(tuple(gradients[0].shape)))
    (y**2).sum().backward()
    assert seen == [(3, 2)]
    np.testing.assert_allclose(gradient_of(weight), expected(x, weight, bias)[1], rtol=1e-4)


@pytest.mark.parametrize("looks", [False, True])
def test_a_weight_changed_after_the_forward_pass_is_refused(looks: bool) -> None:
    x, weight, bias = layer(4, 3, 2)
    y = F.linear(x, weight, bias)
    assert y.grad_fn is not None
    if looks:
        assert y.grad_fn.next_functions
    with ddp.no_grad():
        weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_the_gradient_of_a_linear_layer_has_a_gradient() -> None:
    x, weight, bias = layer(4, 3, 2)
    (dx,) = ddp.autograd.grad(squared(x, weight, bias), x, create_graph=True)
    dx.sum().backward()
    ones = np.ones((4, 3))
    right = 2 * (
        (ones @ weight.array.T).T @ x.array + (x.array @ weight.array.T + bias.array).T @ ones
    )
    np.testing.assert_allclose(gradient_of(weight), right, rtol=1e-4)


def test_a_leaf_frozen_after_the_forward_pass_takes_no_gradient() -> None:
    x, weight, bias = layer(4, 3, 2)
    loss = squared(x, weight, bias)
    weight.requires_grad = False
    loss.backward()
    assert weight.grad is None
    assert x.grad is not None
