"""Layers and losses without an oracle: golden values, special points, refusals, graphs, bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ddp import models, nn
from ddp.autograd.grad_mode import no_grad
from ddp.autograd.ops import conv
from ddp.autograd.ops.layout import column_dots, column_sums
from ddp.autograd.random import Generator, PhiloxGenerator, manual_seed, use_generator
from ddp.autograd.tensor import Tensor
from ddp.nn import functional as F

NAN = float("nan")


class Squared(nn.Module):
    """The loss of an image against zeros."""

    def forward(self, x: Tensor) -> Tensor:
        return F.mse_loss(x, Tensor(np.zeros(x.shape, np.float32)), reduction="sum")


def draw(seed: int, *shape: int) -> Tensor:
    return Tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def classes(*indices: int) -> Tensor:
    return Tensor(np.array(indices))


# Initial values and random masks: PyTorch 2.13's for the same seed


def test_a_linear_layer_starts_from_pytorchs_values() -> None:
    layer = nn.Linear(3, 2, generator=Generator(0))
    assert layer.weight.tolist() == [
        [-0.004322517663240433, 0.3097158372402191, -0.4751853346824646],
        [-0.4248946011066437, -0.2223689705133438, 0.15482072532176971],
    ]
    assert layer.bias is not None
    assert layer.bias.tolist() == [-0.011439144611358643, 0.45777493715286255]


def test_a_convolution_starts_from_pytorchs_values() -> None:
    manual_seed(0)
    layer = nn.Conv2d(1, 1, 2)
    assert layer.weight.flatten().tolist() == [
        -0.003743410110473633,
        0.26822179555892944,
        -0.4115225672721863,
        -0.3679695129394531,
    ]
    assert layer.bias is not None
    assert layer.bias.tolist() == [-0.19257718324661255]


def test_dropout_draws_pytorchs_mask() -> None:
    with use_generator(Generator(0)):
        assert nn.Dropout(0.5)(Tensor(np.ones(8, np.float32))).tolist() == [
            0,
            0,
            2,
            0,
            0,
            0,
            2,
            2,
        ]


def test_dropout_draws_from_the_generator_in_use() -> None:
    x = draw(0, 4, 8)
    masks = []
    for shard in (0, 1, 0):
        with use_generator(PhiloxGenerator(7, 1, shard)):
            masks.append(F.dropout(x).array != 0)
    assert (masks[0] == masks[2]).all()
    assert (masks[0] != masks[1]).any()


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.Dropout(0.0), 1),
        (nn.Dropout(1.0), 0),
        (nn.Dropout(0.5).eval(), 1),
    ],
)
def test_dropout_that_decides_nothing_draws_nothing(layer: nn.Dropout, expected: float) -> None:
    with use_generator(Generator(3)) as generator:
        assert (layer(Tensor(np.ones(5, np.float32))).array == expected).all()
        assert generator.uniform((1,)) == Generator(3).uniform((1,))


@pytest.mark.parametrize("p", [-0.1, 1.1, NAN])
def test_dropout_refuses_what_is_no_probability(p: float) -> None:
    with pytest.raises(ValueError, match="has to be between 0 and 1, but got"):
        nn.Dropout(p)


# Losses


@pytest.mark.parametrize("scale", [1, 1000])
def test_cross_entropy_is_finite_for_any_finite_logits(scale: float) -> None:
    logits = Tensor(np.array([[1, -1, 0], [-1, 1, 0]], np.float32) * scale, requires_grad=True)
    loss = F.cross_entropy(logits, classes(0, 0), reduction="none")
    loss.sum().backward()
    assert logits.grad is not None
    assert np.isfinite(loss.array).all()
    assert np.isfinite(logits.grad.array).all()
    if scale == 1000:
        assert loss.tolist() == [0, 2000]
        assert logits.grad.tolist() == [[0, 0, 0], [-1, 1, 0]]


def test_a_row_far_below_the_others_keeps_its_probabilities() -> None:
    x = Tensor(np.array([[0, 0], [-500, -500]], np.float32))
    assert F.softmax(x, 1).tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_bce_with_logits_is_finite_at_a_thousand() -> None:
    x = Tensor(np.array([1000, -1000, 1000, -1000], np.float32), requires_grad=True)
    t = Tensor(np.array([1, 0, 0, 1], np.float32))
    loss = F.binary_cross_entropy_with_logits(x, t, reduction="none")
    loss.sum().backward()
    assert loss.tolist() == [0, 0, 1000, 1000]
    assert x.grad is not None
    assert x.grad.tolist() == [0, 0, 1, -1]


def test_cross_entropy_over_ignored_rows_only_is_nan_and_its_sum_zero() -> None:
    x = draw(1, 2, 3)
    assert np.isnan(F.cross_entropy(x, classes(-100, -100)).item())
    assert F.cross_entropy(x, classes(-100, -100), reduction="sum").item() == 0
    assert F.cross_entropy(x, classes(-100, -100), reduction="none").tolist() == [0, 0]


def test_the_gradient_of_a_mean_over_no_row_is_zero() -> None:
    for loss in (F.cross_entropy, F.nll_loss):
        x = draw(1, 2, 3).requires_grad_()
        loss(x, classes(-100, -100)).backward()
        assert x.grad is not None
        assert x.grad.tolist() == [[0, 0, 0], [0, 0, 0]]


def test_the_weighted_mean_divides_by_the_weights_of_the_targets() -> None:
    x, weight = draw(2, 3, 2), Tensor([1.0, 3.0])
    rows = F.cross_entropy(x, classes(0, 1, 1), reduction="none").array
    mean = F.cross_entropy(x, classes(0, 1, 1), weight).item()
    assert mean == pytest.approx((rows[0] + 3 * rows[1] + 3 * rows[2]) / 7, rel=1e-6)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_gradient_of_cross_entropy_is_probability_minus_target(reduction: str) -> None:
    x = draw(3, 4, 3).requires_grad_()
    F.cross_entropy(x, classes(0, 2, 1, 1), reduction=reduction).backward()
    expected = F.softmax(x.detach(), 1).array - np.eye(3)[[0, 2, 1, 1]]
    assert x.grad is not None
    np.testing.assert_allclose(
        x.grad.array, expected / (4 if reduction == "mean" else 1), rtol=1e-5, atol=1e-7
    )


def test_cross_entropy_is_nll_of_log_softmax() -> None:
    x, t = draw(4, 64, 10), classes(*np.random.default_rng(4).integers(0, 10, 64))
    for reduction in ("none", "sum", "mean"):
        fused = F.cross_entropy(x, t, reduction=reduction).array
        composed = F.nll_loss(F.log_softmax(x, 1), t, reduction=reduction).array
        np.testing.assert_allclose(fused, composed, rtol=1e-6)


@pytest.mark.parametrize("shape", [(4, 10), (32, 10), (40, 30)])
def test_the_plain_mean_of_cross_entropy_has_the_bits_of_the_weighted_one(
    shape: tuple[int, int],
) -> None:
    t = classes(*np.random.default_rng(5).integers(0, shape[1], shape[0]))
    plain, weighted = draw(5, *shape).requires_grad_(), draw(5, *shape).requires_grad_()
    loss = F.cross_entropy(plain, t)
    same = F.cross_entropy(weighted, t, Tensor(np.ones(shape[1], np.float32)))
    assert loss.item() == same.item()
    loss.backward()
    same.backward()
    assert plain.grad is not None
    assert weighted.grad is not None
    np.testing.assert_array_equal(plain.grad.array, weighted.grad.array)


REFUSED: list[tuple[Any, type[Exception], str]] = [
    (
        lambda: F.cross_entropy(draw(0, 2, 3), classes(0, 3)),
        IndexError,
        "Target 3 is out of bounds.",
    ),
    (
        lambda: F.cross_entropy(draw(0, 2, 3), classes(0, -1)),
        IndexError,
        "Target -1 is out of bounds.",
    ),
    (
        lambda: F.cross_entropy(draw(0, 2, 3), classes(0)),
        ValueError,
        "Expected input batch_size (2) to match target batch_size (1).",
    ),
    (
        lambda: F.cross_entropy(draw(0, 2, 3), Tensor(np.zeros(2, np.int32))),
        RuntimeError,
        "expected target dtype to be Long or Byte, but got Int",
    ),
    (
        lambda: F.cross_entropy(draw(0, 2, 3), classes(0, 1), reduction="avg"),
        ValueError,
        "avg is not a valid value for reduction",
    ),
    (
        lambda: F.binary_cross_entropy_with_logits(draw(0, 2, 3), draw(0, 2)),
        ValueError,
        "must be the same as input size",
    ),
    (
        lambda: F.binary_cross_entropy_with_logits(draw(0, 2), classes(0, 1)),
        RuntimeError,
        "result type Float can't be cast to the desired output type Long",
    ),
    (
        lambda: nn.Linear(3, 2)(draw(0, 4, 5)),
        RuntimeError,
        "mat1 and mat2 shapes cannot be multiplied (4x5 and 3x2)",
    ),
    (
        lambda: nn.Linear(3, 2)(Tensor(np.zeros((1, 3)))),
        RuntimeError,
        "mat1 and mat2 must have the same dtype, but got Double and Float",
    ),
    (
        lambda: nn.Conv2d(3, 6, 5)(draw(0, 1, 1, 8, 8)),
        RuntimeError,
        "Given groups=1, weight of size [6, 3, 5, 5], expected input[1, 1, 8, 8] to have 3 "
        "channels, but got 1 channels instead",
    ),
    (
        lambda: nn.Conv2d(1, 1, 3)(draw(0, 1, 1, 2, 2)),
        RuntimeError,
        "Calculated padded input size per channel: (2 x 2). Kernel size: (3 x 3). Kernel size "
        "can't be greater than actual input size",
    ),
    (
        lambda: nn.Conv2d(1, 1, 3)(draw(0, 2, 2)),
        RuntimeError,
        "Expected 3D (unbatched) or 4D (batched) input to conv2d, but got input of size: [2, 2]",
    ),
    (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "in_channels must be divisible by groups"),
    (lambda: nn.Conv2d(1, 1, 3, padding="full"), ValueError, "Invalid padding string 'full'"),
    (
        lambda: nn.Conv2d(1, 1, 3, 2, "same"),
        ValueError,
        "padding='same' is not supported for strided convolutions",
    ),
    (lambda: nn.MaxPool2d(3)(draw(0, 1, 2, 2, 2)), RuntimeError, "Output size is too small"),
    (
        lambda: nn.MaxPool2d(2, padding=2)(draw(0, 1, 1, 4, 4)),
        RuntimeError,
        "pad should be at most half of effective kernel size",
    ),
    (lambda: nn.BatchNorm2d(3)(draw(0, 3, 3, 3)), ValueError, "expected 4D input (got 3D input)"),
    (
        lambda: nn.BatchNorm1d(3)(draw(0, 1, 3)),
        ValueError,
        "Expected more than 1 value per channel when training",
    ),
    (lambda: models.mlp([3]), ValueError, "expected at least two sizes"),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_what_does_not_fit_is_refused_in_pytorchs_words(
    call: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as refusal:
        call()
    assert words in str(refusal.value)


def test_mse_loss_warns_when_it_broadcasts() -> None:
    with pytest.warns(UserWarning, match="Using a target size"):
        F.mse_loss(draw(0, 3, 2), draw(1, 3, 1))


# Pooling and batch normalisation


def test_the_first_of_equal_maxima_gets_the_gradient() -> None:
    x = Tensor(np.ones((1, 1, 2, 4), np.float32), requires_grad=True)
    F.max_pool2d(x, 2).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[[[1, 0, 1, 0], [0, 0, 0, 0]]]]


def test_batch_norm_moves_its_running_statistics() -> None:
    layer = nn.BatchNorm1d(1)
    layer(Tensor(np.array([[1.0], [3.0]], np.float32)))
    assert layer.running_mean is not None
    assert layer.running_var is not None
    assert layer.num_batches_tracked is not None
    assert layer.running_mean.item() == pytest.approx(0.2)
    assert layer.running_var.item() == pytest.approx(0.9 + 0.1 * 2)  # the unbiased variance
    assert layer.num_batches_tracked.item() == 1
    layer.eval()(draw(0, 4, 1))
    assert layer.num_batches_tracked.item() == 1
    layer.reset_running_stats()
    assert (layer.running_mean.item(), layer.running_var.item()) == (0, 1)


def test_batch_norm_buffers_keep_their_memory() -> None:
    """They may be views of somebody's flat array."""
    layer = nn.BatchNorm2d(2)
    memory = {name: buffer.array for name, buffer in layer.named_buffers()}
    layer(draw(1, 2, 2, 3, 3))
    assert all(layer.get_buffer(name).array is array for name, array in memory.items())


# The graph: what is recorded, what is not computed


def test_a_linear_layer_is_one_addmm_with_pytorchs_edges() -> None:
    layer = nn.Linear(3, 2)
    x = F.relu(draw(0, 4, 3).requires_grad_())
    node = layer(x).grad_fn
    assert node is not None
    assert node.name() == "AddmmBackward0"
    bias, input, weight = (edge[0] for edge in node.next_functions)
    assert bias.variable is layer.bias
    assert input is x.grad_fn
    assert weight.name() == "TBackward0"


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda x: F.conv2d(x, draw(1, 3, 2, 2, 2)), "ConvolutionBackward0"),
        (lambda x: F.max_pool2d(x, 2), "MaxPool2DWithIndicesBackward0"),
        (lambda x: F.avg_pool2d(x, 2), "AvgPool2DBackward0"),
        (lambda x: F.batch_norm(x, None, None, training=True), "NativeBatchNormBackward0"),
        (lambda x: F.relu(x), "ReluBackward0"),
        (lambda x: F.log_softmax(x, 1), "LogSoftmaxBackward0"),
        (lambda x: F.mse_loss(x, x.detach()), "MseLossBackward0"),
        (
            lambda x: F.binary_cross_entropy_with_logits(x, x.detach()),
            "BinaryCrossEntropyWithLogitsBackward0",
        ),
        (lambda x: F.cross_entropy(x, Tensor(np.zeros((2, 4, 4), np.int64))), "NllLossBackward0"),
        (lambda x: F.nll_loss(x, Tensor(np.zeros((2, 4, 4), np.int64))), "NllLossBackward0"),
    ],
)
def test_nodes_have_pytorchs_names_and_none_is_made_without_need(call: Any, name: str) -> None:
    x = draw(0, 2, 2, 4, 4)
    assert call(x).grad_fn is None
    x.requires_grad_()
    assert call(x).grad_fn.name() == name
    with no_grad():
        assert call(x).grad_fn is None


def test_no_input_gradient_is_computed_that_nobody_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conv, "input_gradient", None)  # a call would raise
    layer = nn.Conv2d(1, 2, 3)
    layer(draw(0, 2, 1, 5, 5)).sum().backward()
    assert layer.weight.grad is not None


def test_no_weight_gradient_is_computed_for_a_frozen_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conv, "weight_gradient", None)
    layer = nn.Conv2d(1, 2, 3).requires_grad_(False)
    x = draw(0, 2, 1, 5, 5).requires_grad_()
    output = layer(x)
    assert output.grad_fn is not None
    assert output.grad_fn.saved[0] is None, "the image is kept for nothing"
    output.sum().backward()
    assert x.grad is not None


# Bits


@pytest.mark.parametrize(
    "layer",
    [
        lambda: nn.Conv2d(3, 4, 3, padding=1, generator=Generator(0)),
        lambda: nn.Conv2d(3, 4, 3, stride=2, generator=Generator(0)),
        lambda: nn.Conv2d(3, 4, 1, generator=Generator(0)),
        lambda: nn.MaxPool2d(2),
        lambda: nn.AvgPool2d(2),
        lambda: nn.BatchNorm2d(3),
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(108, 5, generator=Generator(0))),
        lambda: nn.Softmax(1),
        lambda: nn.LogSoftmax(1),
        lambda: Squared(),
    ],
)
def test_the_bits_do_not_depend_on_the_memory_order_of_the_input(layer: Any) -> None:
    values = draw(5, 4, 3, 6, 6).array
    channels_last = np.ascontiguousarray(values.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    reversed_axes = np.asfortranarray(values)
    results = []
    for memory in (values, channels_last, reversed_axes):
        x = Tensor(memory, requires_grad=True)
        module = layer()
        output = module(x)
        output.backward(
            Tensor(np.cos(np.arange(output.numel(), dtype=np.float32)).reshape(output.shape))
        )
        assert x.grad is not None
        grads = [p.grad.array for p in module.parameters() if p.grad is not None]
        results.append([output.array, x.grad.array, *grads])
    for result in results[1:]:
        for one, other in zip(results[0], result, strict=True):
            np.testing.assert_array_equal(one, other)


def test_an_image_convolves_alike_in_any_block_of_images() -> None:
    layer = nn.Conv2d(3, 4, 3, generator=Generator(0))
    images = draw(6, 200, 3, 16, 16)
    whole = layer(images).array
    np.testing.assert_allclose(layer(Tensor(images.array[190:])).array, whole[190:], rtol=1e-5)


def test_sums_over_many_pixels_keep_their_digits() -> None:
    """One running float32 sum over 70,000 rows would be off by 1e-5."""
    rows = np.random.default_rng(7).random((70_001, 3), np.float32)
    expected = rows.sum(0, dtype=np.float64)
    np.testing.assert_allclose(column_sums(rows), expected, rtol=1e-6)
    squares = (rows.astype(np.float64) ** 2).sum(0)
    np.testing.assert_allclose(column_dots(rows, rows), squares, rtol=1e-6)


# Models


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (models.digits_cnn(4), (2, 1, 8, 8)),
        (models.mlp([64, 16, 10]), (2, 1, 8, 8)),
        (models.Net(), (2, 3, 32, 32)),
    ],
)
def test_models_give_ten_logits_and_a_gradient_to_every_parameter(
    model: nn.Module, shape: tuple[int, ...]
) -> None:
    logits = model(draw(0, *shape))
    assert (logits.shape, logits.dtype) == ((2, 10), np.float32)
    F.cross_entropy(logits, classes(1, 2)).backward()
    for name, param in model.named_parameters():
        assert param.grad is not None, name
        assert np.isfinite(param.grad.array).all()


@pytest.mark.parametrize(
    ("options", "meant"),
    [
        ((None, None), "mean"),
        ((True, None), "mean"),
        ((False, None), "sum"),
        ((None, False), "none"),
        ((False, True), "sum"),
    ],
)
def test_the_old_names_of_a_reduction_stand_where_they_stood_and_warn(
    options: tuple[bool | None, bool | None], meant: str
) -> None:
    x, t = draw(1, 2, 3), draw(2, 2, 3)
    expected = F.mse_loss(x, t, reduction=meant).tolist()
    if options == (None, None):
        assert F.mse_loss(x, t, *options).tolist() == expected
        return
    with pytest.warns(UserWarning, match=f"please use reduction='{meant}' instead"):
        assert F.mse_loss(x, t, *options).tolist() == expected
    with pytest.warns(UserWarning, match="size_average and reduce args will be deprecated"):
        layer = nn.MSELoss(*options)
    assert layer(x, t).tolist() == expected
