"""Images in the formats of CIFAR-10 and MNIST, written small by the tests."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ddp.data.cifar import RECORD_BYTES, TEST_FILES, TRAIN_FILES, cifar10
from ddp.data.dataset import fetch
from ddp.data.digits import digits
from ddp.data.images import ByteImages, large_digits
from ddp.data.mnist import MEAN, STD, mnist
from ddp.errors import DataError


def write_cifar(folder: Path, records: int = 2) -> dict[str, Any]:
    """Small files of random records; the arrays by file name."""
    random = np.random.default_rng(1)
    written = {}
    for name in (*TRAIN_FILES, *TEST_FILES):
        content = random.integers(0, 256, (records, RECORD_BYTES), np.uint8)
        content[:, 0] %= 10
        (folder / name).write_bytes(content.tobytes())
        written[name] = content
    return written


def write_mnist(folder: Path, zipped: bool = False, samples: int = 3) -> Any:
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (samples, 28, 28), np.uint8)
    labels = np.arange(samples, dtype=np.uint8)
    for prefix in ("train", "t10k"):
        for name, values in (("images-idx3", images), ("labels-idx1", labels)):
            head = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
            content = head + values.tobytes()
            path = folder / f"{prefix}-{name}-ubyte{'.gz' if zipped else ''}"
            path.write_bytes(gzip.compress(content) if zipped else content)
    return images


def test_cifar_records_become_normalised_images_in_the_order_of_the_files(tmp_path: Path) -> None:
    written = write_cifar(tmp_path)
    train, test = cifar10(str(tmp_path))
    assert (len(train), len(test)) == (10, 2)
    images, labels = fetch(train, np.array([9, 0, 3]))
    records = [written[TRAIN_FILES[4]][1], written[TRAIN_FILES[0]][0], written[TRAIN_FILES[1]][1]]
    assert (images.shape, images.dtype) == ((3, 3, 32, 32), np.float32)
    assert (labels.tolist(), labels.dtype) == ([r[0] for r in records], np.int64)
    for image, record in zip(images, records, strict=True):
        red_row_2_column_5 = record[1 + 2 * 32 + 5]
        blue_last = record[-1]
        assert image[0, 2, 5] == pytest.approx(red_row_2_column_5 / 127.5 - 1, abs=1e-6)
        assert image[2, 31, 31] == pytest.approx(blue_last / 127.5 - 1, abs=1e-6)


def test_missing_cifar_files_are_named_with_where_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data_batch_1\.bin: no such file: get .*cs\.toronto\.edu"):
        cifar10(str(tmp_path / "cifar-10-batches-bin"))


def test_a_cut_off_cifar_file_is_refused(tmp_path: Path) -> None:
    write_cifar(tmp_path)
    (tmp_path / "data_batch_3.bin").write_bytes(bytes(RECORD_BYTES + 1))
    with pytest.raises(DataError, match=r"data_batch_3\.bin: expected records of 3073 bytes"):
        cifar10(str(tmp_path))


def test_a_label_out_of_range_is_found_when_it_is_read(tmp_path: Path) -> None:
    write_cifar(tmp_path)
    (tmp_path / "test_batch.bin").write_bytes(b"\x0a" + bytes(RECORD_BYTES - 1))
    _, test = cifar10(str(tmp_path))
    with pytest.raises(DataError, match="label 10 at position 0: expected 0 … 9"):
        fetch(test, np.array([0]))


@pytest.mark.parametrize("zipped", [False, True])
def test_mnist_images_and_labels(zipped: bool, tmp_path: Path) -> None:
    written = write_mnist(tmp_path, zipped)
    train, test = mnist(str(tmp_path))
    assert (len(train), len(test)) == (3, 3)
    images, labels = fetch(train, np.array([2, 1]))
    expected = (written[[2, 1]].astype(np.float64) / 255 - MEAN) / STD
    np.testing.assert_allclose(images[:, 0], expected, rtol=1e-5, atol=1e-6)
    assert (images.shape, labels.tolist()) == ((2, 1, 28, 28), [2, 1])


def test_missing_mnist_files_are_named_with_where_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte: no such file, nor .*\.gz: get"):
        mnist(str(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected an IDX file of bytes with 1 axes"),
        (bytes([0, 0, 8, 3]), "expected an IDX file of bytes with 1 axes"),
        (bytes([0, 0, 8, 1, 0]), "expected an IDX file of bytes with 1 axes"),
        (bytes([0, 0, 8, 1, 0, 0, 0, 3, 1, 2]), "expected 3 values, got 10 bytes"),
    ],
)
def test_a_damaged_idx_file_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    write_mnist(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(content)
    with pytest.raises(DataError, match=message):
        mnist(str(tmp_path))


def test_a_damaged_gzip_file_is_refused(tmp_path: Path) -> None:
    write_mnist(tmp_path, zipped=True)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="expected a whole gzip file"):
        mnist(str(tmp_path))


def test_images_without_a_label_each_are_refused() -> None:
    images = [np.zeros((3, 1, 2, 2), np.uint8)]
    with pytest.raises(DataError, match=r"a label for every image, got \[3, 2\]"):
        ByteImages(images, [np.zeros(2, np.uint8)], (0.5,), (0.5,))


def test_large_digits_are_the_digits_with_every_pixel_repeated() -> None:
    (large, _), (small, _) = large_digits(), digits()
    images, labels = fetch(large, np.array([5]))
    originals, same_labels = fetch(small, np.array([5]))
    assert images.shape == (1, 3, 32, 32)
    assert labels.tolist() == same_labels.tolist()
    np.testing.assert_allclose(images[0, 1, 3::4, ::4], 2 * originals[0, 0] - 1, atol=0.01)


def test_digits_cannot_be_enlarged_to_any_size() -> None:
    with pytest.raises(DataError, match="a multiple of 8 as the size of large digits, got 30"):
        large_digits(30)
