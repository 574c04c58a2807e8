"""Clipping and parameter vectors: PyTorch's golden values and its cases at the edge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ddp import nn
from ddp.autograd.tensor import Tensor
from ddp.nn import utils


def with_grads(*gradients: list[float]) -> list[nn.Parameter]:
    params = []
    for gradient in gradients:
        values = np.array(gradient, np.float32)
        param = nn.Parameter(Tensor(np.zeros_like(values)))
        param.grad = Tensor(values)
        params.append(param)
    return params


def grads(params: list[nn.Parameter]) -> list[list[float]]:
    return [param.grad.tolist() for param in params if param.grad is not None]


def test_a_large_norm_is_clipped_to_the_maximum() -> None:
    params = with_grads([3, 4], [12])
    total = utils.clip_grad_norm_(params, max_norm=1)
    assert (total.shape, total.dtype, total.item()) == ((), np.float32, 13)
    assert grads(params) == [
        pytest.approx([3 / 13, 4 / 13], rel=1e-6),
        pytest.approx([12 / 13], rel=1e-6),
    ]


def test_a_small_norm_leaves_the_gradients_as_they_are() -> None:
    params = with_grads([3, 4], [12])
    assert utils.clip_grad_norm_(params, max_norm=100).item() == 13
    assert grads(params) == [[3, 4], [12]]


@pytest.mark.parametrize(
    ("norm_type", "expected"),
    [
        (1, 19),
        (2, 13),
        (3, 12.2071),
        ("inf", 12),
        (float("-inf"), 3),
        (0, 2),
        (-1, 1.5),
    ],
)
def test_norms_of_every_order(norm_type: Any, expected: float) -> None:
    total = utils.get_total_norm([Tensor([3, 4]), Tensor([12])], norm_type)
    assert total.item() == pytest.approx(expected, rel=1e-4)


def test_parameters_without_gradient_do_not_count() -> None:
    params = [*with_grads([3, 4]), nn.Parameter(Tensor([9.0]))]
    assert utils.clip_grad_norm_(params, 1.0).item() == 5
    assert utils.clip_grad_norm_([nn.Parameter(Tensor([9.0]))], 1.0).item() == 0
    assert utils.clip_grad_norm_(with_grads([3, 4])[0], 1.0).item() == 5


def test_an_empty_generator_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="empty generator"):
        utils.clip_grad_norm_((p for p in []), 1.0)


def test_a_norm_that_is_not_finite_can_be_an_error() -> None:
    params = with_grads([1, float("inf")])
    with pytest.raises(RuntimeError, match=r"total norm of order 2\.0 for gradients"):
        utils.clip_grad_norm_(params, 1.0, error_if_nonfinite=True)
    assert grads(params) == [[1, float("inf")]]
    utils.clip_grad_norm_(params, 1.0)
    assert params[0].grad is not None
    assert np.isnan(params[0].grad.array[1])
    assert params[0].grad.array[0] == 0


@pytest.mark.parametrize("size", [1e-30, 1.0])
def test_the_norm_of_many_elements_is_exact_to_seven_digits_however_faint(size: float) -> None:
    values = np.random.default_rng(0).standard_normal(100_003).astype(np.float32)
    values *= np.float32(size)
    norm = utils.get_total_norm([Tensor(values[:50_000]), Tensor(values[50_000:])])
    assert norm.item() == pytest.approx(np.linalg.norm(values.astype(np.float64)), rel=2e-7)


def test_a_norm_whose_square_overflows_float32_is_still_found() -> None:
    assert utils.get_total_norm([Tensor([3e30, 4e30])]).item() == pytest.approx(5e30)


def test_clipping_by_value_clamps_in_place() -> None:
    params = with_grads([-3, 0.5, 3, float("inf"), float("nan")])
    assert params[0].grad is not None
    memory = params[0].grad.array
    utils.clip_grad_value_(params, 1)
    assert params[0].grad.array is memory
    np.testing.assert_array_equal(params[0].grad.array, [-1, 0.5, 1, 1, np.nan])


def test_clipping_counts_as_a_change_of_the_gradients() -> None:
    params = with_grads([3, 4])
    assert params[0].grad is not None
    before = params[0].grad._version
    utils.clip_grad_norm_(params, 1.0)
    utils.clip_grad_value_(params, 1.0)
    assert params[0].grad._version == before + 2


def test_parameters_go_to_a_vector_and_back() -> None:
    m = nn.Linear(2, 3)
    vector = utils.parameters_to_vector(m.parameters())
    assert vector.shape == (9,)
    doubled = Tensor(vector.array * 2)
    utils.vector_to_parameters(doubled, m.parameters())
    np.testing.assert_array_equal(m.bias.array, vector.array[6:] * 2)
    assert np.shares_memory(m.weight.array, doubled.array)


def test_a_layer_over_packed_sequences_gives_what_each_gives_alone() -> None:
    layer = nn.LSTM(2, 3, bidirectional=True)
    sequences = [Tensor(np.arange(2.0 * n, dtype=np.float32).reshape(n, 2) / 9) for n in (2, 4, 1)]
    packed = utils.rnn.pack_sequence(sequences, enforce_sorted=False)
    outputs, (_, cells) = layer(packed)
    for i, (y, x) in enumerate(zip(utils.rnn.unpack_sequence(outputs), sequences, strict=True)):
        alone, (_, cell) = layer(x)
        np.testing.assert_allclose(y.detach().array, alone.detach().array, rtol=1e-6)
        np.testing.assert_allclose(cells[:, i].detach().array, cell.detach().array, rtol=1e-6)


def test_a_gradient_flows_through_the_vector() -> None:
    m = nn.Linear(2, 3)
    (utils.parameters_to_vector(m.parameters()) * 2).sum().backward()
    assert all((p.grad.array == 2).all() for p in m.parameters() if p.grad is not None)
