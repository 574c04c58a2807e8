"""Convolution along one axis, transposed convolution and pooling against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ddp import nn
from ddp.autograd.random import manual_seed
from ddp.autograd.tensor import Tensor
from ddp.nn import functional as F
from tests.oracle.compare import close, draw, same_module, torch

pytestmark = pytest.mark.oracle


def same_layer(kind: str, arguments: tuple[Any, ...], options: dict[str, Any], x: Any) -> None:
    """Same print, same initial bits from the same seed, same numbers."""
    torch.manual_seed(3)
    theirs = getattr(torch.nn, kind)(*arguments, **options)
    manual_seed(3)
    ours = getattr(nn, kind)(*arguments, **options)
    assert repr(ours) == repr(theirs)
    for name, value in theirs.state_dict().items():
        np.testing.assert_array_equal(ours.state_dict()[name].array, value.numpy())
    same_module(ours, theirs, x, rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((2, 4, 9), {}),
        ((4, 9), {"padding": 2}),
        ((2, 4, 12), {"stride": 2, "padding": 1, "dilation": 2}),
        ((2, 4, 9), {"groups": 2, "bias": False}),
        ((2, 4, 9), {"padding": "same", "dilation": 2}),
        ((0, 4, 9), {"padding": "valid"}),
    ],
)
def test_conv1d(shape: tuple[int, ...], options: dict[str, Any]) -> None:
    same_layer("Conv1d", (4, 6, 3), options, draw(1, *shape))
    same_layer("Conv1d", (4, 6, 1), options, draw(1, *shape))


TRANSPOSED: list[dict[str, Any]] = [
    {},
    {"stride": 2},
    {"stride": 2, "padding": 1},
    {"stride": 2, "padding": 1, "output_padding": 1},
    {"stride": 3, "output_padding": 2, "bias": False},
    {"padding": 1},
    {"padding": 3},
    {"padding": 1, "dilation": 2},
    {"dilation": 2, "output_padding": 1},
    {"groups": 2, "stride": 2, "padding": 1},
]


@pytest.mark.parametrize("kernel", [1, 3, 4])
@pytest.mark.parametrize("options", TRANSPOSED)
def test_transposed_convolution(options: dict[str, Any], kernel: int) -> None:
    if 2 * options.get("padding", 0) > options.get("dilation", 1) * (kernel - 1) + 2:
        return
    if kernel == 1 and "output_padding" in options and "dilation" in options:
        with pytest.raises(NotImplementedError, match="kernel of one pixel"):
            nn.ConvTranspose2d(4, 6, kernel, **options)(Tensor(draw(2, 2, 4, 5, 6)))
        return
    same_layer("ConvTranspose2d", (4, 6, kernel), options, draw(2, 2, 4, 5, 6))
    same_layer("ConvTranspose1d", (4, 6, kernel), options, draw(3, 2, 4, 7))


def test_transposed_convolution_of_uneven_kernels_and_without_a_batch() -> None:
    options = {"stride": (2, 1), "padding": (1, 0), "output_padding": (1, 0), "dilation": (1, 2)}
    same_layer("ConvTranspose2d", (3, 2, (3, 2)), options, draw(4, 3, 5, 4))


def test_transposed_convolution_to_a_wanted_size() -> None:
    theirs = torch.nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1)
    ours = nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1)
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    x = draw(5, 1, 2, 4, 4)
    for size in ((7, 8), (1, 3, 8, 7)):
        close(ours(Tensor(x), size), theirs(torch.tensor(x), size), atol=1e-5)
    with pytest.raises(ValueError, match="requested an output size of") as refusal:
        theirs(torch.tensor(x), (7, 9))
    with pytest.raises(ValueError, match="requested an output size of") as our_refusal:
        ours(Tensor(x), (7, 9))
    assert str(our_refusal.value).split(" (for")[0] == str(refusal.value).split(" (for")[0]


@pytest.mark.parametrize("size", [1, 3, (2, 5), (None, 2), (7, 7), (6, 9)])
@pytest.mark.parametrize("shape", [(2, 3, 6, 7), (3, 6, 7), (1, 2, 1, 1)])
def test_adaptive_average_pooling(shape: tuple[int, ...], size: Any) -> None:
    same_layer("AdaptiveAvgPool2d", (size,), {}, draw(6, *shape))


@pytest.mark.parametrize("size", [1, 3, 9])
def test_adaptive_average_pooling_along_one_axis(size: int) -> None:
    same_layer("AdaptiveAvgPool1d", (size,), {}, draw(6, 2, 3, 7))


@pytest.mark.parametrize(
    "options",
    [{}, {"stride": 1}, {"stride": 2, "padding": 1}, {"ceil_mode": True, "stride": 2}],
)
def test_pooling_along_one_axis(options: dict[str, Any]) -> None:
    for shape in ((2, 3, 8), (3, 7)):
        same_layer("MaxPool1d", (3,), options, draw(7, *shape))
        same_layer("AvgPool1d", (3,), options, draw(7, *shape))


def test_refusals_are_pytorchs() -> None:
    x, w = draw(8, 2, 3, 5), draw(9, 4, 2, 3)
    with pytest.raises(RuntimeError) as theirs:
        torch.nn.functional.conv1d(torch.tensor(x), torch.tensor(w))
    with pytest.raises(RuntimeError) as ours:
        F.conv1d(Tensor(x), Tensor(w))
    assert str(ours.value) == str(theirs.value)
    with pytest.raises(RuntimeError) as theirs:
        torch.nn.functional.conv_transpose2d(torch.tensor(x[None]), torch.tensor(w[None]))
    with pytest.raises(RuntimeError) as ours:
        F.conv_transpose2d(Tensor(x[None]), Tensor(w[None]))
    assert str(ours.value) == str(theirs.value)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize(
    ("kind", "shape", "options"),
    [
        ("Conv1d", (2, 3, 7), {"padding": 2}),
        ("Conv2d", (2, 3, 7, 6), {"padding": (2, 1), "stride": 2}),
        ("Conv2d", (3, 7, 6), {"padding": "same", "dilation": 2, "groups": 3}),
        ("Conv2d", (2, 3, 7, 6), {"padding": "same"}),
        ("Conv2d", (2, 3, 7, 6), {"padding": "valid"}),
    ],
)
def test_what_a_convolution_pads_with(
    kind: str, shape: tuple[int, ...], options: dict[str, Any], mode: str
) -> None:
    kernel = 4 if options["padding"] == "same" and "dilation" not in options else 3
    same_layer(kind, (3, 6, kernel), {**options, "padding_mode": mode}, draw(1, *shape))


def test_padding_modes_that_are_refused() -> None:
    for lib in (nn, torch.nn):
        with pytest.raises(ValueError, match="padding_mode must be one of"):
            lib.Conv2d(1, 1, 3, padding_mode="mirror")
        with pytest.raises(ValueError, match='Only "zeros" padding mode is supported'):
            lib.ConvTranspose2d(1, 1, 3, padding_mode="reflect")
