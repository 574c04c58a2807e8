"""Puts the state together from the parts that ranks send, and takes it apart again. Pure."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import prod

import numpy as np

from ddp.comm.communicator import Array
from ddp.errors import PeerProtocolError
from workers import messages as m

KINDS = ("model", "optimizer")
PART_BYTES = 16 << 20  # one message of state; bounds the memory a message costs either side


@dataclass(slots=True)
class _Growing:
    """An array, and which of its elements have come, as sorted stretches (start, stop)."""

    array: Array
    came: list[tuple[int, int]] = field(default_factory=list)

    def put(self, start: int, values: Array) -> bool:
        """Fill a stretch; False when part of it has come before."""
        stretch = (start, start + values.size)
        place = bisect(self.came, stretch)
        neighbours = [*self.came[max(place - 1, 0) : place], stretch, *self.came[place : place + 1]]
        if any(left[1] > right[0] for left, right in pairwise(neighbours)):
            return False
        self.array.reshape(-1)[slice(*stretch)] = values
        if values.size:
            self.came.insert(place, stretch)
        return True

    @property
    def missing(self) -> int:
        return self.array.size - sum(stop - start for start, stop in self.came)


class Assembly:
    """Whole arrays out of StatePart messages, in whatever order they come."""

    def __init__(self) -> None:
        self._growing: dict[str, dict[str, _Growing]] = {kind: {} for kind in KINDS}

    def add(self, part: m.StatePart, array: Array) -> None:
        """Take in a part. Raises PeerProtocolError for one that does not fit."""
        size = prod(part.shape)
        known = self._growing.get(part.kind)
        fits = array.ndim == 1 and part.start >= 0 and part.start + array.size <= size
        if known is None or not fits or min(part.shape, default=0) < 0:
            raise PeerProtocolError(
                f"the state part {part.kind}/{part.name} does not fit: {array.size} elements from "
                f"{part.start} on, of an array of shape {part.shape}"
            )
        if part.name not in known:
            known[part.name] = _Growing(np.empty(part.shape, array.dtype))
        whole = known[part.name]
        if whole.array.shape != part.shape or whole.array.dtype != array.dtype:
            raise PeerProtocolError(f"the ranks disagree on the shape of {part.kind}/{part.name}")
        if not whole.put(part.start, array):
            raise PeerProtocolError(
                f"the state part {part.kind}/{part.name} from {part.start} on has come before"
            )

    def take(self) -> tuple[dict[str, Array], dict[str, Array]]:
        """The model's and the optimizer's arrays; what was assembled is forgotten.

        Raises PeerProtocolError when an array is incomplete.
        """
        growing, self._growing = self._growing, {kind: {} for kind in KINDS}
        for kind, arrays in growing.items():
            for name, whole in arrays.items():
                if whole.missing:
                    raise PeerProtocolError(
                        f"{whole.missing} elements of the state {kind}/{name} never came"
                    )
        model, optimizer = (
            {name: whole.array for name, whole in growing[kind].items()} for kind in KINDS
        )
        return model, optimizer


def parts(kind: str, arrays: Mapping[str, Array]) -> Iterator[tuple[m.StatePart, Array]]:
    """Whole arrays as messages of limited size."""
    for name, array in arrays.items():
        yield from pieces(kind, name, array.shape, 0, array.reshape(-1))


def pieces(
    kind: str, name: str, shape: tuple[int, ...], start: int, flat: Array
) -> Iterator[tuple[m.StatePart, Array]]:
    """The elements `flat`, which begin at `start` of an array, as messages of limited size."""
    length = max(1, PART_BYTES // flat.itemsize)
    for lo in range(0, max(flat.size, 1), length):
        part = m.StatePart(kind=kind, name=name, shape=shape, start=start + lo)
        yield part, flat[lo : lo + length]
