"""The ways to convolve agree with each other, whatever the shape, and are chosen by shape alone."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ddp.autograd.ops import conv, conv_columns, conv_winograd
from ddp.autograd.ops.window import Window, window_on

Array = np.ndarray[Any, np.dtype[Any]]

sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))
frames = st.tuples(
    st.tuples(st.integers(0, 2), st.integers(0, 2)), st.tuples(st.integers(0, 2), st.integers(0, 2))
)


def draw(seed: int, *shape: int, dtype: Any = np.float64) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def three_by_three(size: tuple[int, int], frame: Any = ((1, 1), (1, 1))) -> Window:
    return window_on(size, (3, 3), (1, 1), frame, (1, 1))


@given(sizes, frames, st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_winograd_convolves_as_the_columns_do(
    size: tuple[int, int], frame: Any, images: int, channels: int, outputs: int
) -> None:
    window = three_by_three(size, frame)
    assume(min(window.output) > 0)
    check_winograd(window, images, channels, outputs)


@pytest.mark.parametrize("size", [(40, 40), (5, 300), (600, 3)], ids=str)
def test_winograd_convolves_images_of_more_tiles_than_a_block_has(size: tuple[int, int]) -> None:
    check_winograd(three_by_three(size), 2, 2, 3)


@pytest.mark.parametrize("images", [0, 1, 64, 65, 130])
def test_winograd_convolves_any_number_of_images(images: int) -> None:
    check_winograd(three_by_three((4, 4)), images, 2, 3)


def weight_gradient(way: ModuleType, dy: Array, x: Array, window: Window) -> Array:
    dw = np.empty((dy.shape[3], x.shape[3], *window.kernel), x.dtype)
    way.weight_gradient(dy, x, window, dw)
    return dw


def check_winograd(window: Window, images: int, channels: int, outputs: int) -> None:
    x = draw(1, images, *window.input, channels)
    w = draw(2, outputs, channels, 3, 3)
    dy = draw(3, images, *window.output, outputs)
    y = conv_winograd.correlate(x, conv_winograd.transformed(w), window)
    np.testing.assert_allclose(y, conv_columns.correlate(x, w, window), atol=1e-12)
    dw = weight_gradient(conv_winograd, dy, x, window)
    np.testing.assert_allclose(dw, weight_gradient(conv_columns, dy, x, window), atol=1e-10)
    back = conv.reversed_window(window)
    assert back is not None
    dx = conv_winograd.correlate(dy, conv_winograd.transformed_mirrored(w), back)
    np.testing.assert_allclose(
        dx, conv_columns.correlate_taps(dy, conv_columns.mirrored_taps(w), back), atol=1e-12
    )
    scattered = conv_columns.scattered_gradient(dy, w, window)
    np.testing.assert_allclose(dx, scattered, atol=1e-12)


@pytest.mark.parametrize("channels", [64, 256])
def test_winograd_is_as_exact_as_a_sum_in_float32(channels: int) -> None:
    window = three_by_three((16, 16))
    x = draw(1, 2, 16, 16, channels, dtype=np.float32)
    w = draw(2, 64, channels, 3, 3, dtype=np.float32)
    dy = draw(3, 2, 16, 16, 64, dtype=np.float32)
    y = conv_winograd.correlate(x, conv_winograd.transformed(w), window)
    dw = weight_gradient(conv_winograd, dy, x, window)
    assert y.dtype == dw.dtype == np.float32
    x, w, dy = (array.astype(np.float64) for array in (x, w, dy))
    exact = conv_columns.correlate(x, w, window)
    assert abs(y - exact).max() < 1e-6 * abs(exact).max()
    exact = weight_gradient(conv_columns, dy, x, window)
    assert abs(dw - exact).max() < 1e-6 * abs(exact).max()


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("outputs", [1, 2, 6, 40])
@pytest.mark.parametrize("width", [5, 12, 28])
def test_a_row_of_columns_may_serve_several_pixels(stride: int, outputs: int, width: int) -> None:
    window = window_on((9, width), (3, 5), (stride, stride), ((1, 1), (2, 2)), (1, 1))
    x, w = draw(1, 3, 9, width, 2), draw(2, outputs, 2, 3, 5)
    dy = draw(3, 3, *window.output, outputs)
    y = conv_columns.correlate(x, w, window)
    dw = weight_gradient(conv_columns, dy, x, window)
    dx = conv_columns.scattered_gradient(dy, w, window)
    expected = np.zeros_like(y)
    padded = np.pad(x, ((0, 0), (1, 1), (2, 2), (0, 0)))
    for row, column in np.ndindex(3, 5):
        expected += window.shifted(padded, row, column) @ w[:, :, row, column].T
    np.testing.assert_allclose(y, expected, atol=1e-12)
    # A map linear in x and in w: <dy, y> = <dx, x> = <dw, w>.
    np.testing.assert_allclose((dx * x).sum(), (dy * y).sum(), atol=1e-10)
    np.testing.assert_allclose((dw * w).sum(), (dy * y).sum(), atol=1e-10)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
def test_columns_take_the_kernels_order_where_they_are_fewer(stride: int, dilation: int) -> None:
    window = window_on((4, 5), (3, 2), (stride, stride), ((1, 2), (1, 0)), (dilation, dilation))
    x, w = draw(1, 1, 4, 5, 3), draw(2, 40, 3, 3, 2)
    assert conv_columns.leaves_kernels(window, 1, 40)
    y = conv_columns.correlate(x, w, window)
    np.testing.assert_allclose(
        y, conv_columns.correlate_taps(x, conv_columns.taps_of(w), window), atol=1e-12
    )
    dy = draw(3, *y.shape)
    dw = weight_gradient(conv_columns, dy, x, window)
    dx = conv_columns.scattered_gradient(dy, w, window)
    np.testing.assert_allclose((dx * x).sum(), (dy * y).sum(), atol=1e-10)
    np.testing.assert_allclose((dw * w).sum(), (dy * y).sum(), atol=1e-10)


def test_columns_of_large_images_are_made_some_rows_at_a_time() -> None:
    window = window_on((130, 130), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
    x, taps = draw(1, 2, 130, 130, 8), draw(2, 3, 3, 8, 24)
    blocks = [block for block, _ in conv_columns.column_blocks(x, window, 1)]
    assert len(blocks) > 4
    assert [block.start for block in blocks] == [0, *[block.stop for block in blocks[:-1]]]
    y = conv_columns.correlate_taps(x, taps, window)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = sum(window.shifted(padded, *place) @ taps[place] for place in np.ndindex(3, 3))
    np.testing.assert_allclose(y, expected, atol=1e-12)


def test_the_way_is_chosen_by_shape() -> None:
    def chosen(size: int, images: int, channels: int) -> bool:
        window = three_by_three((size, size))
        return conv.suits_winograd(window, images, channels, channels)

    assert [chosen(size, 16, n) for size, n in ((16, 64), (8, 128), (14, 256))] == [True] * 3
    assert [chosen(size, 4, n) for size, n in ((56, 64), (28, 128), (14, 256))] == [True] * 3
    assert not chosen(2, 16, 512)
    assert not chosen(16, 16, 16)
    strided = window_on((16, 16), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1))
    assert not conv.suits_winograd(strided, 16, 64, 64)


@pytest.mark.parametrize(
    ("size", "stride", "dilation", "outputs"),
    [((9, 28), 1, 1, 6), ((9, 28), 2, 1, 2), ((9, 12), 1, 2, 6), ((4, 5), 1, 1, 40)],
    ids=["several pixels a row", "strided", "dilated", "by channel"],
)
def test_columns_that_are_kept_give_the_same_bits(
    size: tuple[int, int], stride: int, dilation: int, outputs: int
) -> None:
    window = window_on(size, (3, 3), (stride, stride), ((1, 1), (1, 1)), (dilation, dilation))
    x, w = draw(1, 1, *size, 2), draw(2, outputs, 2, 3, 3)
    kept = conv_columns.only_block(x, outputs, window)
    assert kept is not None
    y = conv_columns.correlate(x, w, window)
    assert np.array_equal(y, conv_columns.correlate(x, w, window, kept))
    dy = draw(3, *y.shape)
    dw = np.empty_like(w)
    conv_columns.weight_gradient(dy, x, window, dw, kept)
    assert np.array_equal(dw, weight_gradient(conv_columns, dy, x, window))


def test_columns_are_kept_only_where_one_block_holds_them() -> None:
    def is_kept(images: int, size: int, kernel: int) -> bool:
        window = window_on((size, size), (kernel, kernel), (1, 1), ((0, 0), (0, 0)), (1, 1))
        x = np.zeros((images, size, size, 8), np.float32)
        return conv_columns.only_block(x, 8, window) is not None

    assert is_kept(1, 20, 3)
    assert not is_kept(40, 20, 3)  # larger than a block
    assert not is_kept(1, 20, 1)  # the image itself
    assert not is_kept(0, 20, 3)
