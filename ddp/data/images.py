"""Images as they lie in files: bytes, normalised a batch at a time, so that files stay mapped."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ddp.data.dataset import Array, check_labels
from ddp.data.digits import PIXEL_MAX, digits
from ddp.errors import DataError

Bytes = NDArray[np.uint8]
BYTE_MAX = 255


class ByteImages:
    """Images (N, C, H, W) of bytes with labels (N,): float32 (x/255 - mean) / std, int64 labels.

    `mean` and `std` are one number for each channel. Several arrays follow one another without
    being joined in memory. Labels outside 0 … classes-1 raise DataError when they are read.
    """

    def __init__(
        self,
        images: Sequence[Bytes],
        labels: Sequence[Array],
        mean: Sequence[float],
        std: Sequence[float],
        classes: int = 10,
        where: str = "the labels",
    ) -> None:
        if sum(map(len, labels)) == 0 or [len(i) for i in images] != [len(k) for k in labels]:
            counts = [len(part) for part in (*images, *labels)]
            raise DataError(f"{where}: expected a label for every image, got {counts}")
        self._images, self._labels = images, labels
        self._starts = np.cumsum([0, *map(len, labels)])
        self._mean, self._std = (
            np.array(values, np.float32).reshape(-1, 1, 1) for values in (mean, std)
        )
        self._classes, self._where = classes, where

    def __len__(self) -> int:
        return int(self._starts[-1])

    def fetch(self, indices: NDArray[np.int64]) -> tuple[Array, Array]:
        """(B, C, H, W) float32 and (B,) int64."""
        part_of = np.searchsorted(self._starts, indices, side="right") - 1
        images = np.empty((len(indices), *self._images[0].shape[1:]), np.float32)
        labels = np.empty(len(indices), np.int64)
        for part in np.unique(part_of):
            chosen = part_of == part
            rows = indices[chosen] - self._starts[part]
            images[chosen] = self._images[part][rows]
            labels[chosen] = self._labels[part][rows]
        check_labels(labels, self._classes, self._where)
        return (images / np.float32(BYTE_MAX) - self._mean) / self._std, labels


def large_digits(size: int = 32) -> tuple[ByteImages, ByteImages]:
    """The UCI digits as colour images (3, size, size), `size` a multiple of 8: (train, test).

    Every pixel is repeated; for networks that expect larger images than 8x8.
    """
    if size < 8 or size % 8:
        raise DataError(f"expected a multiple of 8 as the size of large digits, got {size}")
    train, test = (_enlarge(part.inputs, part.targets, size // 8) for part in digits())
    return train, test


def _enlarge(inputs: Array, targets: Array, factor: int) -> ByteImages:
    steps = np.rint(inputs * PIXEL_MAX).astype(np.uint8)  # 0 … 16 again
    pixels = (steps.astype(np.uint16) * BYTE_MAX // PIXEL_MAX).astype(np.uint8)
    large = pixels.repeat(factor, axis=2).repeat(factor, axis=3).repeat(3, axis=1)
    return ByteImages([large], [targets], mean=(0.5,) * 3, std=(0.5,) * 3)
