"""MNIST (LeCun et al.) from its IDX files, which the user has or gets; as they are or gzipped.

IDX: two zero bytes, a byte for the type (8: unsigned bytes), a byte for the number of axes, each
axis' length in 4 bytes, most significant first; then the values, the last axis running fastest.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from ddp.data.images import ByteImages, Bytes
from ddp.errors import DataError

SOURCE = "https://ossci-datasets.s3.amazonaws.com/mnist/"
UNSIGNED_BYTES = 8
MEAN, STD = 0.1307, 0.3081  # of the training set's pixels


def mnist(folder: str = "data/mnist") -> tuple[ByteImages, ByteImages]:
    """(60,000 training images, 10,000 test images): float32 (1, 28, 28), labels 0 … 9.

    Pixels have mean 0 and variance 1 over the training set. Raises DataError, which says where
    to get the files, when they are missing or cut off.
    """
    train, test = (_open(Path(folder), prefix) for prefix in ("train", "t10k"))
    return train, test


def _open(folder: Path, prefix: str) -> ByteImages:
    images = read_idx(folder / f"{prefix}-images-idx3-ubyte", axes=3)
    labels = read_idx(folder / f"{prefix}-labels-idx1-ubyte", axes=1)
    return ByteImages([images[:, np.newaxis]], [labels], (MEAN,), (STD,), where=str(folder))


def read_idx(path: Path, axes: int) -> Bytes:
    """The bytes of an IDX file with `axes` axes; `path` or `path`.gz. Raises DataError."""
    zipped = path.with_name(f"{path.name}.gz")
    if path.is_file():
        content = _map(path)
    elif zipped.is_file():
        path, content = zipped, _unzip(zipped)
    else:
        raise DataError(f"{path}: no such file, nor {zipped.name}: get it from {SOURCE}")
    header_bytes = 4 + 4 * axes
    header = content[:header_bytes].tobytes()
    if len(header) < header_bytes or header[:4] != bytes([0, 0, UNSIGNED_BYTES, axes]):
        raise DataError(f"{path}: expected an IDX file of bytes with {axes} axes")
    shape = struct.unpack(f">{axes}I", header[4:])
    if len(content) != header_bytes + math.prod(shape):
        raise DataError(f"{path}: expected {math.prod(shape)} values, got {len(content)} bytes")
    return content[header_bytes:].reshape(shape)


def _map(path: Path) -> Bytes:
    """The file's bytes, mapped read-only; an empty file cannot be mapped."""
    empty = path.stat().st_size == 0
    return np.empty(0, np.uint8) if empty else np.asarray(np.memmap(path, np.uint8, mode="r"))


def _unzip(path: Path) -> Bytes:
    try:
        return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: expected a whole gzip file: {error}") from None
