"""What is told of memory: channels-last memory of the engine's own is told as C order."""

from __future__ import annotations

from typing import Any

import numpy as np

import ddp

Lib = Any


def convolved(lib: Lib) -> Any:
    """(2, 4, 3, 5), channels-last in our memory."""
    image = lib.arange(2.0 * 3 * 5 * 7).view(2, 3, 5, 7)
    functional = __import__(f"{lib.__name__}.nn.functional", fromlist=["conv2d"])
    return functional.conv2d(image, lib.ones(4, 3, 3, 3))


def test_a_convolutions_output_is_contiguous(lib: Lib) -> None:
    y = convolved(lib)
    assert y.is_contiguous()
    assert y.stride() == (60, 15, 5, 1)
    assert y.stride(1) == 15
    assert y.relu().stride() == (60, 15, 5, 1)
    assert y.contiguous() is y
    assert y.view(2, -1).stride() == (60, 1)


def test_a_view_of_it_has_the_strides_of_a_view(lib: Lib) -> None:
    y = convolved(lib)
    assert y.transpose(0, 1).stride() == (15, 60, 5, 1)
    assert y.permute(0, 2, 3, 1).stride() == (60, 5, 1, 15)
    assert not y.permute(0, 2, 3, 1).is_contiguous()
    assert y[:, 1:, ::2].stride() == (60, 15, 10, 1)
    assert y[0].is_contiguous()
    assert not y[:, 1].is_contiguous()
    assert y.unsqueeze(1).is_contiguous()


def test_a_contiguous_copy_of_a_view_has_memory_of_its_own(lib: Lib) -> None:
    y = convolved(lib)
    dense = y.permute(0, 2, 3, 1).contiguous()
    assert dense.is_contiguous()
    assert dense.stride() == (60, 20, 4, 1)
    before = y.sum().item()
    dense.zero_()
    assert y.sum().item() == before


def test_other_memory_is_told_as_it_is(lib: Lib) -> None:
    x = lib.arange(12.0).view(3, 4)
    assert (x.t() * 2).stride() == (1, 4)
    assert x[:, 1].stride() == (4,)
    assert not x.t().is_contiguous()
    assert x[1:].is_contiguous()
    assert lib.zeros(0, 3).t().is_contiguous()
    assert lib.zeros(3, 1, 2).transpose(0, 1).is_contiguous()
    assert x.expand(2, 3, 4).stride() == (0, 4, 1)


def test_memory_of_numpy_is_told_in_elements() -> None:
    assert ddp.from_numpy(np.zeros((4, 6), np.float32)[::2, ::-3]).stride() == (12, -3)
