"""Convolution and pooling of any geometry against the definition, written out in loops."""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ddp.autograd.ops import max_pool
from ddp.autograd.ops.window import Window, window_on
from ddp.autograd.tensor import Tensor
from ddp.nn import functional as F

Array = np.ndarray[Any, np.dtype[Any]]

pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
paddings = st.tuples(st.integers(0, 2), st.integers(0, 2))
sizes = st.tuples(st.integers(1, 7), st.integers(1, 7))


def draw(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def windows(x: Array, window: Window, fill: float) -> Array:
    """(N, C, Ho, Wo, kh, kw): what each window of (N, C, H, W) sees."""
    (top, bottom), (left, right) = window.padding
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
    seen = np.empty((*x.shape[:2], *window.output, *window.kernel))
    for i, j, u, v in np.ndindex(*window.output, *window.kernel):
        row = i * window.stride[0] + u * window.dilation[0]
        column = j * window.stride[1] + v * window.dilation[1]
        seen[:, :, i, j, u, v] = padded[:, :, row, column]
    return seen


@given(sizes, pairs, pairs, paddings, pairs, st.integers(0, 3), st.sampled_from([1, 2]))
def test_conv2d_is_its_definition(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    images: int,
    groups: int,
) -> None:
    frame = ((padding[0], padding[0]), (padding[1], padding[1]))
    window = window_on(size, kernel, stride, frame, dilation)
    assume(min(window.output) > 0)
    x, w = draw(1, images, 4, *size), draw(2, 6, 4 // groups, *kernel)
    seen = windows(x, window, 0).reshape(images, groups, 4 // groups, *window.output, *kernel)
    weights = w.reshape(groups, 6 // groups, 4 // groups, *kernel)
    expected = np.einsum("ngcijuv,gocuv->ngoij", seen, weights).reshape(images, 6, *window.output)
    our_x, our_w = Tensor(x, requires_grad=True), Tensor(w, requires_grad=True)
    y = F.conv2d(our_x, our_w, None, stride, padding, dilation, groups)
    np.testing.assert_allclose(y.array, expected, atol=1e-12)
    dy = draw(3, *y.shape)
    y.backward(Tensor(dy))
    # The gradients of a map linear in x and in w: <dy, y> = <dx, x> = <dw, w>.
    assert our_x.grad is not None
    assert our_w.grad is not None
    np.testing.assert_allclose((our_x.grad.array * x).sum(), (dy * expected).sum(), atol=1e-9)
    np.testing.assert_allclose((our_w.grad.array * w).sum(), (dy * expected).sum(), atol=1e-9)


@given(sizes, pairs, pairs, st.booleans(), st.booleans())
def test_max_pool2d_is_its_definition(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padded: bool,
    ceil_mode: bool,
) -> None:
    padding = (kernel[0] // 2, kernel[1] // 2) if padded else (0, 0)
    frame = ((padding[0], padding[0]), (padding[1], padding[1]))
    window = window_on(size, kernel, stride, frame, (1, 1), ceil_mode)
    assume(min(window.output) > 0)
    x = np.random.default_rng(4).integers(0, 3, (2, 3, *size)).astype(np.float32)  # with ties
    seen = windows(x, window, -np.inf).reshape(2, 3, *window.output, -1)
    our_x = Tensor(x, requires_grad=True)
    y = F.max_pool2d(our_x, kernel, stride, padding, ceil_mode=ceil_mode)
    np.testing.assert_array_equal(y.array, seen.max(-1))
    y.backward(Tensor(np.ones(y.shape, np.float32)))
    assert our_x.grad is not None
    assert our_x.grad.array.sum() == y.numel()


@given(sizes, pairs, st.integers(0, 3), st.integers(1, 3))
def test_windows_side_by_side_are_taken_apart_to_the_same_numbers_and_places(
    size: tuple[int, int], kernel: tuple[int, int], images: int, channels: int
) -> None:
    window = window_on(size, kernel, kernel, ((0, 0), (0, 0)), (1, 1))
    assume(min(window.output) > 0)
    assert max_pool.is_side_by_side(window)
    x = np.random.default_rng(5).integers(0, 3, (images, *size, channels)).astype(np.float32)
    walked, apart = (np.zeros((images, *window.output, channels), np.float32) for _ in range(2))
    places_walked, places_apart = (np.zeros(walked.shape, np.uint8) for _ in range(2))
    dy, dx_walked, dx_apart = draw(6, *walked.shape), np.zeros(x.shape), np.zeros(x.shape)
    max_pool.find_maxima(x, window, walked, places_walked)
    max_pool.give_to_maxima(dy, places_walked, window, dx_walked)
    with mock.patch.object(max_pool, "MATRIX", 8):  # several blocks, some of a part of an image
        max_pool.find_maxima_apart(x, window, apart, places_apart)
        max_pool.give_to_maxima_apart(dy, places_apart, window, dx_apart)
    np.testing.assert_array_equal(apart, walked)
    np.testing.assert_array_equal(places_apart, places_walked)
    np.testing.assert_array_equal(dx_apart, dx_walked)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1)], ids=["its own", "channels last"])
def test_an_image_that_is_changed_after_its_convolution_is_noticed(order: tuple[int, ...]) -> None:
    memory = np.ones((2, 3, 5, 7), np.float32).transpose(order).copy()
    x = Tensor(memory.transpose(np.argsort(order)))
    w = Tensor(np.ones((4, 3, 3, 3), np.float32)).requires_grad_()
    y = F.conv2d(x, w)
    x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
