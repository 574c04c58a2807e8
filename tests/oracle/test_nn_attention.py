"""Normalisation, embedding, attention and padding against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ddp import nn
from ddp.autograd.random import Generator, manual_seed, use_generator
from ddp.autograd.tensor import Tensor
from ddp.nn import functional as F
from tests.oracle.compare import close, copy_state, draw, same_function, same_module, torch

pytestmark = pytest.mark.oracle
TF = torch.nn.functional


def randomised(theirs: Any) -> Any:
    """Weights other than ones and zeros."""
    with torch.no_grad():
        for seed, param in enumerate(theirs.parameters()):
            param.copy_(torch.tensor(draw(100 + seed, *param.shape)))
    return theirs


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"elementwise_affine": False}])
@pytest.mark.parametrize(
    ("shape", "normalized"), [((4, 7), 7), ((2, 3, 5, 4), (5, 4)), ((3, 1), 1), ((0, 4), 4)]
)
def test_layer_norm(shape: tuple[int, ...], normalized: Any, options: dict[str, Any]) -> None:
    ours = nn.LayerNorm(normalized, eps=1e-3, **options)
    theirs = randomised(torch.nn.LayerNorm(normalized, eps=1e-3, **options))
    assert repr(ours) == repr(theirs)
    same_module(ours, theirs, draw(1, *shape) * 3 + 2, rtol=1e-4, atol=1e-5)


def test_layer_norm_with_a_bias_alone() -> None:
    same_function(
        lambda x, b: F.layer_norm(x, (3, 2), None, b),
        lambda x, b: TF.layer_norm(x, (3, 2), None, b),
        draw(1, 4, 5, 3, 2),
        draw(2, 3, 2),
        atol=1e-5,
    )


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"affine": False}])
@pytest.mark.parametrize(("shape", "groups"), [((2, 6, 4, 5), 3), ((3, 4), 2), ((1, 4, 7), 1)])
def test_group_norm(shape: tuple[int, ...], groups: int, options: dict[str, Any]) -> None:
    ours = nn.GroupNorm(groups, shape[1], **options)
    theirs = randomised(torch.nn.GroupNorm(groups, shape[1], **options))
    assert repr(ours) == repr(theirs)
    same_module(ours, theirs, draw(2, *shape) * 3 + 2, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("padding_idx", [None, 2, -1])
@pytest.mark.parametrize("shape", [(7,), (3, 50), (), (0,), (2, 1, 3)])
def test_embedding(shape: tuple[int, ...], padding_idx: int | None) -> None:
    ours, theirs = nn.Embedding(6, 4, padding_idx), torch.nn.Embedding(6, 4, padding_idx)
    assert repr(ours) == repr(theirs)
    same_module(ours, theirs, np.random.default_rng(3).integers(0, 6, shape), atol=1e-5)


def test_the_same_seed_gives_the_same_embedding() -> None:
    torch.manual_seed(4)
    theirs = torch.nn.Embedding(9, 5, padding_idx=1).weight.detach().numpy()
    manual_seed(4)
    np.testing.assert_allclose(nn.Embedding(9, 5, 1).weight.array, theirs, atol=5e-7, rtol=1e-6)


def test_one_hot() -> None:
    indices = np.array([[0, 3], [2, 2]])
    for classes in (-1, 6):
        close(F.one_hot(Tensor(indices), classes), TF.one_hot(torch.tensor(indices), classes))


ATTENTION: list[dict[str, Any]] = [
    {},
    {"is_causal": True},
    {"scale": 0.3},
    {"attn_mask": draw(9, 5, 4) > 0},
    {"attn_mask": draw(9, 2, 1, 5, 4)},
]


@pytest.mark.parametrize("options", ATTENTION)
def test_scaled_dot_product_attention(options: dict[str, Any]) -> None:
    mask = options.get("attn_mask")
    rest = {k: v for k, v in options.items() if k != "attn_mask"}
    same_function(
        lambda q, k, v: F.scaled_dot_product_attention(
            q, k, v, None if mask is None else Tensor(mask), **rest
        ),
        lambda q, k, v: TF.scaled_dot_product_attention(
            q, k, v, None if mask is None else torch.tensor(mask), **rest
        ),
        draw(5, 2, 3, 5, 6),
        draw(6, 2, 3, 4, 6),
        draw(7, 2, 3, 4, 7),
    )


def test_attention_with_grouped_heads_and_a_mask_that_learns() -> None:
    same_function(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True),
        lambda q, k, v: TF.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True),
        draw(5, 2, 6, 5, 4),
        draw(6, 2, 2, 5, 4),
        draw(7, 2, 2, 5, 4),
    )
    same_function(
        F.scaled_dot_product_attention,
        TF.scaled_dot_product_attention,
        *[draw(seed, 2, 5, 4) for seed in (1, 2, 3)],
        draw(4, 1, 5),
    )


def test_attention_drops_the_same_weights() -> None:
    q, k, v = (draw(seed, 2, 3, 5, 4) for seed in (5, 6, 7))
    torch.manual_seed(8)
    theirs = TF.scaled_dot_product_attention(
        torch.tensor(q), torch.tensor(k), torch.tensor(v), dropout_p=0.3
    )
    with use_generator(Generator(8)):
        ours = F.scaled_dot_product_attention(Tensor(q), Tensor(k), Tensor(v), dropout_p=0.3)
    close(ours, theirs)


HEADS: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    ({"batch_first": True}, False),
    ({"bias": False}, True),
    ({"kdim": 6, "vdim": 5}, False),
    ({"add_bias_kv": True}, True),
    ({"add_zero_attn": True, "add_bias_kv": True, "batch_first": True}, False),
]


@pytest.mark.parametrize("masks", ["none", "attn", "padding", "both", "per head"])
@pytest.mark.parametrize(("options", "same_input"), HEADS)
def test_multi_head_attention(options: dict[str, Any], same_input: bool, masks: str) -> None:
    torch.manual_seed(5)
    theirs = torch.nn.MultiheadAttention(8, 2, **options)
    manual_seed(5)
    ours = nn.MultiheadAttention(8, 2, **options)
    assert repr(ours) == repr(theirs)
    for name, value in theirs.state_dict().items():
        tolerance = 1e-6 if name in ("bias_k", "bias_v") else 0
        np.testing.assert_allclose(ours.state_dict()[name].array, value, tolerance, tolerance)
    copy_state(ours, randomised(theirs))
    length, keys, batch = (5, 5, 3) if same_input else (5, 4, 3)
    kdim, vdim = options.get("kdim", 8), options.get("vdim", 8)
    shapes = [(length, batch, 8), (keys, batch, kdim), (keys, batch, vdim)]
    arrays = [draw(seed, *shape) for seed, shape in enumerate(shapes)]
    if options.get("batch_first"):
        arrays = [np.ascontiguousarray(a.swapaxes(0, 1)) for a in arrays]
    if same_input:
        arrays = arrays[:1]
    attn = draw(20, length, keys) > 0.5
    attn[:, 0] = False
    padding = np.zeros((batch, keys), bool)
    padding[1, -2:] = True
    given: dict[str, Any] = {}
    if masks in ("attn", "both"):
        given["attn_mask"] = attn
    if masks == "per head":
        given["attn_mask"] = draw(21, batch * 2, length, keys)
    if masks in ("padding", "both"):
        given["key_padding_mask"] = padding

    def call(module: Any, make: Any, need_weights: bool) -> Any:
        def run(*inputs: Any) -> Any:
            inputs = inputs * 3 if same_input else inputs
            masks_given = {name: make(mask) for name, mask in given.items()}
            output, weights = module(*inputs, need_weights=need_weights, **masks_given)
            return output if weights is None else output.sum() + (weights**2).sum()

        return run

    for need_weights in (True, False):
        same_function(
            call(ours, Tensor, need_weights),
            call(theirs, torch.tensor, need_weights),
            *arrays,
            rtol=1e-4,
            atol=2e-5,
        )
    for ours_param, (_, theirs_param) in zip(
        ours.parameters(), theirs.named_parameters(), strict=True
    ):
        close(ours_param.grad, theirs_param.grad, rtol=1e-4, atol=1e-4)


def test_multi_head_attention_without_a_batch_and_per_head_weights() -> None:
    theirs = torch.nn.MultiheadAttention(6, 3)
    ours = nn.MultiheadAttention(6, 3)
    copy_state(ours, theirs)
    x = draw(1, 4, 6)
    for average in (True, False):
        our = ours(*[Tensor(x)] * 3, average_attn_weights=average)
        their = theirs(*[torch.tensor(x)] * 3, average_attn_weights=average)
        for mine, other in zip(our, their, strict=True):
            close(mine, other)


@pytest.mark.parametrize(
    ("shape", "pads", "mode"),
    [
        ((2, 3, 4, 5), (1, 2, 0, 3), "constant"),
        ((2, 3, 4, 5), (-1, 2, 1, -2, 1, 0), "constant"),
        ((2, 3, 5), (2, 3), "reflect"),
        ((2, 3, 4, 5), (1, 4, 3, 0), "reflect"),
        ((2, 3, 4, 5), (1, 2, 6, 3), "replicate"),
        ((2, 3, 5), (7, 1), "replicate"),
        ((2, 3, 4, 5), (1, 5, 4, 3), "circular"),
        ((2, 3, 5), (2, 0), "circular"),
    ],
)
def test_pad(shape: tuple[int, ...], pads: tuple[int, ...], mode: str) -> None:
    same_function(lambda x: F.pad(x, pads, mode), lambda x: TF.pad(x, pads, mode), draw(1, *shape))


@pytest.mark.parametrize("kind", ["ZeroPad", "ReflectionPad", "ReplicationPad", "CircularPad"])
def test_padding_layers(kind: str) -> None:
    for name, padding in ((f"{kind}1d", 2), (f"{kind}2d", (1, 2, 0, 1))):
        ours, theirs = getattr(nn, name)(padding), getattr(torch.nn, name)(padding)
        assert repr(ours) == repr(theirs)
        same_module(ours, theirs, draw(1, 2, 3, 4, 5)[0] if "1d" in name else draw(1, 2, 3, 4, 5))
    assert repr(nn.ConstantPad1d(2, 0.5)) == repr(torch.nn.ConstantPad1d(2, 0.5))
    same_module(nn.ConstantPad2d(1, 3.5), torch.nn.ConstantPad2d(1, 3.5), draw(1, 2, 3, 4, 5))


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 3, 4)])
def test_channel_dropout_draws_the_same_channels(shape: tuple[int, ...]) -> None:
    name = "Dropout2d" if len(shape) == 4 else "Dropout1d"
    x = draw(2, *shape)
    torch.manual_seed(2)
    theirs = getattr(torch.nn, name)(0.4)(torch.tensor(x))
    with use_generator(Generator(2)):
        close(getattr(nn, name)(0.4)(Tensor(x)), theirs)
