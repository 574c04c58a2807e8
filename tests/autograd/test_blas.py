"""Products in pieces are products, whatever the number of rows."""

from __future__ import annotations

import numpy as np
import pytest

from ddp.autograd.ops.blas import piece_rows, product, product_of_columns, right_operand


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
def test_a_product_of_columns_in_pieces_is_the_product(rows: int) -> None:
    a, b = draw(1, rows, 64), draw(2, rows, 147)
    out = np.empty((64, 147))
    product_of_columns(a, b, out)
    np.testing.assert_allclose(out, a.T @ b, atol=1e-12)


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
