"""Losses of two tensors against PyTorch: reductions, options, edges, refusals."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from ddp import nn
from ddp.autograd.tensor import Tensor
from ddp.nn import functional as F
from tests.oracle.compare import Array, draw, same_function, torch

pytestmark = pytest.mark.oracle
TF = torch.nn.functional
REDUCTIONS = ["mean", "sum", "none"]


def probabilities(seed: int, *shape: int) -> Array:
    values = np.random.default_rng(seed).random(shape, np.float32)
    values.reshape(-1)[:2] = [0, 1]
    return values


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mse_loss", {}),
        ("l1_loss", {}),
        ("smooth_l1_loss", {}),
        ("smooth_l1_loss", {"beta": 0.3}),
        ("smooth_l1_loss", {"beta": 0}),
        ("huber_loss", {}),
        ("huber_loss", {"delta": 0.4}),
    ],
)
@pytest.mark.parametrize("shape", [(4, 5), (), (3, 2, 4)])
def test_differences(
    name: str, options: dict[str, Any], shape: tuple[int, ...], reduction: str
) -> None:
    x, t = np.asarray(draw(1, *shape)), np.asarray(draw(2, *shape))
    if x.size > 3:
        x.reshape(-1)[:3] = t.reshape(-1)[:3] + np.array([0, 1, -1], np.float32)
    options = {**options, "reduction": reduction}
    same_function(
        lambda x, t: getattr(F, name)(x, t, **options),
        lambda x, t: getattr(TF, name)(x, t, **options),
        x,
        t,
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
def test_binary_cross_entropy(reduction: str, weighted: bool) -> None:
    weight = draw(3, 5) ** 2 if weighted else None
    for x, t in ((probabilities(1, 4, 5), probabilities(2, 4, 5)), (np.eye(5), np.eye(5)[::-1])):
        same_function(
            lambda x, t: F.binary_cross_entropy(
                x, t, None if weight is None else Tensor(weight), reduction=reduction
            ),
            lambda x, t: TF.binary_cross_entropy(
                x, t, None if weight is None else torch.tensor(weight), reduction=reduction
            ),
            x.astype(np.float32),
            t.astype(np.float32).copy(),
            atol=1e-5,
        )


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
@pytest.mark.parametrize("reduction", [*REDUCTIONS, "batchmean"])
@pytest.mark.parametrize("log_target", [False, True])
def test_kl_divergence(reduction: str, log_target: bool) -> None:
    x, t = draw(1, 4, 5), draw(2, 4, 5) if log_target else probabilities(2, 4, 5) + 0.01
    options = {"reduction": reduction, "log_target": log_target}
    same_function(
        lambda x, t: F.kl_div(x, t, **options), lambda x, t: TF.kl_div(x, t, **options), x, t
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("margin", [0.0, 0.4])
def test_embeddings_and_ranks(margin: float, reduction: str) -> None:
    a, b, c = (draw(seed, 6, 4) for seed in (1, 2, 3))
    alike = np.array([1, -1, 1, -1, -1, 1], np.int64)
    for name, target in (("cosine_embedding_loss", alike), ("margin_ranking_loss", np.sign(c))):
        same_function(
            partial(with_target, getattr(F, name), Tensor(target), margin, reduction),
            partial(with_target, getattr(TF, name), torch.tensor(target), margin, reduction),
            a,
            b,
        )


def with_target(loss: Any, target: Any, margin: float, reduction: str, a: Any, b: Any) -> Any:
    return loss(a, b, target, margin=margin, reduction=reduction)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("options", [{}, {"p": 1.0, "margin": 2.0}, {"swap": True}])
def test_triplets(options: dict[str, Any], reduction: str) -> None:
    same_function(
        lambda *abc: F.triplet_margin_loss(*abc, reduction=reduction, **options),
        lambda *abc: TF.triplet_margin_loss(*abc, reduction=reduction, **options),
        *[draw(seed, 6, 4) for seed in (1, 2, 3)],
    )


def test_similarities() -> None:
    a, b = draw(1, 3, 4, 5), draw(2, 3, 4, 5)
    same_function(F.cosine_similarity, TF.cosine_similarity, a, b)
    same_function(
        lambda a, b: F.cosine_similarity(a, b, -1),
        lambda a, b: TF.cosine_similarity(a, b, -1),
        a,
        b,
    )
    same_function(F.pairwise_distance, TF.pairwise_distance, a, b)
    same_function(F.normalize, TF.normalize, a)
    same_function(lambda a: F.normalize(a, 1, 0), lambda a: TF.normalize(a, 1, 0), a)


def test_layers_print_alike() -> None:
    for name in (
        "BCELoss",
        "L1Loss",
        "SmoothL1Loss",
        "HuberLoss",
        "KLDivLoss",
        "CosineEmbeddingLoss",
        "MarginRankingLoss",
        "TripletMarginLoss",
    ):
        assert repr(getattr(nn, name)()) == repr(getattr(torch.nn, name)())


HALF = np.full((2, 3), 0.5, np.float32)

REFUSED: list[tuple[str, tuple[Array, ...], dict[str, Any]]] = [
    ("binary_cross_entropy", (HALF * 3, HALF), {}),
    ("binary_cross_entropy", (HALF, HALF * 3), {}),
    ("binary_cross_entropy", (HALF, HALF[:1]), {}),
    ("binary_cross_entropy", (HALF, HALF.astype(np.int64)), {}),
    ("binary_cross_entropy", (HALF, HALF), {"reduction": "avg"}),
    ("smooth_l1_loss", (HALF, HALF), {"beta": -1.0}),
    ("huber_loss", (HALF, HALF), {"delta": 0.0}),
    ("l1_loss", (HALF, HALF), {"reduction": "avg"}),
    ("triplet_margin_loss", (HALF, HALF, HALF), {"margin": 0.0}),
    ("cosine_embedding_loss", (HALF, HALF, HALF), {}),
    ("cosine_embedding_loss", (HALF, HALF, HALF[0, 0]), {}),
    ("margin_ranking_loss", (HALF, HALF, HALF[None]), {}),
]


@pytest.mark.parametrize(("name", "arrays", "options"), REFUSED)
def test_refusals_have_pytorchs_words(
    name: str, arrays: tuple[Array, ...], options: dict[str, Any]
) -> None:
    with pytest.raises((ValueError, RuntimeError)) as theirs:
        getattr(TF, name)(*[torch.tensor(np.asarray(a)) for a in arrays], **options)
    with pytest.raises((ValueError, RuntimeError)) as ours:
        getattr(F, name)(*[Tensor(np.asarray(a)) for a in arrays], **options)
    assert type(ours.value) is type(theirs.value)
    expected = str(theirs.value).split("\n")[0].replace("torch.Size", "ddp.Size")
    assert str(ours.value) == expected
