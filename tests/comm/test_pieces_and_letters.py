"""What both ends of a transport do alike: cut arrays into pieces, seal frames in a letter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddp.comm.letters import seal, unseal
from ddp.comm.pieces import PIECE_BYTES, cut
from ddp.errors import LocalProtocolError


@pytest.mark.parametrize("length", [1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1])
def test_pieces_are_bounded_and_cover_the_array_in_order(length: int) -> None:
    array = np.arange(length, dtype=np.uint8)
    pieces = cut([array])
    assert all(0 < piece.nbytes <= PIECE_BYTES for piece in pieces)
    np.testing.assert_array_equal(np.concatenate(pieces), array)


def test_what_is_written_to_a_piece_is_written_to_the_array() -> None:
    array = np.zeros((2, 3), np.int16)
    for piece in cut([array]):
        piece[:] = 1
    np.testing.assert_array_equal(array, 0x0101)


def test_empty_arrays_have_no_pieces() -> None:
    assert cut([np.zeros(0, np.float32), np.zeros((3, 0), np.int8)]) == []


def test_each_array_has_its_own_pieces() -> None:
    assert [p.nbytes for p in cut([np.zeros(1), np.zeros(0), np.zeros(2)])] == [8, 16]


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_what_is_sealed_is_unsealed(frames: list[bytes]) -> None:
    assert unseal(seal(frames)) == frames


def test_a_letter_holds_arrays_and_views_as_bytes() -> None:
    frames = [memoryview(b"ab"), np.arange(3, dtype=np.int16)]
    assert unseal(seal(frames)) == [b"ab", b"\x00\x00\x01\x00\x02\x00"]


def test_a_letter_too_long_for_mpi_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ddp.comm.letters.LONGEST", 20)
    assert len(seal([bytes(12)])) == 20
    with pytest.raises(LocalProtocolError, match="at most 20 bytes, got 21"):
        seal([bytes(13)])
