"""Layers of two and three inputs, mixed channels and windows as columns, against PyTorch."""

from __future__ import annotations

from typing import Any

import pytest

import ddp
from tests.oracle.compare import close, draw, torch

pytestmark = pytest.mark.oracle

LAYERS: list[tuple[str, tuple[Any, ...], dict[str, Any], tuple[tuple[int, ...], ...]]] = [
    ("CosineSimilarity", (), {"dim": -1}, ((3, 4), (3, 4))),
    ("PairwiseDistance", (1.5,), {"keepdim": True}, ((3, 4), (3, 4))),
    ("TripletMarginWithDistanceLoss", (), {"swap": True}, ((3, 4), (3, 4), (3, 4))),
    ("ChannelShuffle", (3,), {}, ((2, 6, 4, 5),)),
    ("Unfold", ((2, 3),), {"padding": (1, 0), "stride": 2}, ((2, 3, 5, 7),)),
    ("Fold", ((5, 7), (2, 3)), {"padding": (1, 0), "stride": 2}, ((2, 18, 9),)),
]


@pytest.mark.parametrize(("name", "args", "options", "shapes"), LAYERS)
def test_a_layer(name: str, args: Any, options: Any, shapes: Any) -> None:
    results = []
    for lib in (ddp, torch):
        layer = getattr(lib.nn, name)(*args, **options)
        inputs = [lib.tensor(draw(i, *s)).requires_grad_() for i, s in enumerate(shapes)]
        y = layer(*inputs)
        (y**2).sum().backward()
        results.append((repr(layer), [y.detach(), *[x.grad for x in inputs]]))
    (our_print, ours), (their_print, theirs) = results
    assert our_print == their_print
    for mine, other in zip(ours, theirs, strict=True):
        close(mine, other)


def test_the_distance_may_be_any_function() -> None:
    results = []
    for lib in (ddp, torch):
        cosine = lib.nn.CosineSimilarity()
        loss = lib.nn.TripletMarginWithDistanceLoss(distance_function=cosine, margin=0.3)
        results.append(loss(*[lib.tensor(draw(i, 3, 4)) for i in range(3)]))
    close(*results)


def test_the_old_name_of_interpolation_warns() -> None:
    for lib in (ddp, torch):
        with pytest.warns(UserWarning, match="upsample` is deprecated"):
            assert lib.nn.functional.upsample(lib.ones(1, 1, 2, 2), 4).shape == (1, 1, 4, 4)
