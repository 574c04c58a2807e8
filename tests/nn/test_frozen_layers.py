"""Initial values, outputs and gradients of layers are PyTorch's, as frozen in tests/fixtures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ddp
import ddp.nn
from tests.fixtures import layers

FIXTURE = Path(layers.__file__).with_name("layers.npz")


@pytest.fixture(scope="module")
def frozen() -> dict[str, Any]:
    with np.load(FIXTURE, allow_pickle=False) as file:
        return dict(file)


@pytest.mark.parametrize("name", layers.LAYERS)
def test_a_layer_starts_and_computes_as_pytorchs(frozen: dict[str, Any], name: str) -> None:
    found = layers.run(ddp, ddp.nn, name)
    expected = {
        key.removeprefix(f"{name}/"): value
        for key, value in frozen.items()
        if key.startswith(f"{name}/")
    }
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key].dtype == value.dtype, key
        # Uniform draws are bit-equal; normal ones (embedding) differ in the last bit.
        exact = key.startswith("initial/") and name != "embedding"
        tolerance = 0 if exact else 2e-5
        np.testing.assert_allclose(found[key], value, tolerance, tolerance, err_msg=key)
