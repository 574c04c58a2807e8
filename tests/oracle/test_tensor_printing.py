"""Printed tensors against PyTorch, for many random tensors. Only the dtype's module differs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ddp
from ddp.autograd.tensor import Tensor

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

SHAPES = [(), (1,), (5,), (40,), (3, 4), (2, 3, 4), (0,), (0, 3), (1001,), (30, 40), (8, 9, 20)]


def _array(random: np.random.Generator, kind: int, shape: tuple[int, ...]) -> Any:
    values = random.standard_normal(shape)
    match kind:
        case 0:
            return values.astype(np.float32)
        case 1:
            return (values * 10 ** random.uniform(-6, 9)).astype(np.float32)
        case 2:
            return np.round(values * 10 ** random.uniform(0, 6)).astype(np.float32)
        case 3:
            return np.exp(values * 5).astype(np.float32)
        case 4:
            return (values * 1000).astype(random.choice(["int64", "int32", "uint8", "int8"]))
        case 5:
            return np.asarray(values > 0)
    special = np.array([np.nan, np.inf, -np.inf, 0.0, 1.0, 2.5], np.float32)
    return random.choice(special, shape)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", range(7))
def test_the_text_is_pytorchs(kind: int, shape: tuple[int, ...]) -> None:
    for seed in range(6):
        array = np.asarray(_array(np.random.default_rng(seed), kind, shape))
        ours, theirs = repr(Tensor(array)), repr(torch.tensor(array))
        assert ours.replace("dtype=ddp.", "dtype=torch.") == theirs


@pytest.mark.parametrize("length", range(1, 30))
def test_facts_go_to_a_line_of_their_own_where_pytorchs_do(length: int) -> None:
    for lib in (ddp, torch):
        lib.set_printoptions(profile="default")
    texts = []
    for lib in (ddp, torch):
        x = lib.linspace(0, 1, length, requires_grad=True)
        texts.append(
            repr(x) + repr(x * 2) + repr((x * 2)[0]) + repr((x * 2).reshape(1, -1).expand(2, -1))
        )
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    "options",
    [{"precision": 2}, {"sci_mode": True}, {"sci_mode": False}, {"linewidth": 40}, {"edgeitems": 1},
     {"threshold": 5}, {"profile": "short"}, {"profile": "full"}],
    ids=str,
)  # fmt: skip
def test_options_do_what_they_do_in_pytorch(options: dict[str, Any]) -> None:
    array = np.exp(np.random.default_rng(0).standard_normal((7, 30)) * 3).astype(np.float32)
    try:
        for lib in (ddp, torch):
            lib.set_printoptions(**options)
        assert repr(Tensor(array)) == repr(torch.tensor(array))
    finally:
        for lib in (ddp, torch):
            lib.set_printoptions(profile="default")
