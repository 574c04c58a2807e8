"""A mailbox message as one run of bytes, for transports that do not know frames.

count, then the length of each frame (uint32, little-endian), then the frames
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from ddp.comm.communicator import Array
from ddp.errors import LocalProtocolError

LONGEST = (1 << 31) - 1  # MPI counts in C ints


def seal(frames: Sequence[bytes | memoryview | Array]) -> bytes:
    """The letter that holds copies of `frames`. Raises LocalProtocolError above 2 GiB."""
    copies = [bytes(frame) for frame in frames]
    length = 4 * (len(copies) + 1) + sum(map(len, copies))
    if length > LONGEST:
        raise LocalProtocolError(f"a letter has at most {LONGEST} bytes, got {length}")
    head = struct.pack(f"<{len(copies) + 1}I", len(copies), *map(len, copies))
    return head + b"".join(copies)


def unseal(letter: bytes | bytearray) -> list[bytes]:
    """The frames of a letter made by `seal` on another rank of the same job."""
    (count,) = struct.unpack_from("<I", letter)
    start = 4 * (count + 1)
    frames = []
    for length in struct.unpack_from(f"<{count}I", letter, 4):
        frames.append(bytes(letter[start : start + length]))
        start += length
    return frames
