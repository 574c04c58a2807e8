"""Twenty training steps give PyTorch's losses and weights, as frozen in tests/fixtures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ddp
import ddp.nn
import ddp.optim
from tests.fixtures import programs

FIXTURE = Path(programs.__file__).with_name("training.npz")


@pytest.fixture(scope="module")
def frozen() -> dict[str, Any]:
    with np.load(FIXTURE, allow_pickle=False) as file:
        return dict(file)


@pytest.mark.parametrize("optimizer", programs.OPTIMIZERS)
@pytest.mark.parametrize("name", programs.MODELS)
def test_twenty_steps_are_pytorchs(frozen: dict[str, Any], name: str, optimizer: str) -> None:
    model = programs.build(ddp.nn, name)
    model.load_state_dict(under(frozen, f"{name}/initial/"))
    losses, final = programs.train(ddp, model, optimizer, frozen["images"], frozen["targets"])
    np.testing.assert_allclose(losses, frozen[f"{name}/{optimizer}/losses"], rtol=1e-5)
    expected = under(frozen, f"{name}/{optimizer}/final/")
    assert final.keys() == expected.keys()
    for key, value in expected.items():
        assert final[key].dtype == value.dtype
        scale = float(np.abs(value).max())
        np.testing.assert_allclose(final[key], value, rtol=1e-5, atol=2e-6 * scale, err_msg=key)


def under(frozen: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The arrays whose key begins with `prefix`, without it."""
    return {key.removeprefix(prefix): v for key, v in frozen.items() if key.startswith(prefix)}
