"""Products in pieces are products, whatever the number of rows."""

from __future__ import annotations

import numpy as np
import pytest

from ddp.autograd.ops.blas import (
    SMALL,
    fair_share,
    is_cut_into_strips,
    piece_rows,
    product,
    product_of_columns,
    product_of_large,
    products_of_columns,
    right_operand,
)
from ddp.autograd.tensor import Tensor
from ddp.nn import functional as F


def draw(seed: int, *shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("rows", [0, 1, 95, 96, 97, 300])
@pytest.mark.parametrize("batch", [(), (3,)], ids=str)
def test_a_product_in_pieces_is_the_product(rows: int, batch: tuple[int, ...]) -> None:
    a, b = draw(1, *batch, rows, 147), draw(2, *batch, 147, 64)
    assert piece_rows(b) == 96
    out = np.empty((*batch, rows, 64))
    product(a, b, out)
    np.testing.assert_allclose(out, a @ b, atol=1e-12)


@pytest.mark.parametrize("rows", [0, 1, 95, 96, 97, 192, 300])
@pytest.mark.parametrize(("outputs", "depth"), [(64, 144), (64, 147), (30, 147), (128, 1152)])
def test_a_product_of_columns_in_pieces_is_the_product(rows: int, outputs: int, depth: int) -> None:
    a, b = draw(1, rows, outputs), draw(2, rows, depth)
    out = np.empty((outputs, depth))
    product_of_columns(a, b, out)
    np.testing.assert_allclose(out, a.T @ b, atol=1e-12)


@pytest.mark.parametrize(
    ("count", "most", "share"), [(0, 5, 1), (7, 0, 1), (7, 9, 7), (16, 15, 8), (227, 106, 76)]
)
def test_parts_are_as_few_and_as_even_as_can_be(count: int, most: int, share: int) -> None:
    assert fair_share(count, most) == share


@pytest.mark.parametrize("rows", [0, 1, 27, 100])
def test_a_matrix_that_stays_in_the_cache_is_multiplied_in_strips(rows: int) -> None:
    a, b = draw(1, rows, 300), draw(2, 300, 192)
    assert is_cut_into_strips(b)
    out = np.empty((rows, 192))
    product(a, b, out)
    np.testing.assert_allclose(out, a @ b, atol=1e-11)


@pytest.mark.parametrize("rows", [0, 1, 48, 100])
@pytest.mark.parametrize(("depth", "width"), [(256, 256), (512, 128), (1000, 64), (260, 250)])
def test_stacks_are_multiplied_in_strips_of_columns(rows: int, depth: int, width: int) -> None:
    a, b, c = draw(1, 2, rows, depth), draw(2, 2, depth, width), draw(3, 2, rows, width)
    assert piece_rows(b) == 0
    out, of_columns = np.empty((2, rows, width)), np.empty((2, depth, width))
    product(a, b, out)
    np.testing.assert_allclose(out, a @ b, atol=1e-11)
    products_of_columns(a, c, of_columns)
    np.testing.assert_allclose(of_columns, a.swapaxes(1, 2) @ c, atol=1e-11)


@pytest.mark.parametrize(("rows", "features"), [(300, 270), (500, 200), (7, 2700), (300, 2700)])
@pytest.mark.parametrize("batch", [1, 5, 32, 33])
def test_a_large_matrix_beside_few_rows_is_multiplied_as_any(
    rows: int, features: int, batch: int
) -> None:
    w, x, dy = draw(1, rows, features), draw(2, batch, features), draw(3, batch, rows)
    y, dw = np.empty((rows, batch)), np.empty((rows, features))
    product_of_large(w, x.T, y)
    product_of_large(dy.T, x, dw)
    np.testing.assert_allclose(y, w @ x.T, atol=1e-11)
    np.testing.assert_allclose(dw, dy.T @ x, atol=1e-11)


def test_a_wide_layer_takes_operands_in_any_order_of_memory() -> None:
    w, x, b, dy = draw(1, 300, 270), draw(2, 16, 270), draw(3, 300), draw(4, 16, 300)
    assert w.size * len(x) > SMALL
    for weight in (w, np.asfortranarray(w)):
        for input in (x, np.asfortranarray(x)):
            layer = [Tensor(array.copy("K"), requires_grad=True) for array in (input, weight, b)]
            y = F.linear(*layer)
            y.backward(Tensor(np.asfortranarray(dy)))
            np.testing.assert_allclose(y.detach().array, x @ w.T + b, atol=1e-11)
            for leaf, expected in zip(layer, (dy @ w, dy.T @ x, dy.sum(0)), strict=True):
                assert leaf.grad is not None
                np.testing.assert_allclose(leaf.grad.array, expected, atol=1e-11)


def test_large_operands_are_multiplied_as_they_are() -> None:
    b = draw(1, 512, 512).T
    assert piece_rows(b) == 0
    assert right_operand(b) is b
    a, out = draw(2, 200, 512), np.empty((200, 512))
    product(a, b, out)
    np.testing.assert_array_equal(out, a @ b)


def test_a_small_right_operand_is_put_in_order() -> None:
    b = draw(1, 64, 64).T
    assert right_operand(b).flags.c_contiguous
