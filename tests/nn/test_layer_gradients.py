"""Gradients of the layers beside the first ones against differences, their nodes, refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ddp import nn
from ddp.autograd.gradcheck import gradcheck
from ddp.autograd.ops import recurrent
from ddp.autograd.random import Generator, use_generator
from ddp.autograd.tensor import Tensor
from ddp.nn import functional as F
from tests.nn.test_gradients import leaf, probabilities

MASK = Tensor(np.array([[True, False, True], [False, True, True]]))
UNSEEN = Tensor(np.array([[True, False, True], [False, False, False]]))
TOKENS = Tensor(np.array([[2, 0], [2, 1]]))
SIGNS = Tensor(np.array([1.0, -1.0, 1.0]))


def dropped_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    with use_generator(Generator(1)):
        return F.scaled_dot_product_attention(q, k, v, dropout_p=0.4)


def both_states(*inputs: Tensor) -> Any:
    return recurrent.lstm(inputs[0], inputs[1], inputs[2], *inputs[3:5], inputs[5:7] or None)


def small(seed: int, *shape: int) -> Tensor:
    """Where the gates of a recurrent layer are not flat."""
    return Tensor(leaf(seed, *shape).array * 0.5, requires_grad=True)


# name → function, inputs, PyTorch's name of the node (None where it has no one node)
CASES: dict[str, tuple[Callable[..., Any], list[Tensor], str | None]] = {
    "layer_norm": (
        lambda x, w, b: F.layer_norm(x, (3, 2), w, b, 0.1),
        [leaf(1, 2, 3, 2), leaf(2, 3, 2), leaf(3, 3, 2)],
        "NativeLayerNormBackward0",
    ),
    "layer_norm, weight alone": (
        lambda x, w: F.layer_norm(x, (3,), w, None, 0.1),
        [leaf(1, 4, 3), leaf(2, 3)],
        "NativeLayerNormBackward0",
    ),
    "group_norm": (
        lambda x, w, b: F.group_norm(x, 2, w, b, 0.1),
        [leaf(1, 2, 4, 3), leaf(2, 4), leaf(3, 4)],
        "NativeGroupNormBackward0",
    ),
    "embedding": (lambda w: F.embedding(TOKENS, w), [leaf(1, 3, 2)], "EmbeddingBackward0"),
    "attention": (
        F.scaled_dot_product_attention,
        [leaf(1, 2, 2, 3), leaf(2, 2, 3, 3), leaf(3, 2, 3, 2), leaf(4, 2, 3)],
        "ScaledDotProductFlashAttentionForCpuBackward0",
    ),
    "attention, masked": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, MASK),
        [leaf(1, 2, 2, 3), leaf(2, 2, 3, 3), leaf(3, 2, 3, 2)],
        "ScaledDotProductFlashAttentionForCpuBackward0",
    ),
    "attention, a query that sees nothing": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, UNSEEN),
        [leaf(1, 2, 3), leaf(2, 3, 3), leaf(3, 3, 2)],
        "ScaledDotProductFlashAttentionForCpuBackward0",
    ),
    "attention with dropout": (
        dropped_attention,
        [leaf(1, 2, 3), leaf(2, 3, 3), leaf(3, 3, 2)],
        None,
    ),
    "conv1d": (
        lambda x, w, b: F.conv1d(x, w, b, 2, 1, 1, 2),
        [leaf(1, 2, 4, 5), leaf(2, 2, 2, 3), leaf(3, 2)],
        "ConvolutionBackward0",
    ),
    "conv_transpose2d": (
        lambda x, w, b: F.conv_transpose2d(x, w, b, 2, 1, 1, 2),
        [leaf(1, 2, 2, 2, 3), leaf(2, 2, 2, 3, 3), leaf(3, 4)],
        "ConvolutionBackward0",
    ),
    "conv_transpose2d, stride 1": (
        F.conv_transpose2d,
        [leaf(1, 1, 2, 2, 3), leaf(2, 2, 1, 2, 2)],
        "ConvolutionBackward0",
    ),
    "conv_transpose1d": (
        lambda x, w: F.conv_transpose1d(x, w, None, 2),
        [leaf(1, 1, 2, 3), leaf(2, 2, 2, 2)],
        None,
    ),
    "max_pool1d": (lambda x: F.max_pool1d(x, 2, 1), [leaf(1, 2, 2, 5)], None),
    "avg_pool1d": (lambda x: F.avg_pool1d(x, 3, 2, 1), [leaf(1, 2, 2, 5)], None),
    "adaptive_avg_pool2d": (
        lambda x: F.adaptive_avg_pool2d(x, (2, 3)),
        [leaf(1, 2, 1, 3, 4)],
        "AdaptiveAvgPool2DBackward0",
    ),
    "pad": (lambda x: F.pad(x, (1, -1, 2, 0)), [leaf(1, 2, 3, 4)], "ConstantPadNdBackward0"),
    "pad, reflect": (
        lambda x: F.pad(x, (1, 3, 2, 0), "reflect"),
        [leaf(1, 1, 2, 3, 4)],
        "ReflectionPad2DBackward0",
    ),
    "pad, replicate": (
        lambda x: F.pad(x, (3, 1), "replicate"),
        [leaf(1, 2, 2, 2)],
        "ReplicationPad1DBackward0",
    ),
    "pad, circular": (lambda x: F.pad(x, (2, 3), "circular"), [leaf(1, 2, 2, 3)], None),
    "interpolate": (
        lambda x: F.interpolate(x, (5, 3)),
        [leaf(1, 1, 2, 3, 4)],
        "UpsampleNearest2DBackward0",
    ),
    "interpolate, bilinear": (
        lambda x: F.interpolate(x, scale_factor=1.5, mode="bilinear"),
        [leaf(1, 1, 2, 3, 4)],
        "UpsampleBilinear2DBackward0",
    ),
    "pixel_shuffle": (
        lambda x: F.pixel_shuffle(x, 2),
        [leaf(1, 1, 4, 2, 3)],
        "PixelShuffleBackward0",
    ),
    "pixel_unshuffle": (
        lambda x: F.pixel_unshuffle(x, 2),
        [leaf(1, 1, 2, 4, 2)],
        "PixelUnshuffleBackward0",
    ),
    "rnn": (
        lambda x, h, w, u, a, b: recurrent.rnn(x, h, w, u, (a, b), "tanh"),
        [small(i, *s) for i, s in enumerate([(3, 2, 2), (2, 3), (3, 2), (3, 3), (3,), (3,)])],
        None,
    ),
    "rnn with relu": (
        lambda x, h, w, u: recurrent.rnn(x, h, w, u, None, "relu"),
        [small(i, *s) for i, s in enumerate([(3, 2, 2), (2, 3), (3, 2), (3, 3)])],
        None,
    ),
    "gru": (
        lambda x, h, w, u, a, b: recurrent.gru(x, h, w, u, (a, b)),
        [small(i, *s) for i, s in enumerate([(3, 2, 2), (2, 2), (6, 2), (6, 2), (6,), (6,)])],
        None,
    ),
    "lstm": (
        both_states,
        [
            small(i, *s)
            for i, s in enumerate([(3, 2, 2), (2, 2), (2, 2), (8, 2), (8, 2), (8,), (8,)])
        ],
        None,
    ),
    "lstm with a projection": (
        lambda x, h, c, w, u, r: recurrent.lstm(x, h, c, w, u, None, r),
        [small(i, *s) for i, s in enumerate([(3, 2, 2), (2, 1), (2, 2), (8, 2), (8, 1), (1, 2)])],
        None,
    ),
    "l1_loss": (F.l1_loss, [leaf(1, 3, 4), leaf(2, 3, 4)], "MeanBackward0"),
    "smooth_l1_loss": (
        lambda x, t: F.smooth_l1_loss(x, t, reduction="sum", beta=0.3),
        [leaf(1, 3, 4), leaf(2, 3, 4)],
        "SmoothL1LossBackward0",
    ),
    "huber_loss": (
        lambda x, t: F.huber_loss(x, t, "none", 0.3),
        [leaf(1, 3, 4), leaf(2, 3, 4)],
        "HuberLossBackward0",
    ),
    "binary_cross_entropy": (
        F.binary_cross_entropy,
        [probabilities(1, 3, 4), probabilities(2, 3, 4)],
        "BinaryCrossEntropyBackward0",
    ),
    "kl_div": (
        lambda x, t: F.kl_div(x, t, reduction="batchmean"),
        [leaf(1, 3, 4), probabilities(2, 3, 4)],
        None,
    ),
    "cosine_embedding_loss": (
        lambda a, b: F.cosine_embedding_loss(a, b, SIGNS, 0.1),
        [leaf(1, 3, 4), leaf(2, 3, 4)],
        None,
    ),
    "triplet_margin_loss": (
        lambda a, p, n: F.triplet_margin_loss(a, p, n, swap=True),
        [leaf(1, 3, 4), leaf(2, 3, 4), leaf(3, 3, 4)],
        None,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_gradient_is_that_of_differences(name: str) -> None:
    function, inputs, _ = CASES[name]
    assert gradcheck(function, inputs)


@pytest.mark.parametrize("name", CASES)
def test_an_input_that_needs_no_gradient_changes_no_other_gradient(name: str) -> None:
    function, inputs, _ = CASES[name]
    for frozen in range(len(inputs)):
        if len(inputs) > 1:
            mixed = [x.detach() if i == frozen else x for i, x in enumerate(inputs)]
            assert gradcheck(function, mixed, fast_mode=True)


@pytest.mark.parametrize("name", CASES)
def test_float32_stays_float32(name: str) -> None:
    function, inputs, _ = CASES[name]
    narrow = [Tensor(x.array.astype(np.float32), requires_grad=True) for x in inputs]
    answer = function(*narrow)
    output = answer[0] if isinstance(answer, tuple) else answer
    output.backward(Tensor(np.ones(output.shape, np.float32)))
    assert output.dtype == np.float32
    assert [x.grad.dtype for x in narrow if x.grad is not None] == [np.float32] * len(narrow)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case[2]])
def test_nodes_have_pytorchs_names(name: str) -> None:
    function, inputs, node = CASES[name]
    assert function(*inputs).grad_fn.name() == node
    assert function(*[x.detach() for x in inputs]).grad_fn is None


def test_a_query_that_may_look_nowhere_gets_zeros() -> None:
    q, k, v = leaf(1, 2, 3), leaf(2, 3, 3), leaf(3, 3, 2)
    nowhere = Tensor(np.array([[True, True, True], [False, False, False]]))
    assert F.scaled_dot_product_attention(q, k, v, nowhere)[1].tolist() == [0, 0]


def test_a_causal_query_sees_no_later_key() -> None:
    q, k, v = (Tensor(leaf(seed, 1, 4, 3).array.astype(np.float32)) for seed in (1, 2, 3))
    before = F.scaled_dot_product_attention(q, k, v, is_causal=True).array
    changed = Tensor(np.concatenate([v.array[:, :3], v.array[:, 3:] + 9], 1))
    after = F.scaled_dot_product_attention(q, k, changed, is_causal=True).array
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert (before[:, 3] != after[:, 3]).all()


def test_the_row_of_the_padding_index_is_zero_and_stays_so() -> None:
    layer = nn.Embedding(4, 3, padding_idx=-1)
    assert layer.padding_idx == 3
    layer(Tensor(np.array([3, 0, 3]))).sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.array[3].tolist() == layer.weight.grad.array[3].tolist() == [0, 0, 0]
    assert layer.weight.grad.array[0].tolist() == [1, 1, 1]


LAYERS: list[Callable[[], nn.Module]] = [
    lambda: nn.LayerNorm((6, 6)),
    lambda: nn.GroupNorm(2, 4),
    lambda: nn.ConvTranspose2d(4, 2, 3, 2, generator=Generator(0)),
    lambda: nn.AdaptiveAvgPool2d(4),
    lambda: nn.ReflectionPad2d(2),
    lambda: nn.Upsample(scale_factor=1.5, mode="bilinear"),
    lambda: nn.PixelShuffle(2),
    lambda: nn.GELU(),
]


@pytest.mark.parametrize("layer", LAYERS)
def test_the_bits_do_not_depend_on_the_memory_order_of_the_input(layer: Any) -> None:
    values = leaf(5, 3, 4, 6, 6).array.astype(np.float32)
    results = []
    for order in ((0, 1, 2, 3), (0, 2, 3, 1), (3, 2, 1, 0)):
        back = np.argsort(order)
        x = Tensor(np.ascontiguousarray(values.transpose(order)).transpose(back))
        x.requires_grad_()
        module = layer()
        output = module(x)
        output.backward(Tensor(np.cos(output.array)))
        assert x.grad is not None
        grads = [p.grad.array for p in module.parameters() if p.grad is not None]
        results.append([output.array, x.grad.array, *grads])
    for result in results[1:]:
        for one, other in zip(results[0], result, strict=True):
            np.testing.assert_array_equal(one, other)


def draw(*shape: int) -> Tensor:
    return Tensor(np.ones(shape, np.float32))


REFUSED: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (
        lambda: F.layer_norm(draw(2, 3), (4,)),
        RuntimeError,
        "Given normalized_shape=[4], expected input with shape [*, 4], but got input of size[2, 3]",
    ),
    (
        lambda: nn.GroupNorm(3, 4),
        ValueError,
        "num_channels (4) must be divisible by num_groups (3)",
    ),
    (lambda: nn.Embedding(3, 2)(Tensor(np.array([3]))), IndexError, "index out of range in self"),
    (
        lambda: nn.Embedding(3, 2)(draw(1)),
        RuntimeError,
        "Expected tensor for argument #1 'indices' to have one of the following scalar types",
    ),
    (lambda: nn.Embedding(3, 2, max_norm=1.0), NotImplementedError, "max_norm is not available"),
    (
        lambda: F.scaled_dot_product_attention(
            draw(2, 3), draw(2, 3), draw(2, 3), draw(2, 2), is_causal=True
        ),
        RuntimeError,
        "Explicit attn_mask should not be set when is_causal=True",
    ),
    (lambda: nn.MultiheadAttention(5, 2), AssertionError, "divisible by num_heads"),
    (
        lambda: nn.MultiheadAttention(4, 2)(*[draw(3, 1, 4)] * 3, attn_mask=draw(2, 3)),
        RuntimeError,
        "The shape of the 2D attn_mask is",
    ),
    (
        lambda: F.conv_transpose2d(draw(1, 2, 3, 3), draw(2, 1, 3, 3), output_padding=1),
        RuntimeError,
        "output padding must be smaller than either stride or dilation",
    ),
    (
        lambda: F.pad(draw(1, 2, 3), (3, 0), "reflect"),
        RuntimeError,
        "Padding size should be less than the corresponding input dimension",
    ),
    (lambda: F.pad(draw(2), (1, 2, 3)), RuntimeError, "Padding length must be divisible by 2"),
    (
        lambda: F.interpolate(draw(1, 1, 2, 2), 3, mode="tricubic"),
        NotImplementedError,
        "mode 'tricubic' is not available",
    ),
    (lambda: F.interpolate(draw(1, 1, 2)), ValueError, "either size or scale_factor"),
    (
        lambda: F.interpolate(draw(1, 1, 2, 2).int(), 3, mode="bilinear"),
        NotImplementedError,
        "needs floating numbers, got int32",
    ),
    (lambda: nn.LSTM(3, 4, proj_size=4), ValueError, "proj_size has to be smaller"),
    (lambda: nn.GRU(3, 4, proj_size=2), ValueError, "only supported for LSTM"),
    (
        lambda: nn.GRU(3, 4)(draw(2, 1, 5)),
        RuntimeError,
        "input.size(-1) must be equal to input_size. Expected 3, got 5",
    ),
    (
        lambda: F.binary_cross_entropy(draw(2) * 3, draw(2)),
        RuntimeError,
        "all elements of input should be between 0 and 1",
    ),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_what_does_not_fit_is_refused(
    call: Callable[[], Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as refusal:
        call()
    assert words in str(refusal.value)


def test_repeated_layers_print_once() -> None:
    layers = nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Tanh()])
    assert repr(layers) == "ModuleList(\n  (0-1): 2 x ReLU()\n  (2): Tanh()\n)"
    assert repr(nn.ModuleList()) == "ModuleList()"
