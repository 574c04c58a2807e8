"""The digits in the package are the ones their description names."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

import ddp.data.digits
from ddp.data.digits import digits

FOLDER = Path(ddp.data.digits.__file__).parent


def test_the_file_holds_the_values_of_the_source() -> None:
    """Digests of the arrays as parsed from the source; the file's own bytes depend on zlib."""
    with np.load(FOLDER / "digits.npz", allow_pickle=False) as file:
        digests = {name: hashlib.sha256(file[name].tobytes()).hexdigest() for name in file.files}
    assert digests == {
        "images": "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3",
        "labels": "8ba4f891220f5e4c9c819638d1602d74b83618f167043c6da52a2a247841ddf0",
    }


def test_the_package_names_source_and_licence() -> None:
    text = (FOLDER / "DIGITS.md").read_text()
    assert "CC BY 4.0" in text
    assert "UCI Machine" in text
    assert (FOLDER / "digits.npz").stat().st_size < 60_000


def test_every_fifth_image_is_for_testing() -> None:
    train, test = digits()
    assert (len(train), len(test)) == (1437, 360)
    with np.load(FOLDER / "digits.npz") as file:
        np.testing.assert_array_equal(test.targets, file["labels"][::5])
        np.testing.assert_array_equal(test.inputs[:, 0] * 16, file["images"][::5])


def test_images_are_float32_between_zero_and_one() -> None:
    for part in digits():
        assert part.inputs.shape[1:] == (1, 8, 8)
        assert (part.inputs.dtype, part.targets.dtype) == (np.float32, np.int64)
        assert part.inputs.min() == 0
        assert part.inputs.max() == 1
        assert set(part.targets) == set(range(10))
