"""The beginning of whole trainings, against what PyTorch told of them once, from the same seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ddp
from tests.fixtures import replays

EXPECTED = np.load(Path(replays.__file__).with_name("replays.npz"))


@pytest.mark.parametrize("name", replays.FROZEN_STEPS)
def test_a_seeded_training_goes_as_in_pytorch(name: str) -> None:
    story = replays.tell(ddp, name, replays.FROZEN_STEPS[name])
    for key, array in story.initial.items():
        expected = EXPECTED[f"{name}/initial/{key}"]
        np.testing.assert_allclose(replays.digest(array), expected, rtol=1e-12, err_msg=key)
    np.testing.assert_allclose(story.losses, EXPECTED[f"{name}/losses"], rtol=1e-4)
    for key, array in story.final.items():
        expected = EXPECTED[f"{name}/final/{key}"]
        np.testing.assert_allclose(
            replays.digest(array), expected, rtol=1e-3, atol=1e-3, err_msg=key
        )
