"""Sequences of different lengths in one tensor: PyTorch's `torch.nn.utils.rnn`.

Left out: packed sequences. The recurrent layers take padded ones.
"""

from __future__ import annotations

from collections.abc import Sequence

from ddp.autograd.creation import full
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
