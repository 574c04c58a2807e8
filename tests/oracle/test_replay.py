"""Whole trainings from one seed on both libraries: the same start, order, dropout and losses."""

from __future__ import annotations

import numpy as np
import pytest

import ddp
from tests.fixtures import replays

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.oracle

STEPS = {"blitz": 100, "gpt": 100, "lstm": 100, "resnet18_in_float64": 100}
# Where nothing is said: 1e-4 of each loss, 1e-3 of each value at the end and 2e-4 beside it.
CLOSER = {"resnet18_in_float64": (1e-7, 1e-6, 1e-6)}


def assert_same_start_and_draws(found: replays.Story, expected: replays.Story) -> None:
    """To the bit: initial values, batches, dropout masks, and the number drawn next."""
    assert list(found.initial) == list(expected.initial)
    for key, array in expected.initial.items():
        np.testing.assert_array_equal(found.initial[key], array, key, strict=True)
    assert len(found.drawn) > len(found.losses)
    assert found.drawn == expected.drawn


@pytest.mark.timeout(600)  # the ResNets: 40 seconds on a quiet core
@pytest.mark.parametrize("name", STEPS)
def test_a_seeded_training_is_replayed(name: str) -> None:
    """Initial values, batches and dropout masks have the same bits; losses differ by rounding."""
    expected = replays.tell(torch, name, STEPS[name])
    found = replays.tell(ddp, name, STEPS[name])
    assert_same_start_and_draws(found, expected)
    assert len(found.losses) == STEPS[name]
    assert min(found.losses[-10:]) < found.losses[0]
    of_loss, of_value, beside = CLOSER.get(name, (1e-4, 1e-3, 2e-4))
    np.testing.assert_allclose(found.losses, expected.losses, rtol=of_loss)
    for key, array in expected.final.items():
        np.testing.assert_allclose(found.final[key], array, rtol=of_value, atol=beside, err_msg=key)


@pytest.mark.timeout(300)
def test_in_float32_a_resnet_departs_from_pytorch_no_faster_than_pytorch_from_itself() -> None:
    """Its training is chaotic, see `replays.resnet18`; another memory order is another rounding."""
    steps = 8
    expected = replays.tell(torch, "resnet18", steps)
    found = replays.tell(ddp, "resnet18", steps)
    itself = replays.tell(
        torch, "resnet18", steps, lambda model: model.to(memory_format=torch.channels_last)
    )
    assert_same_start_and_draws(found, expected)
    assert found.losses[-1] < found.losses[0]
    of_ours, of_itself = (departures(story, expected) for story in (found, itself))
    assert of_ours[0] < 1e-6
    assert (of_ours <= np.maximum(1e-4, of_itself)).all(), (of_ours, of_itself)


def departures(story: replays.Story, expected: replays.Story) -> replays.Array:
    """By how much the losses have been off so far, relative, step by step."""
    off = np.abs(np.array(story.losses) / np.array(expected.losses) - 1)
    return np.maximum.accumulate(off)
