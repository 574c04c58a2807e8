"""The optimizer on this rank's slices only (ZeRO stage 1), and its state by parameter name.

The rank's blocks become *segments*: stretches of one parameter each, as tensors over the flat
parameter array. An ordinary optimizer runs on them as if they were parameters. It is element-wise,
so how a parameter is cut does not change a bit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ddp.autograd.tensor import Tensor
from ddp.comm.communicator import Arrays, Communicator
from ddp.comm.neighbours import Arena, Ranks
from ddp.errors import CheckpointError
from ddp.optim.elementwise import ElementwiseOptimizer
from ddp.parallel.flat import Array
from ddp.parallel.layout import Bucket, Segment, extent, join_blocks, slice_bucket
from ddp.parallel.shared import UPDATED

MakeOptimizer = Callable[[Sequence[Tensor]], ElementwiseOptimizer]


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
        arena: Arena | None = None,
    ) -> None:
        """`flat` holds the parameters: with an `arena`, the one copy that neighbours share."""
        self._names = names
        self._shapes = [parameter.shape for parameter in parameters]
        self._comm = comm
        self._buckets = buckets
        self._updates = 0
        self._owned = [slice_bucket(bucket, comm.size) for bucket in buckets]
        self._segments: list[tuple[Segment, Tensor]] = [
            (segment, Tensor(np.empty(0, np.float32)))
            for owned in self._owned
            for segment in join_blocks(owned[comm.rank])
        ]
        self.move(flat, arena)
        self.inner = make_optimizer([tensor for _, tensor in self._segments] or [_nothing()])
        self._slices: Sequence[Array] = ()
        self._unused: Collection[int] = ()

    def move(self, flat: Array, arena: Arena | None) -> None:
        """From now on the parameters are those in `flat`, which has the same values."""
        self._arena = arena
        for segment, tensor in self._segments:
            # A scalar stays one, so that its state has the shape it will be loaded with.
            shape = (segment.size,) if self._shapes[segment.parameter] else ()
            tensor.data = Tensor(flat[segment.flat : segment.flat_stop].reshape(shape))
        hosts = [(rank,) for rank in range(self._comm.size)] if arena is None else arena.hosts
        self._exchanges = [
            plan_gather(self._comm.rank, hosts, self._parts_of(flat, bucket))
            for bucket in self._buckets
            if len(hosts) > 1
        ]

    def _parts_of(self, flat: Array, bucket: Bucket) -> list[Array]:
        """Each rank's slice of the parameters of a bucket."""
        memory = flat[bucket.start : bucket.stop]
        return [memory[extent(blocks, bucket)] for blocks in self._owned[bucket.index]]

    def step(
        self, slices: Sequence[Array], lr: float, clip: float, unused: Collection[int]
    ) -> None:
        """Update this rank's slices of the parameters.

        `slices` holds the reduced gradient of this rank's slice of every bucket; `clip` is the
        coefficient they are multiplied with; parameters numbered in `unused` got no gradient on
        any rank and are passed over, as PyTorch does with `grad is None`.
        """
        if slices is not self._slices or unused != self._unused:
            self._slices, self._unused = slices, unused
            views = zip(self._segments, self._views(slices), strict=True)
            for (segment, tensor), gradient in views:
                tensor.grad = None if segment.parameter in unused else gradient
        self.inner.gradient_factor = clip
        for group in self.inner.param_groups:
            group["lr"] = lr
        self.inner.step()

    def _views(self, slices: Sequence[Array]) -> Iterator[Tensor]:
        """The segments' gradients, where they lie in the slices."""
        for owned, gradient in zip(self._owned, slices, strict=True):
            blocks = owned[self._comm.rank]
            for segment in join_blocks(blocks):
                lo = segment.flat - blocks[0].flat
                shape = (segment.size,) if self._shapes[segment.parameter] else ()
                yield Tensor(gradient[lo : lo + segment.size].reshape(shape))

    def gather(self, timeout_s: float) -> None:
        """Return when every rank has the updated parameters. Each wait is limited.

        Neighbours see each other's slices as soon as they are written; a slice crosses to another
        host once, to one rank of it.
        """
        for work in [self._comm.all_to_all(send, receive) for send, receive in self._exchanges]:
            work.wait(timeout_s)
        if self._arena is not None:
            self._updates += 1
            self._arena.barrier(self._channel, self._updates, timeout_s)

    @property
    def _channel(self) -> int:
        return len(self._buckets) + UPDATED

    def state_parts(self) -> Iterator[StatePart]:
        """This rank's part of the optimizer's state, as copies."""
        for segment, tensor in self._segments:
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
        for segment, tensor in self._segments:
            state = by_parameter.get(self._names[segment.parameter])
            if state is not None:
                self.inner.state[tensor] = {
                    key: Tensor(_part_of(array, segment)) for key, array in state.items()
                }


def plan_gather(
    rank: int, hosts: Sequence[Ranks], parts: Sequence[Array]
) -> tuple[list[Arrays], list[Arrays]]:
    """What `rank` sends to each rank, and receives in place, so that every host has all `parts`.

    The n-th rank of a host sends its part to the n-th of every other host, modulo their number.
    """
    send: list[Arrays] = [()] * len(parts)
    receive: list[Arrays] = [()] * len(parts)
    for source, part in enumerate(parts):
        home = next(host for host in hosts if source in host)
        for host in hosts:
            target = host[home.index(source) % len(host)]
            if host is home or not part.size:
                continue
            if source == rank:
                send[target] = [part]
            if target == rank:
                receive[source] = [part]
    return send, receive


def _part_of(array: Array, segment: Segment) -> Array:
    if array.ndim == 0:
        return array.copy()
    return array.reshape(-1)[segment.start : segment.stop].copy()


def _nothing() -> Tensor:
    """What the optimizer of a rank that owns no block runs on: it never gets a gradient."""
    return Tensor(np.zeros(0, np.float32))
