"""The wire: what is packed arrives, and everything else is refused in one sentence."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

import hypothesis.extra.numpy as nps
import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddp.errors import LocalProtocolError, PeerProtocolError
from ddp.wire import MAGIC, VERSION, Limits, pack, unpack

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
DTYPES = ["float32", "float64", "bool", *INTEGERS]

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)
headers = st.dictionaries(st.text(), values, max_size=6)
arrays = st.sampled_from(DTYPES).flatmap(
    lambda name: nps.arrays(name, nps.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
)


def first_frame(*content: Any) -> bytes:
    packed: bytes = msgpack.packb(list(content))
    return packed


@settings(max_examples=50)
@given(headers, st.lists(arrays, max_size=4))
def test_what_is_packed_arrives(header: dict[str, Any], sent: list[np.ndarray]) -> None:
    came_header, came = unpack([bytes(frame) for frame in pack(header, sent)])
    assert came_header == header
    assert [a.dtype for a in came] == [a.dtype for a in sent]
    for a, b in zip(came, sent, strict=True):
        np.testing.assert_array_equal(a, b)


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_garbage_is_a_peer_protocol_error(frames: list[bytes]) -> None:
    with pytest.raises(PeerProtocolError, match=r"^a message was refused: [^\n]*$"):
        unpack(frames)


@given(headers, st.lists(arrays, min_size=1, max_size=3), st.data())
def test_a_damaged_message_is_refused_or_still_a_message(
    header: dict[str, Any], sent: list[np.ndarray], data: st.DataObject
) -> None:
    """Flipped bytes may make another valid message; they never make another kind of error."""
    frames = [bytearray(frame) for frame in pack(header, sent)]
    victim = data.draw(st.sampled_from([frame for frame in frames if frame]))
    for _ in range(data.draw(st.integers(1, 4))):
        victim[data.draw(st.integers(0, len(victim) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del victim[data.draw(st.integers(0, len(victim) - 1)) :]
    with contextlib.suppress(PeerProtocolError):
        unpack(frames)


@given(st.recursive(values, lambda v: st.lists(v, max_size=4), max_leaves=10), st.binary())
def test_valid_msgpack_of_another_shape_is_refused(content: Any, frame: bytes) -> None:
    with pytest.raises(PeerProtocolError):
        unpack([msgpack.packb(content), frame])


def test_array_frames_are_the_memory_of_the_arrays() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    _, frame = pack({}, [array])
    array[0, 0] = 7
    assert np.frombuffer(frame, np.float32)[0] == 7


def test_arrays_that_arrive_are_read_only_views_of_the_frames() -> None:
    frame = bytearray(8)
    _, (array,) = unpack([first_frame(MAGIC, VERSION, {}, [["float32", [2]]]), frame])
    frame[:] = struct.pack("<ff", 1.0, 2.0)
    np.testing.assert_array_equal(array, [1, 2])
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 3


def test_strided_and_big_endian_arrays_arrive_as_their_values() -> None:
    sent = [np.arange(12.0).reshape(3, 4).T, np.arange(5, dtype=">i4"), np.arange(9)[::-2]]
    _, came = unpack(pack({}, sent))
    for a, b in zip(came, sent, strict=True):
        np.testing.assert_array_equal(a, b)


def test_text_and_bytes_stay_what_they_are() -> None:
    header, _ = unpack(pack({"text": "a", "bytes": b"a", "many": ("a", b"a")}))
    assert header == {"text": "a", "bytes": b"a", "many": ["a", b"a"]}


EMPTY: list[Any] = []
REFUSED: dict[str, tuple[list[bytes], str]] = {
    "no frame": ([], "no frames"),
    "other magic": ([first_frame("pdp", VERSION, {}, EMPTY)], "does not begin as"),
    "magic as bytes": ([first_frame(b"ddp", VERSION, {}, EMPTY)], "does not begin as"),
    "too few parts": ([first_frame(MAGIC, VERSION, {})], "does not begin as"),
    "other version": ([first_frame(MAGIC, 2, {}, EMPTY)], "version 2, this side speaks 1"),
    "true for version": ([first_frame(MAGIC, True, {}, EMPTY)], "version True"),
    "header a list": ([first_frame(MAGIC, VERSION, [], EMPTY)], "is a list, expected a map"),
    "bytes key": ([first_frame(MAGIC, VERSION, {b"k": 1}, EMPTY)], "a key that is no string"),
    "number key": ([first_frame(MAGIC, VERSION, {1: 1}, EMPTY)], "no msgpack"),
    "deep key": ([first_frame(MAGIC, VERSION, {"a": [{b"k": 1}]}, EMPTY)], "no string"),
    "timestamp": (
        [first_frame(MAGIC, VERSION, {"t": msgpack.Timestamp(1)}, EMPTY)],
        "Timestamp, which is no plain value",
    ),
    "extension": ([first_frame(MAGIC, VERSION, {"e": msgpack.ExtType(7, b"x")}, EMPTY)], "type 7"),
    "trailing bytes": ([first_frame(MAGIC, VERSION, {}, EMPTY) + b"x"], "no msgpack"),
    "text not UTF-8": ([b"\x94\xa3ddp\x01\x81\xa1\xff\x01\x90"], "no msgpack"),
    "lists without end": ([b"\xdd\xff\xff\xff\xff" * 500], "no msgpack"),
    "brackets without end": ([b"\x91" * 5000], "no msgpack"),
    "object dtype": ([first_frame(MAGIC, VERSION, {}, [["object", [1]]]), b"12345678"], "'object'"),
    "dtype code": ([first_frame(MAGIC, VERSION, {}, [["<f4", [1]]]), b"1234"], "'<f4', allowed"),
    "complex": ([first_frame(MAGIC, VERSION, {}, [["complex64", [1]]]), b"12345678"], "complex64"),
    "negative length": ([first_frame(MAGIC, VERSION, {}, [["int8", [-1]]]), b""], "is not .dtype"),
    "fraction": ([first_frame(MAGIC, VERSION, {}, [["int8", [1.0]]]), b"1"], "is not .dtype"),
    "true length": ([first_frame(MAGIC, VERSION, {}, [["int8", [True]]]), b"1"], "is not .dtype"),
    "shape a number": ([first_frame(MAGIC, VERSION, {}, [["int8", 1]]), b"1"], "is not .dtype"),
    "description a map": ([first_frame(MAGIC, VERSION, {}, {}), b"1"], "are no list"),
    "nine axes": ([first_frame(MAGIC, VERSION, {}, [["int8", [1] * 9]]), b"1"], "9 dimensions"),
    "huge": ([first_frame(MAGIC, VERSION, {}, [["int8", [2**40]]]), b"1"], "exceeds the limit"),
    "overflow": ([first_frame(MAGIC, VERSION, {}, [["int8", [2**32] * 4]]), b""], "exceeds"),
    "huge but empty": ([first_frame(MAGIC, VERSION, {}, [["int8", [0, 2**63]]]), b""], "exceeds"),
    "short frame": ([first_frame(MAGIC, VERSION, {}, [["int32", [2]]]), b"1234567"], "7 bytes"),
    "long frame": ([first_frame(MAGIC, VERSION, {}, [["int32", [2]]]), b"123456789"], "9 bytes"),
    "frame missing": ([first_frame(MAGIC, VERSION, {}, [["int8", [1]]])], "1 arrays, 0 came"),
    "frame too many": ([first_frame(MAGIC, VERSION, {}, EMPTY), b"1"], "0 arrays, 1 came"),
    "bool of 2": ([first_frame(MAGIC, VERSION, {}, [["bool", [1]]]), b"\x02"], "other than 0 and"),
}


@pytest.mark.parametrize(("frames", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_each_malformation_is_refused_with_its_reason(frames: list[bytes], reason: str) -> None:
    with pytest.raises(PeerProtocolError, match=reason):
        unpack(frames)


def nested(depth: int) -> Any:
    return {"a": nested(depth - 1)} if depth else 1


LIMITS = Limits(header_bytes=100, depth=3, items=4, arrays=2, dimensions=2, total_bytes=64)
OVER: dict[str, tuple[dict[str, Any], list[np.ndarray], str]] = {
    "header": ({"a": "x" * 100}, [], "the limit is 100"),
    "depth": (nested(3), [], "more than 3 levels"),
    "items": ({"a": [0] * 5}, [], r"list of 5 items|no msgpack \(ValueError\)"),
    "arrays": ({}, [np.zeros(1, np.int8)] * 3, "no list of at most 2"),
    "dimensions": ({}, [np.zeros((1, 1, 1), np.int8)], "3 dimensions, the limit is 2"),
    "one array": ({}, [np.zeros(65, np.int8)], "exceeds the limit of 64"),
    "total": ({}, [np.zeros(33, np.int8)] * 2, "have 66 bytes, the limit is 64"),
}


@pytest.mark.parametrize(("header", "sent", "reason"), OVER.values(), ids=OVER.keys())
def test_both_sides_keep_every_limit(
    header: dict[str, Any], sent: list[np.ndarray], reason: str
) -> None:
    with pytest.raises(LocalProtocolError, match=reason):
        pack(header, sent, LIMITS)
    with pytest.raises(PeerProtocolError, match=reason):
        unpack(pack(header, sent), LIMITS)


def test_what_lies_just_within_the_limits_passes() -> None:
    sent = [np.zeros((4, 8), np.int8), np.zeros(32, np.int8)]
    header, came = unpack(pack({"a": [1, 2, 3, 4]}, sent, LIMITS), LIMITS)
    assert header == {"a": [1, 2, 3, 4]}
    assert [a.shape for a in came] == [(4, 8), (32,)]


@pytest.mark.parametrize(
    ("header", "sent"),
    [
        ({"a": 2**64}, []),
        ({"a": np.float32(1)}, []),
        ({"a": {1, 2}}, []),
        ({"a": object()}, []),
        ({1: "a"}, []),
        ({"a": msgpack.Timestamp(1)}, []),
        ({"a": msgpack.ExtType(7, b"x")}, []),
        ({"a": "\ud800"}, []),
        ({}, [np.array(["text"])]),
        ({}, [np.array([None])]),
        ({}, [np.zeros(1, np.float16)]),
        ({}, [np.zeros(1, np.complex64)]),
    ],
)
def test_what_the_wire_does_not_carry_is_not_sent(
    header: dict[Any, Any], sent: list[np.ndarray]
) -> None:
    with pytest.raises(LocalProtocolError, match="cannot be sent"):
        pack(header, sent)


def test_a_header_that_holds_itself_is_not_sent() -> None:
    header: dict[str, Any] = {}
    header["self"] = header
    with pytest.raises(LocalProtocolError, match="cannot be sent"):
        pack(header)
