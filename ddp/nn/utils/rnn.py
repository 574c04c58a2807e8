"""Sequences of different lengths in one tensor: PyTorch's `torch.nn.utils.rnn`.

Padded, all are as long as the longest. Packed, nothing is added: step after step, of as many
sequences as go on that long, the longest first. The recurrent layers take both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from ddp.autograd.creation import full
from ddp.autograd.node import Array
from ddp.autograd.ops import index
from ddp.autograd.ops.join import cat, stack
from ddp.autograd.tensor import Tensor


def pad_sequence(
    sequences: Sequence[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Tensors (L_i, *) of N lengths → (L, N, *), L the greatest; (N, L, *) if `batch_first`.

    Raises RuntimeError for a `padding_side` other than "right" and "left".
    """
    if padding_side not in ("right", "left"):
        raise RuntimeError(
            f"Expected padding_side to be one of left or right, but got {padding_side}."
        )
    longest = max(len(sequence) for sequence in sequences)
    padded = [_padded(sequence, longest, padding_value, padding_side) for sequence in sequences]
    return stack(padded, 0 if batch_first else 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False
) -> list[Tensor]:
    """The N sequences again: the first `lengths[i]` elements of each."""
    by_sequence = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [row[:length] for row, length in zip(by_sequence, lengths.tolist(), strict=True)]


def _padded(sequence: Tensor, length: int, value: float, side: str) -> Tensor:
    missing = length - len(sequence)
    padding = full((missing, *sequence.shape[1:]), value, dtype=sequence.dtype)
    return cat([sequence, padding] if side == "right" else [padding, sequence])


class _Packed(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Packed):
    """Sequences packed into `data` (Σ lengths, *); made by `pack_padded_sequence`.

    `batch_sizes` (int64) says how many sequences there are at each step. If they had to be sorted,
    `sorted_indices` is the order they are in, and `unsorted_indices` leads back.
    """

    def __new__(
        cls,
        data: Tensor,
        batch_sizes: Tensor,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> Self:
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *targets: Any, **options: Any) -> PackedSequence:
        """The same with `data.to(...)`."""
        return PackedSequence(self.data.to(*targets, **options), *self[1:])


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that leads back; None of None."""
    return None if permutation is None else Tensor(np.argsort(permutation.array, kind="stable"))


def pack_padded_sequence(
    input: Tensor,
    lengths: Tensor | Sequence[int],
    batch_first: bool = False,
    enforce_sorted: bool = True,
) -> PackedSequence:
    """(L, N, *) and the lengths of the N sequences, packed; (N, L, *) if `batch_first`.

    The longest must come first, or with `enforce_sorted=False` they are sorted. Raises RuntimeError
    for lengths that do not fit.
    """
    sizes = np.asarray(lengths.tolist() if isinstance(lengths, Tensor) else lengths, np.int64)
    order = None
    if not enforce_sorted:
        order = Tensor(np.argsort(-sizes, kind="stable"))
        sizes = sizes[order.array]
        input = input.index_select(0 if batch_first else 1, order)
    by_step = input.transpose(0, 1) if batch_first else input
    _check_lengths(sizes, by_step.shape)
    batch_sizes = (np.arange(sizes[0])[:, None] < sizes).sum(1)
    return PackedSequence(by_step[places_of(batch_sizes)], Tensor(batch_sizes), order)


def _check_lengths(lengths: Array, shape: tuple[int, ...]) -> None:
    if len(lengths) != shape[1]:
        raise RuntimeError(
            "Expected `len(lengths)` to be equal to batch_size, but got "
            f"{len(lengths)} (batch_size={shape[1]})"
        )
    if (lengths <= 0).any():
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' "
            "that is <= 0"
        )
    if (np.diff(lengths) > 0).any():
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You "
            "can pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to "
            "sidestep this requirement if you do not need ONNX exportability."
        )
    if lengths[0] > shape[0]:
        raise RuntimeError(
            f"Expected lengths of at most {shape[0]}, the input's, but got {lengths[0]}"
        )


def places_of(batch_sizes: Array) -> tuple[Array, Array]:
    """Step and sequence of each row of packed data."""
    step, sequence = np.nonzero(np.arange(batch_sizes[0]) < batch_sizes[:, None])
    return step, sequence


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Padded again: (L, N, *), or (N, L, *) if `batch_first`, and the lengths (N,).

    L is the greatest length, or `total_length`; ValueError if that is less.
    """
    data, batch_sizes, _, back = sequence
    sizes = batch_sizes.array
    longest = len(sizes)
    if total_length is not None and total_length < longest:
        raise ValueError(
            "Expected total_length to be at least the length of the longest sequence in input, but "
            f"got total_length={total_length} and max sequence length being {longest}"
        )
    places = places_of(sizes)
    shape = (total_length or longest, int(sizes[0]), *data.shape[1:])
    padded = index.scatter(data, places, shape)
    if padding_value:
        padding = np.full(shape, padding_value, data.dtype)
        padding[places] = 0
        padded = padded + Tensor(padding)
    lengths = Tensor((np.arange(sizes[0]) < sizes[:, None]).sum(0))
    if back is not None:
        padded, lengths = padded.index_select(1, back), lengths[back]
    return (padded.transpose(0, 1) if batch_first else padded), lengths


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Tensors (L_i, *) packed, the longest first unless `enforce_sorted` is False."""
    lengths = [len(sequence) for sequence in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences again."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
