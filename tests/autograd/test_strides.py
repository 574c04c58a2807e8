"""What is told of memory: channels-last memory of the engine's own is told as C order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

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


@pytest.mark.parametrize("name", ["view", "reshape", "flatten"])
def test_a_write_through_a_view_of_it_reaches_it(lib: Lib, name: str) -> None:
    y = convolved(lib)
    flat = y.flatten(1) if name == "flatten" else getattr(y, name)(2, -1)
    assert flat._base is y
    flat[1].zero_()
    assert y._version == flat._version == 1
    assert y[1].abs().sum().item() == 0
    assert y[0].abs().sum().item() > 0
    y.fill_(3.0)
    assert flat.tolist() == [[3.0] * 60] * 2


def test_a_write_through_a_view_of_it_is_differentiated(lib: Lib) -> None:
    weight = lib.ones(4, 3, 3, 3, requires_grad=True)
    functional = lib.nn.functional
    y = functional.conv2d(lib.arange(2.0 * 3 * 5 * 7).view(2, 3, 5, 7) / 100, weight)
    flat = y.view(2, -1)
    assert flat.grad_fn.name() == "ViewBackward0"
    flat[:, :15].mul_(10)
    assert y.grad_fn.name() == "torch::autograd::CopySlices"
    (y * y).sum().backward()
    outer, inner = weight.grad[0].sum().item(), weight.grad[1].sum().item()
    assert outer == pytest.approx(100 * inner)


def test_what_was_saved_before_a_view_is_still_watched(lib: Lib) -> None:
    weight = lib.ones(4, 3, 3, 3, requires_grad=True)
    functional = lib.nn.functional
    y = functional.conv2d(lib.ones(2, 3, 5, 7), weight)
    z = y * y
    flat = y.view(2, -1)
    z.sum().backward(retain_graph=True)
    assert weight.grad[0, 0, 0, 0].item() == 2 * 27 * 30
    flat.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


def test_memory_that_others_know_stays_where_it_is() -> None:
    for know in (lambda y: y.detach(), lambda y: y.data, lambda y: y.numpy(), lambda y: y[0]):
        y = convolved(ddp)
        known = know(y)
        memory = y.array
        y.view(2, -1)
        assert y.array is memory
        known[...] = 0
        assert y.array[0].sum() == 0
    mine = np.ones((2, 3, 4, 5), np.float32).transpose(0, 3, 1, 2)
    ddp.from_numpy(mine).view(-1).zero_()
    ddp.Tensor(mine).view(-1).zero_()
    assert mine.sum() == mine.size
