"""The optimizer on this rank's slices only (ZeRO stage 1), and its state by parameter name.

The rank's blocks become *segments*: stretches of one parameter each, as tensors over the flat
parameter array. An ordinary optimizer runs on them as if they were parameters. Optimizers are
element-wise, so how a parameter is cut does not change a bit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ddp.autograd.tensor import Tensor
from ddp.comm.communicator import Communicator, Work
from ddp.errors import CheckpointError
from ddp.optim.optimizer import Optimizer
from ddp.parallel.flat import Array, aligned_zeros
from ddp.parallel.layout import Bucket, Segment, extent, join_blocks, slice_bucket

MakeOptimizer = Callable[[Sequence[Tensor]], Optimizer]


class StatePart(NamedTuple):
    """Elements start … start + size - 1 of one state array of one parameter.

    A state that is one number for the whole parameter (Adam's `step`) has `whole` False.
    """

    name: str  # "conv1.weight/exp_avg"
    shape: tuple[int, ...]  # of the whole array
    start: int
    array: Array  # flat

    @property
    def is_whole(self) -> bool:
        return self.start == 0 and self.array.size == int(np.prod(self.shape))


class ShardedOptimizer:
    """Runs `make_optimizer`'s optimizer on the slices of `comm.rank`; gathers the parameters."""

    def __init__(
        self,
        names: Sequence[str],
        parameters: Sequence[Tensor],
        flat: Array,
        buckets: Sequence[Bucket],
        comm: Communicator,
        make_optimizer: MakeOptimizer,
    ) -> None:
        self._names = names
        self._shapes = [parameter.shape for parameter in parameters]
        self._flat = flat
        self._comm = comm
        self._buckets = buckets
        self._owned = [slice_bucket(bucket, comm.size) for bucket in buckets]
        self._gradients = [aligned_zeros(self._size(bucket)) for bucket in buckets]
        self._segments: list[tuple[Segment, Tensor, Array]] = []
        for bucket, gradient in zip(buckets, self._gradients, strict=True):
            self._segments += self._make_segments(bucket, gradient)
        self.inner = make_optimizer([tensor for _, tensor, _ in self._segments] or [_nothing()])

    def _size(self, bucket: Bucket) -> int:
        cut = extent(self._owned[bucket.index][self._comm.rank], bucket)
        return cut.stop - cut.start

    def _make_segments(
        self, bucket: Bucket, gradient: Array
    ) -> Iterator[tuple[Segment, Tensor, Array]]:
        blocks = self._owned[bucket.index][self._comm.rank]
        for segment in join_blocks(blocks):
            lo = segment.flat - blocks[0].flat
            # A scalar stays one, so that its state has the shape it will be loaded with.
            shape = (segment.size,) if self._shapes[segment.parameter] else ()
            tensor = Tensor(self._flat[segment.flat : segment.flat_stop].reshape(shape))
            yield segment, tensor, gradient[lo : lo + segment.size].reshape(shape)

    def step(
        self, slices: Sequence[Array], lr: float, clip: float, unused: Collection[int]
    ) -> None:
        """Update this rank's slices of the parameters.

        `slices` holds the reduced gradient of this rank's slice of every bucket; `clip` is the
        coefficient all gradients are multiplied with; parameters numbered in `unused` got no
        gradient on any rank and are passed over, as PyTorch does with `grad is None`.
        """
        for gradient, reduced in zip(self._gradients, slices, strict=True):
            np.multiply(reduced, np.float32(clip), out=gradient)
        for segment, tensor, view in self._segments:
            tensor.grad = None if segment.parameter in unused else Tensor(view)
        for group in self.inner.param_groups:
            group["lr"] = lr
        self.inner.step()

    def gather(self) -> list[Work]:
        """Send our updated slices to every rank, and receive theirs in place."""
        works = []
        for bucket, owned in zip(self._buckets, self._owned, strict=True):
            memory = self._flat[bucket.start : bucket.stop]
            slices = [memory[extent(blocks, bucket)] for blocks in owned]
            mine = [s for s in slices[self._comm.rank : self._comm.rank + 1] if s.size]
            theirs = [
                [s] if s.size and rank != self._comm.rank else [] for rank, s in enumerate(slices)
            ]
            works.append(self._comm.all_gather(mine, theirs))
        return works

    def state_parts(self) -> Iterator[StatePart]:
        """This rank's part of the optimizer's state, as copies."""
        for segment, tensor, _ in self._segments:
            for key, value in self.inner.state.get(tensor, {}).items():
                name = f"{self._names[segment.parameter]}/{key}"
                if value.array.ndim:
                    shape = self._shapes[segment.parameter]
                    yield StatePart(name, shape, segment.start, value.array.copy())
                elif segment.start == 0:
                    yield StatePart(name, (), 0, value.array.reshape(1).copy())

    def load_state(self, arrays: Mapping[str, Array]) -> None:
        """Take this rank's part out of whole state arrays, named as in `state_parts`."""
        by_parameter: dict[str, dict[str, Array]] = {}
        for name, array in arrays.items():
            parameter, _, key = name.rpartition("/")
            by_parameter.setdefault(parameter, {})[key] = array
        strangers = by_parameter.keys() - set(self._names)
        if strangers:
            raise CheckpointError(
                f"the optimizer state is of a parameter the model does not have: {min(strangers)!r}"
            )
        for segment, tensor, _ in self._segments:
            state = by_parameter.get(self._names[segment.parameter])
            if state is not None:
                self.inner.state[tensor] = {
                    key: Tensor(_part_of(array, segment)) for key, array in state.items()
                }


def _part_of(array: Array, segment: Segment) -> Array:
    if array.ndim == 0:
        return array.copy()
    return array.reshape(-1)[segment.start : segment.stop].copy()


def _nothing() -> Tensor:
    """What the optimizer of a rank that owns no block runs on: it never gets a gradient."""
    return Tensor(np.zeros(0, np.float32))
