"""Transformer encoders and resampling against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ddp import nn
from ddp.autograd.random import Generator, manual_seed, use_generator
from ddp.autograd.tensor import Tensor
from ddp.nn import functional as F
from ddp.nn.transformer import generate_square_subsequent_mask
from tests.oracle.compare import close, copy_state, draw, same_function, same_module, torch

pytestmark = pytest.mark.oracle
TF = torch.nn.functional


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"norm_first": True, "activation": "gelu", "batch_first": True},
        {"bias": False, "layer_norm_eps": 1e-3},
    ],
)
def test_an_encoder_layer(options: dict[str, Any]) -> None:
    torch.manual_seed(1)
    theirs = torch.nn.TransformerEncoderLayer(8, 2, 16, **options)
    manual_seed(1)
    ours = nn.TransformerEncoderLayer(8, 2, 16, **options)
    assert repr(ours) == repr(theirs)
    for name, value in theirs.state_dict().items():
        np.testing.assert_array_equal(ours.state_dict()[name].array, value.numpy())
    x = draw(1, 4, 5, 8)
    torch.manual_seed(2)
    expected = theirs(torch.tensor(x))
    with use_generator(Generator(2)):
        close(ours(Tensor(x)), expected, rtol=1e-4, atol=1e-5)
    mask = generate_square_subsequent_mask(5 if options.get("batch_first") else 4)
    same_function(
        lambda x: ours.eval()(x, mask, is_causal=True),
        lambda x: theirs.eval()(x, torch.tensor(mask.array), is_causal=True),
        x,
        rtol=1e-4,
        atol=1e-5,
    )


def test_an_encoder() -> None:
    def build(lib: Any) -> Any:
        layer = lib.TransformerEncoderLayer(8, 2, 16, dropout=0.0)
        return lib.TransformerEncoder(layer, 2, lib.LayerNorm(8), enable_nested_tensor=False)

    ours, theirs = build(nn), build(torch.nn)
    assert repr(ours) == repr(theirs)
    same_module(ours, theirs, draw(3, 4, 5, 8), rtol=1e-4, atol=1e-5)
    padding = np.zeros((5, 4), bool)
    padding[2, 3] = True
    same_function(
        lambda x: ours(x, src_key_padding_mask=Tensor(padding)),
        lambda x: theirs(x, src_key_padding_mask=torch.tensor(padding)),
        draw(4, 4, 5, 8),
        rtol=1e-4,
        atol=1e-5,
    )


SIZES: list[dict[str, Any]] = [
    {"scale_factor": 2},
    {"scale_factor": (1.5, 2.3)},
    {"scale_factor": 0.6},
    {"scale_factor": (1.2, 1.05)},
    {"scale_factor": (2.1, 2.05)},
    {"scale_factor": 0.6, "recompute_scale_factor": True},
    {"size": 7},
    {"size": (3, 11)},
    {"size": (1, 1)},
    {"size": (4, 6)},
]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(
    "mode",
    [
        {"mode": "nearest"},
        {"mode": "bilinear"},
        {"mode": "bilinear", "align_corners": True},
        {"mode": "bilinear", "align_corners": False},
    ],
)
def test_interpolation_of_images(mode: dict[str, Any], sizes: dict[str, Any]) -> None:
    options = {**mode, **sizes}
    same_function(
        lambda x: F.interpolate(x, **options),
        lambda x: TF.interpolate(x, **options),
        draw(1, 2, 3, 4, 6),
    )


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("sizes", [{"size": 9}, {"scale_factor": 1.7}])
def test_interpolation_along_one_axis(mode: str, sizes: dict[str, Any]) -> None:
    same_module(
        nn.Upsample(**sizes, mode=mode), torch.nn.Upsample(**sizes, mode=mode), draw(1, 2, 3, 5)
    )


def test_resampling_layers_print_and_compute_alike() -> None:
    x = draw(1, 2, 8, 4, 6)
    for name, argument in (
        ("Upsample", (None, 2)),
        ("UpsamplingNearest2d", (None, 3)),
        ("UpsamplingBilinear2d", ((7, 5),)),
        ("PixelShuffle", (2,)),
        ("PixelUnshuffle", (2,)),
    ):
        ours, theirs = getattr(nn, name)(*argument), getattr(torch.nn, name)(*argument)
        assert repr(ours) == repr(theirs)
        same_module(ours, theirs, x)


@pytest.mark.filterwarnings("ignore:mean is more than 2 std")
def test_init_functions_agree() -> None:
    def check(name: str, shape: tuple[int, ...], *arguments: Any, atol: float = 0) -> None:
        torch.manual_seed(1)
        theirs = getattr(torch.nn.init, name)(torch.zeros(shape), *arguments).numpy()
        weight = Tensor(np.zeros(shape, np.float32))
        with use_generator(Generator(1)):
            getattr(nn.init, name)(weight, *arguments)
        np.testing.assert_allclose(weight.array, theirs, rtol=atol, atol=atol, err_msg=name)

    check("eye_", (3, 5))
    check("dirac_", (4, 3, 3))
    check("dirac_", (6, 2, 3, 4), 2)
    check("trunc_normal_", (30, 7), 0.5, 2.0, -2.0, 2.0, atol=2e-6)
    check("trunc_normal_", (30, 7), 0.0, 1.0, 2.5, 3.0, atol=2e-6)
    check("orthogonal_", (5, 8), 1.5, atol=2e-5)
    check("orthogonal_", (8, 3, 2), atol=2e-5)
    check("sparse_", (10, 4), 0.3, atol=1e-6)


def test_copying_a_layer_copies_its_state() -> None:
    layer = nn.TransformerEncoderLayer(4, 2, 8)
    encoder = nn.TransformerEncoder(layer, 2)
    copy_state(encoder.layers[0], torch.nn.TransformerEncoderLayer(4, 2, 8))
    assert not np.array_equal(
        encoder.layers[0].linear1.weight.array, encoder.layers[1].linear1.weight.array
    )
