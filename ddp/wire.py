"""Messages as frames: a msgpack header, then the memory of each array as it is. Never pickle.

    frame 0     msgpack [MAGIC, VERSION, header, [[dtype name, shape], ...]]
    frame 1...  the arrays, C order, little-endian, one frame each

Both sides keep the rules: `pack` refuses with LocalProtocolError what `unpack` would refuse with
PeerProtocolError, so a message that was packed arrives. A header is a dict with str keys of None,
bool, int (64 bits), float, str, bytes, lists and dicts. A tuple arrives as a list, which is all
that msgpack knows of it. What fields a header has, and what they mean, is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from ddp.errors import LocalProtocolError, PeerProtocolError

Array = NDArray[Any]
Frame = bytes | bytearray | memoryview

MAGIC = "ddp"
VERSION = 1

# What may cross: plain numbers. Objects, strings, dates and records may not.
_DTYPES = {
    np.dtype(code).name: np.dtype("<" + code if code[-1] not in "1?" else code)
    for code in ("f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")
}
# By dtype: NumPy makes a name anew each time it is asked, in 5 us.
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one message may hold: a bound on memory that a stranger can make us spend."""

    header_bytes: int = 1 << 20
    """Headers carry a configuration or a report per worker: kilobytes. 1 MiB is room to spare."""
    depth: int = 16
    """Levels of a header, its innermost values included. A configuration has four."""
    items: int = 1 << 16
    """Entries of one list or dict. msgpack allocates a list at the length that is claimed."""
    arrays: int = 4096
    """A message carries at most some arrays per parameter of a model."""
    dimensions: int = 8
    """An image batch has four. NumPy itself ends at 64."""
    total_bytes: int = 1 << 32
    """All arrays together: a whole model and optimizer state sent to a worker that joins."""


DEFAULT_LIMITS = Limits()


def pack(
    header: Mapping[str, Any], arrays: Sequence[Array] = (), limits: Limits = DEFAULT_LIMITS
) -> list[Frame]:
    """The frames of a message. Array frames are views: leave the arrays alone until it is sent.

    Raises LocalProtocolError for what the wire does not carry.
    """
    described = describe(arrays, limits)
    try:
        first = msgpack.packb([MAGIC, VERSION, dict(header), described])
        _check_header(first, header, limits)
    except (TypeError, ValueError, OverflowError, RecursionError, _Refused) as error:
        raise LocalProtocolError(f"the message cannot be sent: {error}") from error
    return [first, *frames_of(arrays)]


def describe(
    arrays: Sequence[Array], limits: Limits = DEFAULT_LIMITS
) -> list[tuple[str, list[int]]]:
    """What the first frame says of the arrays. Raises LocalProtocolError as `pack` does."""
    described = [
        (_NAMES.get(array.dtype) or array.dtype.name, list(array.shape)) for array in arrays
    ]
    try:
        _check_described(described, limits)
    except _Refused as error:
        raise LocalProtocolError(f"the message cannot be sent: {error}") from error
    return described


def frames_of(arrays: Sequence[Array]) -> list[Frame]:
    """The frames behind the first one: views of the arrays."""
    return [_memory(array) for array in arrays]


def unpack(
    frames: Sequence[Frame], limits: Limits = DEFAULT_LIMITS
) -> tuple[dict[str, Any], list[Array]]:
    """The header and arrays of a message. The arrays are read-only views of the frames.

    Raises PeerProtocolError, in one sentence, for anything that `pack` would not have made.
    """
    try:
        return _unpack(frames, limits)
    except _Refused as error:
        raise PeerProtocolError(f"a message was refused: {error}") from error


class _Refused(Exception):
    """Why a message is none; the text completes a sentence."""


def _unpack(frames: Sequence[Frame], limits: Limits) -> tuple[dict[str, Any], list[Array]]:
    if not frames:
        raise _Refused("it has no frames, expected a header")
    header, described = _decode(bytes(frames[0]), limits)
    return header, _arrays(described, frames[1:], limits)


def read_arrays(
    described: Any, frames: Sequence[Frame], limits: Limits = DEFAULT_LIMITS
) -> list[Array]:
    """The arrays of the frames behind the first, which described them; as in `unpack`."""
    try:
        return _arrays(described, frames, limits)
    except _Refused as error:
        raise PeerProtocolError(f"a message was refused: {error}") from error


def _arrays(described: Any, frames: Sequence[Frame], limits: Limits) -> list[Array]:
    _check_described(described, limits)
    if len(described) != len(frames):
        raise _Refused(f"its header describes {len(described)} arrays, {len(frames)} came")
    pairs = zip(described, frames, strict=True)
    return [_array(name, shape, frame) for (name, shape), frame in pairs]


def _decode(first: bytes, limits: Limits) -> tuple[dict[str, Any], Any]:
    """Header and array descriptions of the first frame; the descriptions are still unchecked."""
    if len(first) > limits.header_bytes:
        raise _Refused(f"its header has {len(first)} bytes, the limit is {limits.header_bytes}")
    try:
        content = msgpack.unpackb(
            first,
            ext_hook=_refuse_extension,
            max_array_len=limits.items,
            max_map_len=limits.items,
        )
    except _Refused:
        raise
    except Exception as error:  # msgpack raises from half of Python's tree, RecursionError included
        raise _Refused(f"its header is no msgpack ({type(error).__name__})") from error
    if not isinstance(content, list) or len(content) != 4 or content[0] != MAGIC:
        raise _Refused("it does not begin as this project's messages do")
    _, version, header, described = content
    if version != VERSION or isinstance(version, bool):
        raise _Refused(
            f"it speaks protocol version {version!r:.40}, this side speaks {VERSION}: "
            "install the same release on both sides"
        )
    if not isinstance(header, dict):
        raise _Refused(f"its header is a {type(header).__name__}, expected a map")
    _check_header(first, header, limits)
    return header, described


def _refuse_extension(code: int, data: bytes) -> Any:
    raise _Refused(f"its header holds a msgpack extension of type {code}")


def _check_header(first: bytes, header: Mapping[str, Any], limits: Limits) -> None:
    """Raise _Refused for a header that is too long, too deep or holds what is not plain."""
    if len(first) > limits.header_bytes:
        raise _Refused(f"its header has {len(first)} bytes, the limit is {limits.header_bytes}")
    level: list[Any] = [header]
    for _ in range(limits.depth):
        level = [child for value in level for child in _children(value, limits)]
    if level:
        raise _Refused(f"its header is nested more than {limits.depth} levels deep")


def _children(value: Any, limits: Limits) -> list[Any]:
    """What the value holds, if it is a list or dict; it is checked here to be a plain value."""
    if isinstance(value, Mapping) or type(value) in (list, tuple):
        if len(value) > limits.items:
            raise _Refused(f"its header has a {type(value).__name__} of {len(value)} items")
        if not isinstance(value, Mapping):
            return list(value)
        if not all(isinstance(key, str) for key in value):
            raise _Refused("its header has a key that is no string")
        return list(value.values())
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return []
    raise _Refused(f"its header holds a {type(value).__name__}, which is no plain value")


def _check_described(described: Any, limits: Limits) -> None:
    """Raise _Refused unless each description is [allowed dtype name, small shape of lengths]."""
    if not isinstance(described, list) or len(described) > limits.arrays:
        raise _Refused(f"its array descriptions are no list of at most {limits.arrays}")
    total = 0
    for about in described:
        match about:
            case [str(name), [*shape]] if all(type(n) is int and n >= 0 for n in shape):
                total += _byte_count(name, shape, limits)
            case _:
                raise _Refused("an array description is not [dtype, [length, ...]]")
    if total > limits.total_bytes:
        raise _Refused(f"its arrays have {total} bytes, the limit is {limits.total_bytes}")


def _byte_count(name: str, shape: list[int], limits: Limits) -> int:
    if name not in _DTYPES:
        raise _Refused(f"an array has dtype {name!r:.40}, allowed are {', '.join(_DTYPES)}")
    if len(shape) > limits.dimensions:
        raise _Refused(f"an array has {len(shape)} dimensions, the limit is {limits.dimensions}")
    # Lengths are bounded too where another length is 0: NumPy cannot hold such a shape either.
    if prod(max(n, 1) for n in shape) * _DTYPES[name].itemsize > limits.total_bytes:
        raise _Refused(f"an array of shape {shape} exceeds the limit of {limits.total_bytes} bytes")
    return prod(shape) * _DTYPES[name].itemsize


def _memory(array: Array) -> memoryview:
    little = np.ascontiguousarray(array, dtype=_DTYPES[_NAMES.get(array.dtype) or array.dtype.name])
    return little.reshape(-1).view(np.uint8).data


def _array(name: str, shape: list[int], frame: Frame) -> Array:
    dtype = _DTYPES[name]
    awaited = prod(shape) * dtype.itemsize
    view = memoryview(frame)
    if view.nbytes != awaited:
        raise _Refused(
            f"an array of dtype {name} and shape {shape} came with {view.nbytes} bytes, "
            f"expected {awaited}"
        )
    array = np.frombuffer(view, dtype).reshape(shape)
    if name == "bool" and np.any(array.view(np.uint8) > 1):
        raise _Refused("an array of dtype bool holds bytes other than 0 and 1")
    array.flags.writeable = False
    return array
