"""Packed sequences against PyTorch: packing, padding, and recurrent layers over them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ddp
from tests.oracle.compare import close, draw, torch

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN"),
]

SORTED, MIXED = [5, 3, 3, 1], [3, 1, 5, 3]


def rnn_of(lib: Any) -> Any:
    return lib.nn.utils.rnn


def both(function: Any) -> tuple[Any, Any]:
    """What the function gives on ours and on PyTorch."""
    return function(ddp), function(torch)


def same(ours: Any, theirs: Any) -> None:
    """Tensors, numbers or None of one structure."""
    if isinstance(theirs, tuple | list):
        assert len(ours) == len(theirs)
        for mine, other in zip(ours, theirs, strict=True):
            same(mine, other)
    elif theirs is None:
        assert ours is None
    else:
        close(ours.detach(), theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("lengths", [SORTED, MIXED])
def test_packing_and_padding_again(lengths: list[int], batch_first: bool) -> None:
    def run(lib: Any) -> Any:
        x = lib.tensor(draw(1, *((4, 6, 2) if batch_first else (6, 4, 2)))).requires_grad_()
        sizes = lib.tensor(lengths) if batch_first else lengths
        packed = rnn_of(lib).pack_padded_sequence(x, sizes, batch_first, lengths == SORTED)
        padded = rnn_of(lib).pad_packed_sequence(packed, batch_first, -1.5, 7)
        (padded[0] ** 2).sum().backward()
        return [*packed, *padded, x.grad]

    same(*both(run))


def test_packing_a_list_of_sequences_and_getting_them_back() -> None:
    def run(lib: Any) -> Any:
        parts = [lib.tensor(draw(i, n, 2)) for i, n in enumerate(MIXED)]
        packed = rnn_of(lib).pack_sequence(parts, enforce_sorted=False)
        return [*packed.to(lib.float64), *rnn_of(lib).unpack_sequence(packed)]

    same(*both(run))


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("lengths", [SORTED, MIXED])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}])
@pytest.mark.parametrize(
    ("kind", "more"), [("RNN", {}), ("GRU", {}), ("LSTM", {}), ("LSTM", {"proj_size": 3})]
)
def test_a_layer_over_packed_sequences(
    kind: str, more: dict[str, Any], options: dict[str, Any], lengths: list[int], given: bool
) -> None:
    rows = options.get("num_layers", 1) * (2 if options else 1)
    sizes = [more.get("proj_size", 4), 4] if kind == "LSTM" else [4]

    def run(lib: Any) -> Any:
        lib.manual_seed(3)
        layer = getattr(lib.nn, kind)(2, 4, **options, **more)
        x = lib.tensor(draw(1, 5, 4, 2)).requires_grad_()
        states = [lib.tensor(draw(2, rows, 4, n)).requires_grad_() for n in sizes]
        hx = (tuple(states) if len(states) > 1 else states[0]) if given else None
        packed = rnn_of(lib).pack_padded_sequence(x, lengths, enforce_sorted=lengths == SORTED)
        y, last = layer(packed, hx)
        ends = last if isinstance(last, tuple) else (last,)
        (y.data**2).sum().backward(retain_graph=True)
        sum((i + 2) * (end**2).sum() for i, end in enumerate(ends)).backward()
        gradients = [parameter.grad for parameter in layer.parameters()]
        return [*y, *ends, x.grad, *gradients, *([s.grad for s in states] if given else [])]

    same(*both(run))


def test_dropout_between_layers_draws_for_what_is_there() -> None:
    def run(lib: Any) -> Any:
        lib.manual_seed(3)
        layer = lib.nn.GRU(2, 4, num_layers=2, dropout=0.5)
        packed = rnn_of(lib).pack_padded_sequence(lib.tensor(draw(1, 5, 4, 2)), SORTED)
        return layer(packed)[0].data

    same(*both(run))


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([3, 2], "to be equal to batch_size"),
        ([3, 2, 0], "has to be greater than 0"),
        ([2, 3, 1], "must be sorted in decreasing order"),
    ],
)
def test_lengths_that_do_not_fit(lengths: list[int], message: str) -> None:
    for lib in (ddp, torch):
        with pytest.raises(RuntimeError, match=message):
            rnn_of(lib).pack_padded_sequence(lib.zeros(4, 3, 2), lengths)


def test_a_total_length_that_is_too_short() -> None:
    for lib in (ddp, torch):
        packed = rnn_of(lib).pack_padded_sequence(lib.zeros(4, 3, 2), [4, 2, 1])
        with pytest.raises(ValueError, match="Expected total_length to be at least"):
            rnn_of(lib).pad_packed_sequence(packed, total_length=3)


def test_second_gradients_go_through_packed_sequences_too() -> None:
    layer = ddp.nn.GRU(2, 3, bidirectional=True, dtype=ddp.float64)
    x = ddp.tensor(np.random.default_rng(0).random((4, 3, 2)) - 0.5, requires_grad=True)

    def outputs(x: Any) -> Any:
        packed = rnn_of(ddp).pack_padded_sequence(x, [4, 2, 1])
        return layer(packed)[0].data

    assert ddp.autograd.gradcheck(outputs, (x,), fast_mode=True)
    assert ddp.autograd.gradgradcheck(outputs, (x,), fast_mode=True)
