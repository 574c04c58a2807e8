"""Whole trainings from one seed on both libraries: the same start, order, dropout and losses."""

from __future__ import annotations

import numpy as np
import pytest

import ddp
from tests.fixtures import replays

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.oracle

STEPS = {"blitz": 100, "gpt": 100, "lstm": 100, "resnet18": 6}


@pytest.mark.parametrize("name", STEPS)
def test_a_seeded_training_is_replayed(name: str) -> None:
    """Initial values have the same bits; losses differ by rounding only, step by step."""
    expected = replays.tell(torch, name, STEPS[name])
    found = replays.tell(ddp, name, STEPS[name])
    assert list(found.initial) == list(expected.initial)
    for key, array in expected.initial.items():
        np.testing.assert_array_equal(found.initial[key], array, key, strict=True)
    assert len(found.losses) == STEPS[name]
    assert found.losses[-1] < found.losses[0]
    np.testing.assert_allclose(found.losses, expected.losses, rtol=1e-4)
    for key, array in expected.final.items():
        np.testing.assert_allclose(found.final[key], array, rtol=1e-3, atol=2e-4, err_msg=key)
