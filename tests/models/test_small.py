"""The small networks take the images they say they take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ddp.autograd.tensor import Tensor
from ddp.models import MnistNet, Net, digits_cnn, mlp


@pytest.mark.parametrize(
    ("build", "image", "size"),
    [
        (digits_cnn, (1, 8, 8), 25_978),
        (Net, (3, 32, 32), 62_006),
        (MnistNet, (1, 28, 28), 1_199_882),
        (lambda: mlp([12, 5, 10]), (3, 2, 2), 12 * 5 + 5 + 5 * 10 + 10),
    ],
)
def test_images_give_ten_logits(build: Any, image: tuple[int, ...], size: int) -> None:
    model = build()
    assert model(Tensor(np.ones((2, *image), np.float32))).shape == (2, 10)
    assert sum(parameter.numel() for parameter in model.parameters()) == size


def test_the_tutorials_network_has_the_tutorials_names() -> None:
    layers = ("conv1", "conv2", "fc1", "fc2", "fc3")
    names = [f"{layer}.{part}" for layer in layers for part in ("weight", "bias")]
    assert [name for name, _ in Net().named_parameters()] == names


def test_a_network_of_one_size_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two sizes"):
        mlp([3])
