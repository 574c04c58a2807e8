"""Data sets made of data sets, and what a batch of samples becomes."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from typing import Any

import numpy as np
import pytest

from ddp.autograd.tensor import Tensor
from ddp.utils.data import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    default_collate,
    default_convert,
)
from tests.utils.data_sets import Count, Squares

Point = namedtuple("Point", ["x", "y"])


def tensor(*values: float) -> Tensor:
    return Tensor(np.array(values, np.float32))


def test_a_tensor_dataset_is_cut_along_the_first_axis() -> None:
    x, y = Tensor(np.arange(6, dtype=np.float32).reshape(3, 2)), Tensor(np.arange(3))
    dataset = TensorDataset(x, y)
    assert len(dataset) == 3
    assert [part.tolist() for part in dataset[1]] == [[2, 3], 1]
    with pytest.raises(
        AssertionError, match=r"Size mismatch between tensors: first axes of \[3, 2"
    ):
        TensorDataset(x, Tensor(np.arange(2)))


def test_data_sets_follow_one_another() -> None:
    joined: Any = Squares(2) + Squares(3)
    assert [target for _, target in (joined[i] for i in range(len(joined)))] == [0, 1, 0, 1, 4]
    assert joined[-1][1] == 4
    with pytest.raises(ValueError, match="should not exceed dataset length"):
        joined[-6]
    with pytest.raises(IndexError, match="sample 5 of a data set of 5"):
        joined[5]


def test_iterable_data_sets_follow_one_another() -> None:
    chained = Count(2) + Count(3)
    assert list(chained) == [0, 1, 0, 1, 2]
    assert len(chained) == 5
    with pytest.raises(AssertionError, match="only supports IterableDataset"):
        list(ChainDataset([Squares(1)]))
    with pytest.raises(AssertionError, match="does not support IterableDataset"):
        ConcatDataset([Count(1)])
    with pytest.raises(AssertionError, match="should not be an empty iterable"):
        ConcatDataset([])


def test_data_sets_stand_side_by_side() -> None:
    assert StackDataset([1, 2], "ab")[1] == (2, "b")
    named = StackDataset(x=[1, 2], y="ab")
    assert (named[0], len(named)) == ({"x": 1, "y": "a"}, 2)
    for wrong in (lambda: StackDataset(), lambda: StackDataset([1], [1, 2])):
        with pytest.raises(ValueError, match=r"At least one|Size mismatch"):
            wrong()


def test_a_subset_renumbers_and_passes_batches_on() -> None:
    class Whole(Dataset[int]):
        def __getitem__(self, index: int) -> int:
            return 10 * index

        def __getitems__(self, indices: list[int]) -> list[int]:
            return [100 * i for i in indices]

    subset = Subset(Whole(), [4, 2])
    assert (subset[0], len(subset)) == (40, 2)
    assert subset.__getitems__([1, 0]) == [200, 400]
    assert Subset([5, 6, 7], [2, 0]).__getitems__([0, 1]) == [7, 5]


def test_a_subset_that_changes_samples_must_change_batches_too() -> None:
    class Doubled(Subset[int]):
        def __getitem__(self, index: Any) -> int:
            return 2 * super().__getitem__(index)

    with pytest.raises(NotImplementedError, match="overrides __getitem__ but not __getitems__"):
        Doubled([1, 2], [0])


def test_a_base_class_says_what_is_missing() -> None:
    class Empty(IterableDataset[int]):
        pass

    with pytest.raises(NotImplementedError, match="should implement __getitem__"):
        Dataset()[0]
    with pytest.raises(NotImplementedError, match="should implement __iter__"):
        iter(Empty())


COLLATED: list[tuple[list[Any], Any, Any]] = [
    ([tensor(1, 2), tensor(3, 4)], [[1, 2], [3, 4]], np.float32),
    ([np.ones(2), np.zeros(2)], [[1, 1], [0, 0]], np.float64),
    ([np.float32(1), np.float32(2)], [1, 2], np.float32),
    ([1.5, 2.5], [1.5, 2.5], np.float64),
    ([1, 2], [1, 2], np.int64),
    ([True, False], [True, False], np.bool_),
]


@pytest.mark.parametrize(("batch", "values", "dtype"), COLLATED)
def test_a_batch_is_a_tensor_of_this_dtype(batch: list[Any], values: Any, dtype: Any) -> None:
    result = default_collate(batch)
    assert (result.tolist(), result.dtype) == (values, np.dtype(dtype))


def test_collections_are_collated_member_by_member() -> None:
    assert default_collate(["a", "b"]) == ["a", "b"]
    pairs = default_collate([(1, "a"), (2, "b")])
    assert isinstance(pairs, list)
    assert (pairs[0].tolist(), pairs[1]) == ([1, 2], ("a", "b"))
    named = default_collate([Point(1, 2), Point(3, 4)])
    assert isinstance(named, Point)
    assert (named.x.tolist(), named.y.tolist()) == ([1, 3], [2, 4])
    mapped = default_collate([OrderedDict(k=[1, 2]), OrderedDict(k=[3, 4])])
    assert isinstance(mapped, OrderedDict)
    assert [part.tolist() for part in mapped["k"]] == [[1, 3], [2, 4]]


REFUSED: list[tuple[list[Any], type[Exception], str]] = [
    ([None], TypeError, "numbers, dicts or lists; found <class 'NoneType'>"),
    ([np.array(["a"])], TypeError, "found <U1"),
    ([[1], [1, 2]], RuntimeError, "each element in list of batch should be of equal size"),
    ([np.ones(2), np.ones(3)], RuntimeError, r"got \[2\] at entry 0 and \[3\] at entry 1"),
]


@pytest.mark.parametrize(("batch", "error", "words"), REFUSED)
def test_what_is_no_batch_is_refused(batch: list[Any], error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        default_collate(batch)


def test_conversion_makes_tensors_of_arrays_only() -> None:
    text = np.array(["a"])
    converted = default_convert({"a": np.ones(2), "b": (1, "c", np.float32(2)), "t": text})
    assert converted["a"].tolist() == [1, 1]
    assert converted["b"][:2] == [1, "c"]
    assert converted["b"][2].dtype == np.float32
    assert converted["t"] is text
    named = default_convert(Point(np.ones(1), 2))
    assert isinstance(named, Point)
    assert named.x.tolist() == [1]
