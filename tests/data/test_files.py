"""Files are mapped where they can be, and every way of being wrong has its sentence."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ddp.config.schema import Data
from ddp.data.dataset import ArrayDataset, fetch
from ddp.data.files import open_datasets, open_npy, open_npz
from ddp.errors import ConfigError, DataError

X = np.arange(60, dtype=np.float32).reshape(10, 3, 2)
Y = np.arange(10) % 4


def is_mapped(array: np.ndarray) -> bool:
    return isinstance(array, np.memmap)


def read_both(data: Data) -> tuple[np.ndarray, np.ndarray]:
    train, _ = open_datasets(data)
    return fetch(train, np.arange(len(train)))


def refusal(data: Data) -> str:
    with pytest.raises(DataError) as caught:
        open_datasets(data)
    return str(caught.value)


@pytest.mark.parametrize(
    "x", [X, np.asfortranarray(X), X.astype(">f8"), X[:, :0]], ids=["C", "F", "big-endian", "empty"]
)
def test_members_stored_plainly_are_mapped_and_equal(tmp_path: Path, x: np.ndarray) -> None:
    np.savez(tmp_path / "d.npz", other=np.ones(5), x=x, y=Y)
    read_x, read_y = open_npz(tmp_path / "d.npz", ("x", "y"))
    np.testing.assert_array_equal(read_x, x)
    np.testing.assert_array_equal(read_y, Y)
    assert is_mapped(read_y)
    assert is_mapped(read_x) == (x.size > 0)  # nothing cannot be mapped


def test_compressed_members_are_read_into_memory(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "d.npz", x=X, y=Y)
    x, y = open_npz(tmp_path / "d.npz", ("x", "y"))
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)
    assert not is_mapped(x)


def test_a_member_whose_headers_differ_in_length_is_found(tmp_path: Path) -> None:
    """The central directory may carry an extra field that the local header lacks."""
    np.save(tmp_path / "x.npy", X)
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        entry = zipfile.ZipInfo("x.npy")
        with archive.open(entry, "w") as member:
            member.write((tmp_path / "x.npy").read_bytes())
        entry.extra = b"\x99\x99\x04\x00spam"
    np.testing.assert_array_equal(open_npz(tmp_path / "d.npz", ("x",))[0], X)


def test_npy_files_are_mapped(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    x = open_npy(tmp_path / "x.npy")
    assert is_mapped(x)
    np.testing.assert_array_equal(x, X)


def test_the_config_names_a_npz_or_a_pair_of_npy(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=X, y=Y)
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    one = Data(train=str(tmp_path / "d.npz"), test=str(tmp_path / "d.npz"))
    two = Data(train=[str(tmp_path / "x.npy"), str(tmp_path / "y.npy")])
    for data in (one, two):
        x, y = read_both(data)
        np.testing.assert_array_equal(x, X)
        np.testing.assert_array_equal(y, Y)
    assert open_datasets(two)[1] is None
    assert len(open_datasets(one)[1] or ()) == 10


def test_the_scale_of_the_config_is_applied(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=X.astype(np.uint8), y=Y)
    x, _ = read_both(Data(train=str(tmp_path / "d.npz"), scale=0.5))
    np.testing.assert_array_equal(x, X * 0.5)
    assert x.dtype == np.float32


# ---- refusals


def saved(tmp_path: Path, **arrays: Any) -> str:
    path = tmp_path / "d.npz"
    np.savez(path, **arrays)
    return str(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "no.npz"
    assert refusal(Data(train=str(path))).startswith(f"{path}: no such file (working directory ")


def test_a_missing_array_is_named_with_those_there(tmp_path: Path) -> None:
    path = saved(tmp_path, images=X, y=Y)
    assert refusal(Data(train=path)) == f"{path}: no array 'x', only images, y"


def test_lengths_that_differ_are_named(tmp_path: Path) -> None:
    path = saved(tmp_path, x=X, y=Y[:9])
    assert refusal(Data(train=path)) == (
        f"{path}: expected as many targets as inputs, got 9 and 10"
    )


def test_pickled_objects_are_refused_unread(tmp_path: Path) -> None:
    path = saved(tmp_path, x=np.array([{}, []], object), y=Y)
    assert refusal(Data(train=path)) == f"{path}: 'x' holds Python objects: expected numbers"


def test_pickled_objects_in_a_npy_are_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.array([{}, []], object))
    with pytest.raises(DataError, match=r"x\.npy: expected a whole \.npy file of numbers"):
        open_npy(path)


def test_a_label_out_of_range_is_refused_before_training(tmp_path: Path) -> None:
    path = saved(tmp_path, x=X, y=Y)
    assert refusal(Data(train=path, classes=3)) == (
        f"{path}: label 3 at position 3: expected 0 … 2 for 3 classes"
    )
    open_datasets(Data(train=path, classes=4))


@pytest.mark.parametrize("kept", [0, 10, 100, 250, 500, -1])
def test_a_truncated_npz_is_refused(tmp_path: Path, kept: int) -> None:
    path = saved(tmp_path, x=X, y=Y)
    Path(path).write_bytes(Path(path).read_bytes()[:kept])
    assert refusal(Data(train=path)).startswith(f"{path}: expected a whole .npz file of numbers: ")


@pytest.mark.parametrize("kept", [0, 5, 100, 128, -1])
def test_a_truncated_npy_is_refused(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "x.npy"
    np.save(path, X)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"x\.npy: expected a whole \.npy file of numbers"):
        open_npy(path)


def test_a_damaged_compressed_npz_is_refused_or_harmless(tmp_path: Path) -> None:
    """A flipped byte, whichever it is, brings our own error or the true values."""
    path = tmp_path / "d.npz"
    np.savez_compressed(path, x=X, y=Y)
    for damaged in flipped_here_and_there(path):
        try:
            x, y = open_npz(damaged, ("x", "y"))
        except DataError:
            continue
        np.testing.assert_array_equal(x, X)
        np.testing.assert_array_equal(y, Y)


def test_a_damaged_mapped_npz_is_refused_or_read(tmp_path: Path) -> None:
    """Mapping trusts the numbers themselves, as a checksum would read the whole file."""
    path = tmp_path / "d.npz"
    np.savez(path, x=X, y=Y)
    for damaged in flipped_here_and_there(path):
        with contextlib.suppress(DataError):
            open_npz(damaged, ("x", "y"))


def flipped_here_and_there(path: Path) -> Iterator[Path]:
    whole = path.read_bytes()
    for place in range(0, len(whole), 3):
        content = bytearray(whole)
        content[place] ^= 0xFF
        path.write_bytes(content)
        yield path


# ---- factories


def good_sets(size: int = 3) -> tuple[ArrayDataset, None]:
    return ArrayDataset(np.ones((size, 2)), np.zeros(size)), None


def lone_set() -> ArrayDataset:
    return good_sets()[0]


def wrong_sets() -> tuple[int, None]:
    return 3, None


def empty_sets() -> tuple[list[int], None]:
    return [], None


def factory(name: str, **args: Any) -> Data:
    return Data(factory=f"{__name__}:{name}", args=args)


def test_a_factory_gives_the_sets() -> None:
    train, test = open_datasets(factory("good_sets", size=5))
    assert (len(train), test) == (5, None)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("lone_set", "lone_set gave ArrayDataset: expected (training set, test set)"),
        (
            "wrong_sets",
            "the training set of tests.data.test_files:wrong_sets is a int: "
            "expected __len__, and __getitem__ or fetch",
        ),
        (
            "empty_sets",
            "the training set of tests.data.test_files:empty_sets is empty: "
            "expected at least one sample",
        ),
    ],
)
def test_what_is_no_data_set_is_refused(name: str, answer: str) -> None:
    assert refusal(factory(name)).endswith(answer)


def test_a_factory_that_does_not_exist_is_a_fault_of_the_config() -> None:
    with pytest.raises(ConfigError, match=r"'data\.factory' is .* has no 'god_sets' \(did you"):
        open_datasets(factory("god_sets"))
