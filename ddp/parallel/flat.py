"""The layout as memory: parameters as views of one flat array, gradients as views of buckets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddp.autograd.tensor import Tensor
from ddp.comm.neighbours import aligned_bytes
from ddp.errors import ConfigError
from ddp.parallel.layout import ITEM_BYTES, Bucket, Segment

Array = NDArray[Any]


def aligned_zeros(size: int) -> Array:
    """A float32 array of `size` zeros whose memory begins on a cache line."""
    return aligned_bytes(size * ITEM_BYTES).view(np.float32)


def move_into(flat: Array, placed: Sequence[Segment], parameters: Sequence[Tensor]) -> None:
    """Copy every parameter to its place in `flat`; from now on it is a view of that place."""
    for segment in placed:
        parameter = parameters[segment.parameter]
        np.copyto(_place(flat, segment, parameter), parameter.array)
    point_into(flat, placed, parameters)


def point_into(flat: Array, placed: Sequence[Segment], parameters: Sequence[Tensor]) -> None:
    """Make every parameter a view of its place in `flat`, which has its values already."""
    for segment in placed:
        parameter = parameters[segment.parameter]
        parameter.data = Tensor(_place(flat, segment, parameter))


def _place(flat: Array, segment: Segment, parameter: Tensor) -> Array:
    return flat[segment.flat : segment.flat_stop].reshape(parameter.shape)


def require_float32(names: Sequence[str], parameters: Sequence[Tensor]) -> None:
    """Refuse what the flat arrays cannot hold, naming it."""
    for name, parameter in zip(names, parameters, strict=True):
        if parameter.array.dtype != np.float32:
            raise ConfigError(
                f"model: parameter {name!r} is {parameter.array.dtype}; the service trains "
                "float32 parameters: convert the model with .float()"
            )


class GradientBuffer:
    """One bucket's gradients of one shard (or sum of shards): flat memory, a view per parameter.

    The gaps between parameters stay zero for ever, so that `flat` may be summed as a whole.
    """

    __slots__ = ("flat", "views")

    def __init__(self, bucket: Bucket, shapes: Sequence[tuple[int, ...]], flat: Array) -> None:
        self.flat = flat
        self.views = [
            flat[s.flat - bucket.start : s.flat_stop - bucket.start].reshape(shapes[s.parameter])
            for s in bucket.segments
        ]
