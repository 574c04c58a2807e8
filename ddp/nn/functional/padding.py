"""Padding as functions."""

from __future__ import annotations

from collections.abc import Sequence

from ddp.autograd.ops import pad as pad_op
from ddp.autograd.ops.pad import Pads
from ddp.autograd.tensor import Tensor

MODES = ("constant", "reflect", "replicate", "circular")


def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """Pad the last axes: `pad` is (before, after) of the last, then of the one before it, …

    Negative sizes cut off. `mode` is "constant" (`value`, 0 by default), "reflect" (mirrored
    without the edge), "replicate" (the edge again) or "circular".
    """
    if len(pad) % 2:
        raise RuntimeError(f"Padding length must be divisible by 2, got {len(pad)}")
    if len(pad) > 2 * input.ndim:
        raise RuntimeError(
            f"Padding length should be less than or equal to two times the input dimension but got "
            f"padding length {len(pad)} and input of dimension {input.ndim}"
        )
    pairs = list(zip(pad[::2], pad[1::2], strict=True))[::-1]
    pads: Pads = (*[(0, 0)] * (input.ndim - len(pairs)), *pairs)
    if mode == "constant":
        _check_sizes(input, pads)
        return pad_op.constant_pad(input, pads, 0.0 if value is None else value)
    if mode not in MODES:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if value is not None:
        raise ValueError(f'Padding mode "{mode}" doesn\'t take in value argument')
    _check_room(input, pads, mode)
    return pad_op.index_pad(input, pads, mode)


def _check_sizes(input: Tensor, pads: Pads) -> None:
    for axis, (size, (before, after)) in enumerate(zip(input.shape, pads, strict=True)):
        if min(size + before + after, size + min(before, 0) + min(after, 0)) < 0:
            raise RuntimeError(
                f"The input size {size}, plus negative padding {before} and {after}, resulted in a "
                f"negative output size, which is invalid. Check dimension {axis} of your input."
            )


def _check_room(input: Tensor, pads: Pads, mode: str) -> None:
    """What is repeated must be there."""
    for axis, (size, (before, after)) in enumerate(zip(input.shape, pads, strict=True)):
        if before == after == 0:
            continue
        if mode == "circular" and min(before, after) < 0:
            raise NotImplementedError('negative padding is not available for mode "circular"')
        if size + before + after < 1:
            raise RuntimeError(
                f"padding ({before}, {after}) leaves nothing of dimension {axis} of input "
                f"{list(input.shape)}"
            )
        room = {"reflect": size - 1, "circular": size, "replicate": max(before, after)}[mode]
        if max(before, after) > room or (size == 0 and max(before, after) > 0):
            raise RuntimeError(
                f"Padding size should be less than the corresponding input dimension, but got: "
                f"padding ({before}, {after}) at dimension {axis} of input {list(input.shape)}"
            )
