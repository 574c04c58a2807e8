"""Modules in other dtypes, and on the only device there is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ddp
from ddp import nn


@pytest.fixture
def module() -> Any:
    """A parameter with a gradient, floating buffers and a counter."""
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    model(ddp.ones(3, 2)).sum().backward()
    return model


@pytest.mark.parametrize("place", ["cpu", ddp.device("cpu"), None])
def test_moving_to_the_cpu_gives_the_same_module_untouched(module: Any, place: Any) -> None:
    memory = module[0].weight.array
    assert module.to(place) is module
    assert module.to(device=place) is module
    assert module[0].weight.array is memory


@pytest.mark.parametrize(
    "convert",
    [
        lambda m: m.double(),
        lambda m: m.to(ddp.float64),
        lambda m: m.to("cpu", ddp.float64),
        lambda m: m.to(ddp.device("cpu"), dtype=ddp.float64, non_blocking=True),
        lambda m: m.to(ddp.zeros(1, dtype=ddp.float64)),
        lambda m: m.type(ddp.float64),
    ],
)
def test_parameters_gradients_and_floating_buffers_change_and_stay_the_same_objects(
    module: Any, convert: Any
) -> None:
    weight, counter = module[0].weight, module[1].num_batches_tracked
    assert convert(module) is module
    assert module[0].weight is weight
    assert weight.dtype == weight.grad.dtype == module[1].running_mean.dtype == np.float64
    assert counter.dtype == np.int64
    module(ddp.ones(3, 2, dtype=ddp.float64)).sum().backward()


def test_a_device_does_not_change_the_dtype(module: Any) -> None:
    assert module.double().to("cpu")[0].weight.dtype == np.float64
    assert module.half().float()[0].weight.dtype == np.float32


def test_an_integer_dtype_is_refused(module: Any) -> None:
    with pytest.raises(TypeError, match="only accepts floating point or complex dtypes"):
        module.to(ddp.int64)


@pytest.mark.parametrize("move", [lambda m: m.to("cuda"), lambda m: m.cuda()])
def test_another_device_is_refused(module: Any, move: Any) -> None:
    with pytest.raises(RuntimeError, match="on the CPU only"):
        move(module)


def test_bfloat16_is_refused(module: Any) -> None:
    with pytest.raises(NotImplementedError, match="bfloat16"):
        module.bfloat16()
