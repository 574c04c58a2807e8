"""The UCI handwritten digits: 1,797 images of 8x8 pixels, ten classes. Source: DIGITS.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ddp.data.dataset import ArrayDataset

PIXEL_MAX = 16  # a pixel counts the dark dots in a 4x4 block of the scan
TEST_EVERY = 5


def digits() -> tuple[ArrayDataset, ArrayDataset]:
    """(training set of 1,437, test set of 360): every fifth image, the first included, is test.

    Inputs float32 (1, 8, 8) in [0, 1]; targets the class 0 … 9 as int64.
    """
    with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as file:
        images, labels = file["images"], file["labels"]
    inputs = images[:, np.newaxis].astype(np.float32) / np.float32(PIXEL_MAX)
    targets = labels.astype(np.int64)
    test = np.arange(len(labels)) % TEST_EVERY == 0
    return ArrayDataset(inputs[~test], targets[~test]), ArrayDataset(inputs[test], targets[test])
