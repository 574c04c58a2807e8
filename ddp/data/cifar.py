"""CIFAR-10 (Krizhevsky, 2009) from its binary files, which the user has or gets.

A record is one byte of label and 3,072 bytes of pixels: the red plane, the green, the blue, each
32x32 row by row. The files are mapped, not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ddp.data.images import ByteImages, Bytes
from ddp.errors import DataError

RECORD_BYTES = 1 + 3 * 32 * 32
TRAIN_FILES = tuple(f"data_batch_{n}.bin" for n in range(1, 6))
TEST_FILES = ("test_batch.bin",)
SOURCE = "cifar-10-binary.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html"


def cifar10(folder: str = "data/cifar-10-batches-bin") -> tuple[ByteImages, ByteImages]:
    """(50,000 training images, 10,000 test images): float32 (3, 32, 32) in [-1, 1], labels 0 … 9.

    Raises DataError, which says where to get the files, when they are missing or cut off.
    """
    train, test = (_open(Path(folder), names) for names in (TRAIN_FILES, TEST_FILES))
    return train, test


def _open(folder: Path, names: Sequence[str]) -> ByteImages:
    files = [_map_records(folder / name) for name in names]
    images = [file[:, 1:].reshape(-1, 3, 32, 32) for file in files]
    labels = [file[:, 0] for file in files]
    return ByteImages(images, labels, mean=(0.5,) * 3, std=(0.5,) * 3, where=str(folder))


def _map_records(path: Path) -> Bytes:
    """(records, RECORD_BYTES), mapped read-only."""
    if not path.is_file():
        raise DataError(f"{path}: no such file: get {SOURCE} and unpack it in {path.parent.parent}")
    size = path.stat().st_size
    if size == 0 or size % RECORD_BYTES:
        raise DataError(
            f"{path}: expected records of {RECORD_BYTES} bytes, got {size} bytes: cut off?"
        )
    mapped = np.memmap(path, np.uint8, mode="r", shape=(size // RECORD_BYTES, RECORD_BYTES))
    return np.asarray(mapped)
