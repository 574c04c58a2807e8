"""Batches come out of arrays and of users' own classes alike, as float32 and int64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ddp.data.dataset import ArrayDataset, check_labels, fetch
from ddp.errors import DataError


class Squares:
    """A user's class: two methods, plain Python numbers."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return [float(index), float(index**2)], index % 3


class Uneven(Squares):
    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return [0.0] * (index + 1), 0


class Words(Squares):
    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return [1.0], "three"


def indices(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def test_a_class_with_two_methods_is_a_data_set() -> None:
    inputs, targets = fetch(Squares(), indices(3, 1))
    np.testing.assert_array_equal(inputs, [[3, 9], [1, 1]])
    np.testing.assert_array_equal(targets, [0, 1])
    assert (inputs.dtype, targets.dtype) == (np.float32, np.int64)


def test_a_data_set_with_fetch_is_read_in_one_go() -> None:
    class Batches(Squares):
        def __getitem__(self, index: int) -> tuple[Any, Any]:
            raise AssertionError("read one by one")

        def fetch(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return at[:, None].astype(np.float64), at.astype(np.uint8)

    inputs, targets = fetch(Batches(), indices(3, 1))
    assert inputs.tolist() == [[3.0], [1.0]]
    assert (inputs.dtype, targets.dtype) == (np.float32, np.int64)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_floats_of_any_kind_come_out_as_float32(dtype: Any) -> None:
    data = ArrayDataset(np.ones((3, 2), dtype), np.ones(3, dtype))
    inputs, targets = fetch(data, indices(0, 2))
    assert (inputs.dtype, targets.dtype) == (np.dtype(np.float32), np.dtype(np.float32))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, ">i4"])
def test_integer_inputs_stay_and_integer_targets_become_int64(dtype: Any) -> None:
    data = ArrayDataset(np.ones((3, 2), dtype), np.ones(3, dtype))
    inputs, targets = fetch(data, indices(1))
    assert (inputs.dtype, targets.dtype) == (np.dtype(dtype).newbyteorder("="), np.dtype(np.int64))


def test_scaled_bytes_are_float32() -> None:
    data = ArrayDataset(np.array([[0, 255]], np.uint8), np.zeros(1, np.uint8), scale=1 / 255)
    inputs, _ = fetch(data, indices(0))
    assert inputs.dtype == np.float32
    np.testing.assert_array_equal(inputs, np.float32([[0, 255]]) * np.float32(1 / 255))


def test_a_batch_is_a_copy() -> None:
    stored = np.zeros((3, 2), np.float32)
    fetch(ArrayDataset(stored, np.zeros(3)), indices(0, 1))[0][:] = 7
    assert not stored.any()


def test_a_single_sample_is_the_row_of_a_batch() -> None:
    data = ArrayDataset(np.arange(6.0).reshape(3, 2), np.arange(3))
    assert data[2][0].tolist() == [4.0, 5.0]
    assert data[-1][1] == 2
    with pytest.raises(IndexError, match="sample 3 of a data set of 3"):
        data[3]


@pytest.mark.parametrize(
    ("inputs", "targets", "answer"),
    [
        (np.ones((3, 2)), np.ones(2), "expected as many targets as inputs, got 2 and 3"),
        (np.ones((0, 2)), np.ones(0), "expected at least one sample, got arrays of length 0"),
        (
            np.ones(()),
            np.ones(1),
            "inputs: expected an array of numbers with the samples along the first axis, "
            "got shape () of float64",
        ),
        (
            np.ones(2),
            np.array(["a", "b"]),
            "targets: expected an array of numbers with the samples along the first axis, "
            "got shape (2,) of <U1",
        ),
    ],
)
def test_arrays_that_are_no_data_set_are_refused(
    inputs: np.ndarray, targets: np.ndarray, answer: str
) -> None:
    with pytest.raises(DataError) as caught:
        ArrayDataset(inputs, targets)
    assert str(caught.value) == answer


def test_samples_of_different_shapes_are_refused_by_index() -> None:
    with pytest.raises(DataError) as caught:
        fetch(Uneven(), indices(2, 4))
    assert str(caught.value) == (
        "the input of sample 4 has shape (5,): expected (3,), as sample 2 has"
    )


def test_samples_that_are_no_numbers_are_refused_by_index() -> None:
    with pytest.raises(DataError, match="the target of sample 6 is <U5: expected numbers"):
        fetch(Words(), indices(6))


@pytest.mark.parametrize("label", [-1, 3, 255])
def test_a_label_out_of_range_is_refused_with_its_place(label: int) -> None:
    labels = np.array([0, 1, label, 2, label])
    with pytest.raises(DataError) as caught:
        check_labels(labels, 3, "x.npz")
    assert str(caught.value) == (
        f"x.npz: label {label} at position 2: expected 0 … 2 for 3 classes"
    )


def test_labels_in_range_and_ignored_ones_pass() -> None:
    check_labels(np.array([0, 2, -100, 1]), 3, "x.npz")
    check_labels(np.array([0, 2], np.uint8), 3, "x.npz")
    check_labels(np.array([0.5, 7.0]), 3, "x.npz")
