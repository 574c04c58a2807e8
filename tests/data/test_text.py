"""Windows over text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddp.data.dataset import fetch
from ddp.data.text import VOCABULARY_SIZE, Windows, decode, encode, pydocs, split_text, text_file
from ddp.errors import DataError


def test_the_vocabulary_is_the_newline_and_printable_ascii() -> None:
    assert VOCABULARY_SIZE == 96
    assert encode("\n ~").tolist() == [0, 1, 95]


@given(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]) | st.just("\n")))
def test_text_in_the_vocabulary_comes_back(text: str) -> None:
    assert decode(encode(text)) == text


def test_other_characters_are_left_out() -> None:
    assert decode(encode("a\u201cb\tc\u00b0")) == "abc"


@given(st.integers(2, 60), st.integers(1, 8), st.integers(1, 8))
def test_windows_cover_the_text_and_targets_are_one_character_on(
    length: int, context: int, stride: int
) -> None:
    numbers = np.arange(length, dtype=np.uint8)
    if length <= context:
        with pytest.raises(DataError, match="longer than its windows"):
            Windows(numbers, context, stride)
        return
    windows = Windows(numbers, context, stride)
    inputs, targets = fetch(windows, np.arange(len(windows)))
    assert inputs.shape == targets.shape == (len(windows), context)
    assert (inputs.dtype, targets.dtype) == (np.int64, np.int64)
    np.testing.assert_array_equal(targets, inputs + 1)
    assert inputs[:, 0].tolist() == [stride * i for i in range(len(windows))]
    assert targets[-1, -1] + stride > length - 1  # no further window fits


def test_pydocs_are_half_a_megabyte_of_english() -> None:
    train, test = pydocs(context=64)
    assert len(train) > 5000
    assert len(test) > 500
    overlapping, same_test = pydocs(context=64, stride=16)
    assert (len(overlapping) // len(train), len(same_test)) == (3, len(test))
    text = decode(fetch(train, np.arange(len(train)))[0].reshape(-1))
    assert text.count(" the ") > 3000


def test_training_and_test_text_do_not_overlap() -> None:
    train, test = split_text("a" * 90 + "b" * 10, 3, 1, 0.1)
    assert set(decode(fetch(train, np.arange(len(train)))[1].reshape(-1))) == {"a"}
    assert set(decode(fetch(test, np.arange(len(test)))[0].reshape(-1))) == {"b"}


def test_a_text_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("to be or not to be " * 20)
    train, _ = text_file(str(path), context=5)
    assert decode(fetch(train, np.array([0]))[0][0]) == "to be"


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_text_that_cannot_be_read_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"text\.txt: expected a text file: (No such|not UTF-8)"):
        text_file(str(path))


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0])
def test_a_test_fraction_outside_its_range_is_refused(fraction: float) -> None:
    with pytest.raises(DataError, match="between 0 and 1"):
        split_text("abc" * 50, 3, None, fraction)
