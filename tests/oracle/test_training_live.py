"""The same program, the same seed, on PyTorch and on ddp: the same 20 steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ddp
import ddp.nn
import ddp.optim
from ddp.autograd.random import manual_seed
from tests.fixtures import programs
from tests.oracle.compare import torch

pytestmark = pytest.mark.oracle


def with_dropout(nn: Any) -> Any:
    """The shape of `ddp.models.digits_cnn`, two blocks of it, on either library."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(64, programs.CLASSES),
    )


BUILDERS: dict[str, Any] = {
    "convolutional": lambda nn: programs.build(nn, "convolutional"),
    "mlp": lambda nn: programs.build(nn, "mlp"),
    "with_dropout": with_dropout,
}


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("optimizer", programs.OPTIMIZERS)
@pytest.mark.parametrize("builder", BUILDERS)
def test_a_program_replayed_from_its_seed(builder: str, optimizer: str, seed: int) -> None:
    """Initial values, dropout masks, losses, weights and buffers."""
    images, targets = programs.batches(seed)
    torch.manual_seed(seed)
    theirs = BUILDERS[builder](torch.nn)
    their_losses, expected = programs.train(torch, theirs, optimizer, images, targets)
    manual_seed(seed)
    ours = BUILDERS[builder](ddp.nn)
    our_losses, final = programs.train(ddp, ours, optimizer, images, targets)
    np.testing.assert_allclose(our_losses, their_losses, rtol=1e-5)
    assert final.keys() == expected.keys()
    for key, value in expected.items():
        scale = float(np.abs(value).max())
        np.testing.assert_allclose(
            final[key], value, rtol=1e-5, atol=1e-5 * scale, err_msg=key, strict=True
        )
