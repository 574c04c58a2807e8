"""The layout as memory: alignment, views, and what the flat arrays refuse to hold."""

from __future__ import annotations

import numpy as np
import pytest

from ddp.autograd.tensor import Tensor
from ddp.errors import ConfigError
from ddp.nn.parameter import Parameter
from ddp.parallel.flat import GradientBuffer, aligned_zeros, move_into, require_float32
from tests.parallel.plans import NAMES, SHAPES, arrays, parameters, plan


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 1000])
def test_flat_memory_is_float32_zeros_that_begin_on_a_cache_line(size: int) -> None:
    memories = [aligned_zeros(size) for _ in range(5)]
    for memory in memories:
        assert (memory.dtype, memory.shape) == (np.float32, (size,))
        assert not memory.any()
        assert memory.ctypes.data % 64 == 0 or size == 0


def test_parameters_keep_their_values_and_become_views_of_the_flat_array() -> None:
    placed, total, _ = plan()
    flat, moved = aligned_zeros(total), parameters()
    move_into(flat, placed, moved)
    for parameter, before in zip(moved, arrays(0), strict=True):
        np.testing.assert_array_equal(parameter.array, before)
        assert parameter.array.ctypes.data % 64 == 0
    flat[:] = 5
    assert all((parameter.array == 5).all() for parameter in moved)
    assert all(parameter.requires_grad and parameter.is_leaf for parameter in moved)


def test_a_parameter_stays_the_object_it_was() -> None:
    placed, total, _ = plan()
    moved = [Parameter(Tensor(array)) for array in arrays(0)]
    move_into(aligned_zeros(total), placed, moved)
    assert [type(parameter) for parameter in moved] == [Parameter] * len(NAMES)


@pytest.mark.parametrize("dtype", [np.float64, np.float16])
def test_a_parameter_that_is_not_float32_is_refused_by_name(dtype: type) -> None:
    wrong = parameters()
    wrong[3] = Tensor(np.zeros(2, dtype), requires_grad=True)
    with pytest.raises(ConfigError, match=rf"'scale' is {dtype.__name__}.*\.float\(\)"):
        require_float32(NAMES, wrong)
    require_float32(NAMES, parameters())


def test_gradient_views_share_the_memory_of_the_bucket_and_do_not_overlap() -> None:
    _, _, buckets = plan()
    for bucket in buckets:
        buffer = GradientBuffer(bucket, SHAPES, aligned_zeros(bucket.size))
        for number, view in enumerate(buffer.views, start=1):
            view += number
        for segment, view in zip(bucket.segments, buffer.views, strict=True):
            assert view.shape == SHAPES[segment.parameter]
            assert view.ctypes.data % 64 == 0
        for number, view in enumerate(buffer.views, start=1):
            assert (view == number).all()
        assert np.count_nonzero(buffer.flat) == sum(s.size for s in bucket.segments)
