"""The state in parts: whole again in whatever order they come, and refused when they do not fit."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddp.errors import PeerProtocolError
from workers import assembly
from workers import messages as m
from workers.assembly import Assembly, parts, pieces

SHAPES = st.lists(st.integers(0, 6), max_size=3).map(tuple)


@st.composite
def states(draw: st.DrawFn) -> dict[str, dict[str, np.ndarray]]:
    def array(shape: tuple[int, ...]) -> np.ndarray:
        dtype = draw(st.sampled_from([np.float32, np.float64, np.int64, np.bool_]))
        return np.arange(prod(shape)).reshape(shape).astype(dtype)

    names = st.sampled_from(["a.weight", "a.bias", "a.weight/step", "b"])
    shapes = st.dictionaries(names, SHAPES)
    return {k: {n: array(s) for n, s in draw(shapes).items()} for k in ("model", "optimizer")}


@given(states(), st.data())
def test_parts_make_the_arrays_again_in_any_order(
    state: dict[str, dict[str, np.ndarray]], data: st.DataObject
) -> None:
    sent = [
        piece
        for kind, arrays in state.items()
        for name, array in arrays.items()
        for piece in cut(kind, name, array, data)
    ]
    whole = Assembly()
    for part, array in data.draw(st.permutations(sent)):
        whole.add(part, array)
    for kind, arrays in zip(("model", "optimizer"), whole.take(), strict=True):
        assert arrays.keys() == state[kind].keys()
        for name, array in arrays.items():
            assert array.dtype == state[kind][name].dtype
            np.testing.assert_array_equal(array, state[kind][name])


def cut(
    kind: str, name: str, array: np.ndarray, data: st.DataObject
) -> list[tuple[m.StatePart, np.ndarray]]:
    """An array in stretches, as several ranks would send it."""
    cuts = data.draw(st.sets(st.integers(0, array.size)))
    ends = sorted(cuts | {array.size})
    starts = [0, *ends[:-1]]
    flat = array.reshape(-1)
    return [
        piece
        for lo, hi in zip(starts, ends, strict=True)
        for piece in pieces(kind, name, array.shape, lo, flat[lo:hi])
    ]


def test_no_message_is_larger_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "PART_BYTES", 64)
    state = {"w": np.arange(100, dtype=np.float32).reshape(4, 25), "n": np.array(3)}
    sent = list(parts("model", state))
    assert len(sent) == 8
    assert all(0 < array.nbytes <= 64 and array.ndim == 1 for _, array in sent)
    whole = Assembly()
    for part, array in sent:
        whole.add(part, array)
    model, _ = whole.take()
    np.testing.assert_array_equal(model["w"], state["w"])
    assert model["n"] == 3


def test_an_array_without_elements_arrives_too() -> None:
    whole = Assembly()
    for part, array in parts("model", {"empty": np.zeros((3, 0), np.float32)}):
        whole.add(part, array)
    model, _ = whole.take()
    assert model["empty"].shape == (3, 0)


def part(start: int, shape: tuple[int, ...] = (10,), kind: str = "model") -> m.StatePart:
    return m.StatePart(kind=kind, name="w", shape=shape, start=start)


def ones(size: int, dtype: type = np.float32) -> np.ndarray:
    return np.ones(size, dtype)


def test_an_array_with_a_gap_is_refused_by_name() -> None:
    whole = Assembly()
    whole.add(part(0), ones(4))
    whole.add(part(7), ones(3))
    with pytest.raises(PeerProtocolError, match="3 elements of the state model/w never came"):
        whole.take()


@pytest.mark.parametrize(
    ("start", "size"), [(3, 4), (0, 4), (2, 5), (4, 1), (5, 5), (0, 10), (6, 1)]
)
def test_elements_that_come_twice_are_refused(start: int, size: int) -> None:
    whole = Assembly()
    whole.add(part(3), ones(4))
    with pytest.raises(PeerProtocolError, match=f"model/w from {start} on has come before"):
        whole.add(part(start), ones(size))


def test_two_overlapping_parts_do_not_pass_for_a_whole_array() -> None:
    whole = Assembly()
    whole.add(part(0), ones(5))
    with pytest.raises(PeerProtocolError, match="has come before"):
        whole.add(part(0), ones(5))
    with pytest.raises(PeerProtocolError, match="5 elements"):
        whole.take()


@pytest.mark.parametrize(
    ("wrong", "array"),
    [
        (part(8), ones(3)),
        (part(-1), ones(3)),
        (part(0), ones(11)),
        (part(0), np.ones((2, 5), np.float32)),
        (part(0, (-2, -5)), ones(10)),
        (part(0, (-1,)), ones(0)),
        (part(0, kind="secret"), ones(10)),
    ],
    ids=["past the end", "before the start", "too long", "not flat", "negative", "-1", "kind"],
)
def test_a_part_that_does_not_fit_is_refused(wrong: m.StatePart, array: np.ndarray) -> None:
    with pytest.raises(PeerProtocolError, match="does not fit"):
        Assembly().add(wrong, array)


@pytest.mark.parametrize(
    ("other", "array"),
    [(part(5, (5, 2)), ones(5)), (part(5), ones(5, np.float64))],
    ids=["shape", "dtype"],
)
def test_ranks_that_disagree_are_refused(other: m.StatePart, array: np.ndarray) -> None:
    whole = Assembly()
    whole.add(part(0), ones(5))
    with pytest.raises(PeerProtocolError, match="disagree on the shape of model/w"):
        whole.add(other, array)


def test_what_was_taken_is_forgotten_for_the_next_checkpoint() -> None:
    whole = Assembly()
    whole.add(part(0), ones(10))
    whole.take()
    whole.add(part(0), ones(10))
    model, optimizer = whole.take()
    assert list(model) == ["w"]
    assert optimizer == {}
