"""PyTorch's own sample and error inputs for optimizers (its OptimizerInfo), run on both."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest

from ddp import nn, optim
from ddp.autograd.tensor import Tensor
from tests.oracle.compare import close, draw, torch

pytest.importorskip("expecttest")  # which PyTorch's samples ask for
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    infos: Any = pytest.importorskip("torch.testing._internal.common_optimizers")

pytestmark = pytest.mark.oracle

ABSENT = {"Adafactor", "Muon", "SparseAdam"}  # not in ddp.optim: AttributeError
INFOS = [info for info in infos.optim_db if info.optim_cls.__name__ not in ABSENT]
SAMPLES = [
    pytest.param(info.optim_cls.__name__, sample.kwargs, id=f"{info.optim_cls.__name__}-{k}")
    for info in INFOS
    for k, sample in enumerate(info.optim_inputs_func(device="cpu"))
]
ERRORS = [
    pytest.param(info.optim_cls.__name__, error, id=f"{info.optim_cls.__name__}-{k}")
    for info in INFOS
    for k, error in enumerate(info.optim_error_inputs_func(device="cpu", dtype=torch.float32))
]


def as_ours(value: Any, seen: dict[int, Tensor] | None = None) -> Any:
    """Tensors as ours, the same ones for the same, inside lists, tuples and dicts too."""
    seen = {} if seen is None else seen
    if isinstance(value, torch.Tensor):
        if id(value) not in seen:
            array = value.detach().numpy().copy()
            seen[id(value)] = Tensor(array, requires_grad=value.requires_grad)
        return seen[id(value)]
    if isinstance(value, dict):
        return {key: as_ours(member, seen) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(as_ours(member, seen) for member in value)
    return value


@pytest.mark.parametrize(("name", "arguments"), SAMPLES)
def test_five_steps_of_a_sample(name: str, arguments: dict[str, Any]) -> None:
    starts = [draw(1, 3, 4, dtype=np.float64), draw(2, 5, dtype=np.float64)]
    ours = [nn.Parameter(Tensor(start.copy())) for start in starts]
    theirs = [torch.nn.Parameter(torch.tensor(start)) for start in starts]
    our_optimizer = getattr(optim, name)(ours, **as_ours(arguments))
    their_optimizer = getattr(torch.optim, name)(theirs, **arguments)

    def closure(optimizer: Any, parameters: list[Any]) -> Any:
        def run() -> Any:
            optimizer.zero_grad()
            loss = sum(((p * p).sum() + p.sum()) for p in parameters)
            loss.backward()
            return loss.detach()

        return run

    for _ in range(5):
        ours_lost = our_optimizer.step(closure(our_optimizer, ours))
        theirs_lost = their_optimizer.step(closure(their_optimizer, theirs))
        assert ours_lost.item() == pytest.approx(theirs_lost.item(), rel=1e-9)
    for our_param, their_param in zip(ours, theirs, strict=True):
        close(our_param, their_param, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("name", "error"), ERRORS)
def test_what_pytorch_refuses_is_refused(name: str, error: Any) -> None:
    given = error.optimizer_error_input

    def build() -> None:
        optimizer = getattr(optim, name)(as_ours(given.params), **as_ours(given.kwargs))
        if error.error_on == infos.OptimizerErrorEnum.STEP_ERROR:
            optimizer.step()

    if issubclass(error.error_type, Warning):
        with pytest.warns(error.error_type, match=error.error_regex):
            build()
    else:
        with pytest.raises(error.error_type) as refusal:
            build()
        assert re.search(error.error_regex, str(refusal.value))


@pytest.mark.parametrize("name", sorted(ABSENT))
def test_what_is_absent_has_no_name(name: str) -> None:
    with pytest.raises(AttributeError, match=name):
        getattr(optim, name)


def test_the_ring_covers_enough() -> None:
    assert len(INFOS) >= 12
    assert len(SAMPLES) >= 75
    assert len(ERRORS) >= 80
