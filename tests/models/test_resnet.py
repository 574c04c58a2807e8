"""Residual networks have torchvision's names, shapes and sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ddp.autograd.random import Generator, manual_seed, use_generator
from ddp.autograd.tensor import Tensor
from ddp.models import resnet18, resnet34, resnet50
from ddp.models.resnet import BasicBlock, Bottleneck, ResNet
from ddp.nn.layers import Linear

NORM = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]


class Zeros(Generator):
    """Draws nothing, for tests that look at names and shapes: 25 million numbers take a second."""

    def uniform(self, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0) -> Any:
        return np.zeros(shape, np.float32)

    def normal(self, shape: tuple[int, ...]) -> Any:
        return np.zeros(shape, np.float32)


def torchvision_keys(depths: tuple[int, ...], convolutions: int) -> list[str]:
    """The keys of torchvision's state dict, spelled out from its structure."""

    def norm(name: str) -> list[str]:
        return [f"{name}.{part}" for part in NORM]

    keys = ["conv1.weight", *norm("bn1")]
    for stage, depth in enumerate(depths, 1):
        for block in range(depth):
            prefix = f"layer{stage}.{block}"
            for n in range(1, convolutions + 1):
                keys += [f"{prefix}.conv{n}.weight", *norm(f"{prefix}.bn{n}")]
            if block == 0 and (stage > 1 or convolutions == 3):
                keys += [f"{prefix}.downsample.0.weight", *norm(f"{prefix}.downsample.1")]
    return [*keys, "fc.weight", "fc.bias"]


@pytest.mark.parametrize(
    ("build", "depths", "convolutions", "size"),
    [
        (resnet18, (2, 2, 2, 2), 2, 11_689_512),
        (resnet34, (3, 4, 6, 3), 2, 21_797_672),
        (resnet50, (3, 4, 6, 3), 3, 25_557_032),
    ],
)
def test_names_and_sizes_are_torchvisions(
    build: Any, depths: tuple[int, ...], convolutions: int, size: int
) -> None:
    with use_generator(Zeros()):
        model = build()
    assert list(model.state_dict()) == torchvision_keys(depths, convolutions)
    assert sum(parameter.numel() for parameter in model.parameters()) == size


def test_a_stage_halves_the_image_and_a_bottleneck_multiplies_the_channels() -> None:
    x = Tensor(np.ones((2, 8, 6, 6), np.float32))
    assert BasicBlock(8, 8)(x).shape == (2, 8, 6, 6)
    with use_generator(Zeros()):
        down = resnet18(num_classes=2).layer2[0]
    assert down(Tensor(np.ones((1, 64, 6, 6), np.float32))).shape == (1, 128, 3, 3)
    assert down.stride == 2
    wide = Bottleneck(8, 2)(x)
    assert wide.shape == (2, 8, 6, 6)


def test_the_stride_of_a_bottleneck_is_in_its_3x3_convolution() -> None:
    block = Bottleneck(8, 4, stride=2)
    assert [block.conv1.stride, block.conv2.stride] == [(1, 1), (2, 2)]


def test_images_of_any_size_give_logits() -> None:
    model = ResNet(BasicBlock, (1, 1, 1, 1), num_classes=7).eval()
    for size in (32, 65):
        assert model(Tensor(np.ones((1, 3, size, size), np.float32))).shape == (1, 7)


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_blocks_start_as_the_identity_when_asked(block: Any) -> None:
    with use_generator(Zeros()):
        model = ResNet(block, (1, 1, 1, 1), 2, zero_init_residual=True)
        ordinary = ResNet(block, (1, 1, 1, 1), 2)
    last = model.layer1[0].bn2 if block is BasicBlock else model.layer1[0].bn3
    assert not last.weight.array.any()
    assert model.layer1[0].bn1.weight.array.all()
    assert ordinary.layer1[0].bn2.weight.array.all()


def test_a_network_can_be_frozen_and_given_a_new_head_as_in_the_tutorial() -> None:
    model = ResNet(BasicBlock, (1, 1, 1, 1), num_classes=5)
    for parameter in model.parameters():
        parameter.requires_grad = False
    model.fc = Linear(512, 10)
    output = model(Tensor(np.ones((2, 3, 32, 32), np.float32)))
    output.sum().backward()
    assert output.shape == (2, 10)
    assert [n for n, p in model.named_parameters() if p.grad is not None] == [
        "fc.weight",
        "fc.bias",
    ]


def test_the_same_seed_gives_the_same_network() -> None:
    def build() -> Any:
        manual_seed(3)
        return ResNet(BasicBlock, (1, 1, 1, 1), 2).state_dict()

    first, second = build(), build()
    assert all(np.array_equal(first[name].array, second[name].array) for name in first)
