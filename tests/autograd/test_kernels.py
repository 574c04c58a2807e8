"""The kernels that work block by block: as exact as they say, wherever the blocks end."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from ddp.autograd.ops import blocks, gelu
from ddp.autograd.ops.embedding import add_rows
from ddp.autograd.ops.erf import erf
from ddp.autograd.tensor import Tensor
from ddp.nn import functional as F

RNG = np.random.default_rng(0)


def test_much_memory_begins_on_a_cache_line() -> None:
    sizes = [0, 7, blocks.ALIGNED_FROM_BYTES, blocks.ALIGNED_FROM_BYTES + 1]
    arrays = [blocks.aligned_empty((3, size), np.dtype(np.float32)) for size in sizes]
    assert all(array.ctypes.data % blocks.CACHE_LINE == 0 for array in arrays[2:])
    assert [array.shape for array in arrays] == [(3, size) for size in sizes]
    swapped = blocks.aligned_like(arrays[2].T)
    assert swapped.strides == arrays[2].T.strides
    assert swapped.ctypes.data % blocks.CACHE_LINE == 0


def test_arrays_are_worked_on_where_they_lie_only_as_long_as_asked() -> None:
    usual = np.getbufsize()
    with blocks.unbuffered():
        assert np.getbufsize() == blocks.LONG_RUN
    assert np.getbufsize() == usual


def test_blocks_are_views_that_cover_everything_once() -> None:
    x = np.zeros((3, blocks.BLOCK // 2 + 1))
    for (part,) in blocks.blocks(x):
        part += 1
    for (part,) in blocks.row_blocks(x):
        part += 1
    assert (x == 2).all()


def test_the_normal_distribution_function_is_exact_to_float32() -> None:
    x = np.linspace(-30, 30, 60_001, dtype=np.float32)
    exact = [math.erfc(-value / math.sqrt(2)) / 2 for value in x.tolist()]
    found = np.empty_like(x)
    gelu.cumulative(x, x * x, found)
    assert np.abs(found - exact).max() < 1.1e-7


def test_erf_is_exact_to_float32() -> None:
    x = np.linspace(-6, 6, 2 * blocks.BLOCK + 3, dtype=np.float32)
    np.testing.assert_allclose(erf(x), [math.erf(value) for value in x.tolist()], 4e-7, 0)


def test_gelu_over_several_blocks_is_that_of_float64() -> None:
    x = RNG.standard_normal((3, blocks.BLOCK // 2 + 5)) * 3
    single = Tensor(x.astype(np.float32), requires_grad=True)
    double = Tensor(x, requires_grad=True)
    for tensor in (single, double):
        F.gelu(tensor).sum().backward()
    np.testing.assert_allclose(F.gelu(single).detach(), F.gelu(double).detach(), 1e-6, 1e-6)
    assert single.grad is not None
    assert double.grad is not None
    np.testing.assert_allclose(single.grad, double.grad, 1e-6, 1e-6)


def test_gelu_of_what_is_not_finite_is_pytorchs() -> None:
    x = np.array([math.inf, -math.inf, math.nan, 1e20, -1e20], np.float32)
    found = F.gelu(Tensor(x)).array
    np.testing.assert_array_equal(found, [math.inf, math.nan, math.nan, x[3], 0])


@pytest.mark.parametrize("length", [1, 24, 1024, 1500])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_layer_norm_over_several_blocks_is_that_of_float64(length: int, offset: float) -> None:
    x = RNG.standard_normal((2 * blocks.BLOCK // length + 3, length)) + offset
    w, b, dy = (RNG.standard_normal(shape) for shape in (length, length, x.shape))
    results = [_normalised(array_type, x, w, b, dy) for array_type in (np.float32, np.float64)]
    tolerance = 2e-5 if offset == 0 else 2e-3  # of x itself, float32 keeps 6e-5
    for single, double in zip(*results, strict=True):
        scale = np.abs(double).max()
        np.testing.assert_allclose(single, double, tolerance, tolerance * scale)


def _normalised(dtype: type, *arrays: np.ndarray) -> list[np.ndarray]:
    x, w, b = (Tensor(array.astype(dtype), requires_grad=True) for array in arrays[:3])
    y = F.layer_norm(x, w.shape, w, b)
    y.backward(Tensor(arrays[3].astype(dtype)))
    gradients = [tensor.grad.array for tensor in (x, w, b) if tensor.grad is not None]
    return [y.detach().array, *gradients]


def test_causal_attention_in_tiles_is_that_with_a_mask() -> None:
    for length, keys in ((150, 150), (70, 200), (130, 65), (3, 3)):
        arrays = [RNG.standard_normal((2, 3, n, 8)) for n in (length, keys, keys)]
        dy = Tensor(RNG.standard_normal((2, 3, length, 8)))
        mask = Tensor(np.tri(length, keys, dtype=np.bool_))
        results = []
        for options in ({"is_causal": True}, {"attn_mask": mask}):
            q, k, v = (Tensor(array, requires_grad=True) for array in arrays)
            y = F.scaled_dot_product_attention(q, k, v, **options)
            y.backward(dy)
            gradients = [x.grad.array for x in (q, k, v) if x.grad is not None]
            results.append([y.detach().array, *gradients])
        for tiled, whole in zip(*results, strict=True):
            np.testing.assert_allclose(tiled, whole, 1e-12, 1e-12)


@pytest.mark.parametrize(("length", "features"), [(70, 4), (256, 64)])
def test_heads_of_one_projection_get_the_gradients_of_heads_apart(
    length: int, features: int
) -> None:
    """Heads of one projection have gradients in one memory, which `split` need not join."""
    packed = RNG.standard_normal((2, length, 3 * 2 * features))
    apart = [np.ascontiguousarray(part) for part in np.split(packed, 3, 2)]
    dy = Tensor(RNG.standard_normal((2, 2, length, features)))

    def attend(parts: Any) -> None:
        q, k, v = (part.view(2, length, 2, features).transpose(1, 2) for part in parts)
        F.scaled_dot_product_attention(q, k, v, is_causal=True).backward(dy)

    together = Tensor(packed, requires_grad=True)
    attend(together.split(2 * features, 2))
    alone = [Tensor(part, requires_grad=True) for part in apart]
    attend(alone)
    assert together.grad is not None
    expected = np.concatenate([x.grad.array for x in alone if x.grad is not None], 2)
    np.testing.assert_array_equal(together.grad.array, expected)


@pytest.mark.parametrize("order", [(0, 1, 3, 2), (3, 2, 1, 0), (2, 0, 1, 3)])
def test_attention_has_the_same_bits_whatever_the_order_of_memory(order: tuple[int, ...]) -> None:
    values = RNG.standard_normal((4, 2, 3, 70, 16)).astype(np.float32)
    results = []
    for axes in ((0, 1, 2, 3), order):
        arrays = (
            np.ascontiguousarray(x.transpose(axes)).transpose(np.argsort(axes)) for x in values
        )
        q, k, v, dy = (Tensor(array, requires_grad=True) for array in arrays)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        y.backward(dy.detach())
        gradients = [x.grad.array for x in (q, k, v) if x.grad is not None]
        results.append([y.detach().array, *gradients])
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2)])
def test_split_joins_views_of_one_array_without_a_copy_if_they_lie_in_order(
    axis: int, order: tuple[int, ...]
) -> None:
    x = Tensor(np.zeros((6, 9)), requires_grad=True)
    parts = x.split(2 if axis == 0 else 3, axis)
    dys = np.split(RNG.standard_normal((6, 9)), 3, axis)
    dys = [dys[i] for i in order]
    node = parts[0].grad_fn
    assert node is not None
    (joined,) = node.backward(*dys)
    np.testing.assert_array_equal(joined, np.concatenate(dys, axis))
    assert np.shares_memory(joined, dys[0]) == (order == (0, 1, 2))


@pytest.mark.parametrize("size", [1.0, 30.0, 1e4])
def test_attention_does_not_overflow_whatever_the_scores(size: float) -> None:
    q, k, v = (RNG.standard_normal((2, 70, 16)) for _ in range(3))
    results = []
    for dtype in (np.float32, np.float64):
        a, b, c = (Tensor((x * s).astype(dtype)) for x, s in ((q, size), (k, 1.0), (v, 1.0)))
        results.append(F.scaled_dot_product_attention(a, b, c, is_causal=True).array)
    np.testing.assert_allclose(*results, 1e-3, 1e-4 * max(size / 10, 1))


@pytest.mark.parametrize(("table_rows", "count"), [(1, 0), (3, 500), (300, 400), (2000, 3000)])
def test_rows_are_added_one_after_the_other_in_their_order(table_rows: int, count: int) -> None:
    indices = RNG.integers(0, table_rows, count) // RNG.integers(1, 9, count)
    rows = RNG.standard_normal((count, 5)).astype(np.float32)
    found, expected = np.zeros((2, table_rows, 5), np.float32)
    add_rows(found, indices, rows)
    np.add.at(expected, indices, rows)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("size", [1.0, 30.0, 1e4])
@pytest.mark.parametrize("shape", [(2, 3, 5), (blocks.BLOCK // 3, 7), (2, 2000)])
def test_softmax_over_several_blocks_is_that_of_float64(
    shape: tuple[int, ...], size: float
) -> None:
    x, dy = RNG.standard_normal(shape) * size, RNG.standard_normal(shape)
    results = []
    for dtype in (np.float32, np.float64):
        tensor = Tensor(x.astype(np.float32).astype(dtype), requires_grad=True)
        y = F.softmax(tensor, -1)
        y.backward(Tensor(dy.astype(dtype)))
        assert tensor.grad is not None
        results.append((y.detach().array, tensor.grad.array))
    for single, double in zip(*results, strict=True):
        np.testing.assert_allclose(single, double, 1e-4, 1e-6)
