"""Text as characters: windows for a language model, each with the same text one character on.

The vocabulary is fixed, whatever the text: the newline and the 95 printable characters of ASCII.
Other characters are left out, so that a model's `vocab_size` never depends on the text.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ddp.data.dataset import Array
from ddp.errors import DataError

VOCABULARY = "\n" + "".join(map(chr, range(32, 127)))
VOCABULARY_SIZE = len(VOCABULARY)  # 96
_NUMBER = {ord(character): number for number, character in enumerate(VOCABULARY)}


def encode(text: str) -> NDArray[np.uint8]:
    """The numbers of the characters that are in the vocabulary."""
    codes = np.array([_NUMBER.get(ord(c), VOCABULARY_SIZE) for c in text], np.uint8)
    return codes[codes < VOCABULARY_SIZE]


def decode(numbers: Array) -> str:
    """The text of the numbers (T,)."""
    return "".join(VOCABULARY[number] for number in numbers.tolist())


class Windows:
    """Sample i: `context` numbers from i·stride on, and as target those from i·stride + 1 on."""

    def __init__(self, numbers: NDArray[np.uint8], context: int, stride: int) -> None:
        if context < 1 or stride < 1 or len(numbers) <= context:
            raise DataError(
                f"expected a text longer than its windows, got {len(numbers)} characters for "
                f"windows of {context} every {stride}"
            )
        self._numbers, self._context, self._stride = numbers, context, stride

    def __len__(self) -> int:
        return (len(self._numbers) - self._context - 1) // self._stride + 1

    def fetch(self, indices: NDArray[np.int64]) -> tuple[Array, Array]:
        """(B, context) inputs and (B, context) targets, int64."""
        places = indices[:, np.newaxis] * self._stride + np.arange(self._context + 1)
        numbers = self._numbers[places].astype(np.int64)
        return numbers[:, :-1], numbers[:, 1:]


def pydocs(
    context: int = 64, stride: int | None = None, test_fraction: float = 0.1
) -> tuple[Windows, Windows]:
    """The English text behind Python's `help()`, about half a megabyte: (train, test).

    It comes with every Python and differs a little between its versions. The end of the text is
    the test set, whose windows follow one another; so do those of the training set, unless
    `stride` says how far one begins after the other.
    """
    from pydoc_data.topics import topics  # half a megabyte, for those who ask for it

    text = "\n".join(topics[name] for name in sorted(topics))
    return split_text(text, context, stride, test_fraction)


def text_file(
    path: str, context: int = 64, stride: int | None = None, test_fraction: float = 0.1
) -> tuple[Windows, Windows]:
    """A text file in UTF-8, cut as `pydocs` is: (train, test)."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise DataError(f"{path}: expected a text file: {why}") from None
    return split_text(text, context, stride, test_fraction)


def split_text(
    text: str, context: int, stride: int | None, test_fraction: float
) -> tuple[Windows, Windows]:
    """(train, test): windows over the beginning of a text and over its end."""
    if not 0 < test_fraction < 1:
        raise DataError(f"expected a test_fraction between 0 and 1, got {test_fraction}")
    numbers = encode(text)
    border = round(len(numbers) * (1 - test_fraction))
    train, test = numbers[:border], numbers[border:]
    return Windows(train, context, stride or context), Windows(test, context, context)
