"""`device=` and `dtype=` of layers against PyTorch: dtypes, initial bits, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import ddp
from tests.oracle.compare import torch

pytestmark = pytest.mark.oracle

LAYERS: list[tuple[str, tuple[int, ...]]] = [
    ("Linear", (5, 7)),
    ("Conv1d", (2, 4, 3)),
    ("Conv2d", (2, 4, 3)),
    ("ConvTranspose1d", (2, 4, 3)),
    ("ConvTranspose2d", (2, 4, 3)),
    ("BatchNorm1d", (3,)),
    ("BatchNorm2d", (3,)),
    ("LayerNorm", (3,)),
    ("GroupNorm", (2, 4)),
    ("Embedding", (9, 4)),
    ("PReLU", (2,)),
    ("RNN", (3, 4)),
    ("GRU", (3, 4)),
    ("LSTM", (3, 4)),
    ("RNNCell", (3, 4)),
    ("LSTMCell", (3, 4)),
    ("MultiheadAttention", (4, 2)),
    ("TransformerEncoderLayer", (4, 2, 8)),
]


@pytest.fixture
def doubles() -> Iterator[None]:
    """float64 as the default dtype of both."""
    for lib in (ddp, torch):
        lib.set_default_dtype(lib.float64)
    yield
    for lib in (ddp, torch):
        lib.set_default_dtype(lib.float32)


def states(name: str, args: tuple[int, ...], **options: Any) -> list[dict[str, Any]]:
    """The state dict on both, from one seed, as arrays; `dtype` by name."""
    found = []
    for lib in (ddp, torch):
        given = options | ({"dtype": getattr(lib, options["dtype"])} if "dtype" in options else {})
        lib.manual_seed(3)
        layer = getattr(lib.nn, name)(*args, **given)
        found.append({key: value.numpy() for key, value in layer.state_dict().items()})
    return found


def assert_same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert list(ours) == list(theirs)
    for key, expected in theirs.items():
        assert ours[key].dtype == expected.dtype
        # float64 normals differ in the last bits: PyTorch's logarithm is its own.
        np.testing.assert_allclose(ours[key], expected, rtol=1e-12, atol=0, err_msg=key)


@pytest.mark.parametrize(("name", "args"), LAYERS)
def test_a_layer_made_of_float64_starts_as_pytorchs(name: str, args: tuple[int, ...]) -> None:
    assert_same(*states(name, args, device="cpu", dtype="float64"))


@pytest.mark.usefixtures("doubles")
@pytest.mark.parametrize(("name", "args"), LAYERS)
def test_a_layer_is_made_of_the_default_dtype(name: str, args: tuple[int, ...]) -> None:
    assert_same(*states(name, args))


def test_device_and_dtype_follow_the_other_arguments() -> None:
    for lib in (ddp, torch):
        layers: list[Any] = [
            lib.nn.Linear(2, 3, False, "cpu", lib.float64),
            lib.nn.BatchNorm2d(3, 1e-5, 0.1, True, True, "cpu", lib.float64),
            lib.nn.LayerNorm(3, 1e-5, True, True, "cpu", lib.float64),
        ]
        assert all(layer.weight.dtype == lib.float64 for layer in layers)


@pytest.mark.parametrize(("name", "args"), LAYERS)
def test_a_layer_cannot_be_made_of_integers(name: str, args: tuple[int, ...]) -> None:
    for lib in (ddp, torch):
        with pytest.raises((RuntimeError, NotImplementedError)):
            getattr(lib.nn, name)(*args, dtype=lib.int64)
