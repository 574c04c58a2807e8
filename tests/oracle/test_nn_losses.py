"""Losses against PyTorch: every reduction and option, small logits and logits of ±1000."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ddp.autograd.tensor import Tensor
from ddp.nn import functional as F
from tests.oracle.compare import Array, close, draw, same_function, torch

pytestmark = pytest.mark.oracle
TF = torch.nn.functional

REDUCTIONS = ["mean", "sum", "none"]
SHAPES = [(6, 4), (1, 4), (3, 4, 5), (2, 4, 3, 2), (4,)]


def indices(seed: int, *shape: int, ignored: bool = False) -> Array:
    target = np.random.default_rng(seed).integers(0, 4, shape)
    if ignored:
        target.reshape(-1)[::3] = 2
    return np.asarray(target)


def extreme(seed: int, *shape: int) -> Array:
    """Logits of ±1000 and 0."""
    return np.asarray(np.random.default_rng(seed).integers(-1, 2, shape) * 1000, np.float32)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"ignore_index": 2},
        {"label_smoothing": 0.1},
        {"label_smoothing": 1.0},
        {"ignore_index": 2, "label_smoothing": 0.3},
    ],
)
def test_cross_entropy_with_class_indices(
    shape: tuple[int, ...], reduction: str, weighted: bool, options: dict[str, Any]
) -> None:
    target = indices(1, *shape[:1], *shape[2:]) if len(shape) > 1 else np.array(3)
    weight = draw(2, 4) ** 2 if weighted else None
    for logits in (draw(3, *shape), draw(4, *shape) * 20, extreme(5, *shape)):
        same_function(
            lambda x: F.cross_entropy(
                x,
                Tensor(target),
                None if weight is None else Tensor(weight),
                reduction=reduction,
                **options,
            ),
            lambda x: TF.cross_entropy(
                x,
                torch.tensor(target),
                None if weight is None else torch.tensor(weight),
                reduction=reduction,
                **options,
            ),
            logits,
            rtol=2e-5,
        )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(6, 4), (3, 4, 5), (4,)])
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.2}])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_with_probabilities_reaches_the_target(
    shape: tuple[int, ...], reduction: str, options: dict[str, Any], weighted: bool
) -> None:
    weight = draw(6, 4) ** 2 if weighted else None
    probabilities = np.abs(draw(7, *shape))
    same_function(
        lambda x, t: F.cross_entropy(
            x, t, None if weight is None else Tensor(weight), reduction=reduction, **options
        ),
        lambda x, t: TF.cross_entropy(
            x, t, None if weight is None else torch.tensor(weight), reduction=reduction, **options
        ),
        draw(8, *shape) * 10,
        probabilities,
        atol=1e-5,
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_nll_loss(shape: tuple[int, ...], reduction: str, weighted: bool) -> None:
    target = indices(1, *shape[:1], *shape[2:]) if len(shape) > 1 else np.array(3)
    weight = draw(2, 4) ** 2 if weighted else None
    same_function(
        lambda x: F.nll_loss(
            x, Tensor(target), None if weight is None else Tensor(weight), None, 2, None, reduction
        ),
        lambda x: TF.nll_loss(
            x,
            torch.tensor(target),
            None if weight is None else torch.tensor(weight),
            ignore_index=2,
            reduction=reduction,
        ),
        draw(9, *shape),
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_mse_loss(reduction: str) -> None:
    same_function(
        lambda x, t: F.mse_loss(x, t, reduction=reduction),
        lambda x, t: TF.mse_loss(x, t, reduction=reduction),
        draw(10, 4, 5),
        draw(11, 4, 5),
    )


@pytest.mark.filterwarnings("ignore:Using a target size")
def test_mse_loss_broadcasts() -> None:
    same_function(F.mse_loss, TF.mse_loss, draw(12, 4, 5), draw(13, 4, 1))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("pos_weighted", [False, True])
def test_bce_with_logits(reduction: str, weighted: bool, pos_weighted: bool) -> None:
    weight = draw(14, 4, 5) ** 2 if weighted else None
    pos_weight = draw(15, 5) ** 2 if pos_weighted else None
    target = np.random.default_rng(16).random((4, 5), np.float32)
    for logits in (draw(17, 4, 5) * 5, extreme(18, 4, 5)):
        same_function(
            lambda x, t: F.binary_cross_entropy_with_logits(
                x,
                t,
                None if weight is None else Tensor(weight),
                reduction=reduction,
                pos_weight=None if pos_weight is None else Tensor(pos_weight),
            ),
            lambda x, t: TF.binary_cross_entropy_with_logits(
                x,
                t,
                None if weight is None else torch.tensor(weight),
                reduction=reduction,
                pos_weight=None if pos_weight is None else torch.tensor(pos_weight),
            ),
            logits,
            target,
        )


BAD_CROSS_ENTROPY: list[tuple[tuple[int, ...], Any, dict[str, Any]]] = [
    ((4, 3), np.array([0, 1]), {}),
    ((4, 3), np.array([0, 1, 2, 3]), {}),
    ((4, 3), np.array([0, 1, 2, -1]), {}),
    ((4, 3), np.array([0, 1, 2, 1], np.int32), {}),
    ((4, 3), np.array([0, 1, 2, 1], np.float32), {}),
    ((4, 3), np.zeros((4, 2), np.float32), {}),
    ((4, 3), np.array([0, 1, 2, 1]), {"reduction": "foo"}),
    ((4, 3), np.array([0, 1, 2, 1]), {"label_smoothing": 2.0}),
    ((4, 3), np.zeros((4, 3), np.float32), {"ignore_index": 1}),
    ((4, 3), np.zeros((4, 3), np.int64), {}),
    ((3,), np.array(5), {}),
    ((4, 3, 2), np.zeros((4, 3), np.int64), {}),
    ((4, 3, 2), np.zeros(4, np.int64), {}),
]


@pytest.mark.parametrize(("shape", "target", "options"), BAD_CROSS_ENTROPY)
def test_cross_entropy_refuses_in_the_same_words(
    shape: tuple[int, ...], target: Array, options: dict[str, Any]
) -> None:
    with pytest.raises((ValueError, IndexError, RuntimeError)) as theirs:
        TF.cross_entropy(torch.zeros(shape), torch.tensor(target), **options)
    with pytest.raises((ValueError, IndexError, RuntimeError)) as ours:
        F.cross_entropy(Tensor(np.zeros(shape, np.float32)), Tensor(target), **options)
    assert type(ours.value) is type(theirs.value)
    assert str(ours.value).replace("2.0", "2") == str(theirs.value).split("\n")[0]


def test_two_logits_are_one_logit_of_their_difference() -> None:
    z = draw(19, 50, 2, dtype=np.float64) * 30
    target = indices(20, 50) % 2
    two = F.cross_entropy(Tensor(z), Tensor(target), reduction="none").array
    one = F.binary_cross_entropy_with_logits(
        Tensor(z[:, 1] - z[:, 0]), Tensor(target.astype(np.float64)), reduction="none"
    ).array
    np.testing.assert_allclose(two, one, rtol=1e-13, atol=1e-14)


def test_a_gradient_layout_of_any_stride_gives_the_same_loss() -> None:
    logits = draw(21, 4, 6).T
    target = np.array([0, 1, 2, 3, 0, 1])
    close(
        F.cross_entropy(Tensor(logits), Tensor(target)),
        TF.cross_entropy(torch.tensor(logits.copy()), torch.tensor(target)),
    )
