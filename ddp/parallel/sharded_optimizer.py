"""The optimizer on this rank's slices only (ZeRO stage 1), and its state by parameter name.

The rank's blocks become *strips*: neighbours in flat memory, as one tensor over it. An ordinary
optimizer runs on the strips as if they were parameters, so that a few calls of NumPy serve many
parameters. It is element-wise: neither how a parameter is cut nor what it is put together with
changes a bit. (The gaps between parameters are part of a strip; what they hold is nobody's.)

A parameter without a gradient is passed over, and has another state than its neighbours then: from
the first such step on every parameter has strips of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
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
State = dict[str, Array]  # of a segment: flat arrays, and 0-d ones for the numbers of its parameter


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


class Strip(NamedTuple):
    """Segments that lie one after another in a bucket; to the optimizer, a parameter."""

    bucket: int
    segments: tuple[Segment, ...]
    shape: tuple[int, ...]
    tensor: Tensor

    @property
    def start(self) -> int:
        """Where it begins in flat memory."""
        return self.segments[0].flat

    @property
    def size(self) -> int:
        return self.segments[-1].flat_stop - self.start

    def cut(self, segment: Segment) -> slice:
        """Where a segment lies in the strip."""
        return slice(segment.flat - self.start, segment.flat_stop - self.start)


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
        self._make_optimizer = make_optimizer
        self._updates = 0
        self._owned = [slice_bucket(bucket, comm.size) for bucket in buckets]
        self._strips: list[Strip] = []
        self.move(flat, arena)
        self._cut_into(self._whole_strips())

    def _segments(self) -> Iterator[tuple[int, list[Segment]]]:
        """This rank's segments, each a part of one parameter, bucket by bucket."""
        for number, owned in enumerate(self._owned):
            yield number, join_blocks(owned[self._comm.rank])

    def _whole_strips(self) -> Iterator[tuple[int, tuple[Segment, ...]]]:
        """The longest strips there are. A scalar is one by itself: so it has a scalar's state."""
        for bucket, segments in self._segments():
            for _, group in groupby(segments, lambda s: None if self._shapes[s.parameter] else s):
                yield bucket, tuple(group)

    def _cut_into(self, strips: Iterable[tuple[int, tuple[Segment, ...]]]) -> None:
        """Have a new optimizer, without state, on these strips."""
        self._strips = []
        for bucket, segments in strips:
            is_scalar = not self._shapes[segments[0].parameter]
            shape = () if is_scalar else (segments[-1].flat_stop - segments[0].flat,)
            self._strips.append(Strip(bucket, segments, shape, Tensor(np.empty(0, np.float32))))
        self._point_into(self._flat)
        self.inner = self._make_optimizer([s.tensor for s in self._strips] or [_nothing()])
        self._slices: Sequence[Array] = ()
        self._unused: Collection[int] = ()

    def _point_into(self, flat: Array) -> None:
        for strip in self._strips:
            place = flat[strip.start : strip.start + strip.size]
            strip.tensor.data = Tensor(place.reshape(strip.shape))

    def _separate(self) -> None:
        """From now on no strip has parts of two parameters; each takes its state along."""
        if all(len(strip.segments) == 1 for strip in self._strips):
            return
        states = [state for _, state in self._states()]
        self._cut_into((bucket, (s,)) for bucket, segments in self._segments() for s in segments)
        for strip, state in zip(self._strips, states, strict=True):
            self._set_state(strip, [state])

    def move(self, flat: Array, arena: Arena | None) -> None:
        """From now on the parameters are those in `flat`, which has the same values."""
        self._arena, self._flat = arena, flat
        self._point_into(flat)
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
        if unused:
            self._separate()
        if slices is not self._slices or unused != self._unused:
            self._slices, self._unused = slices, unused
            for strip in self._strips:
                is_unused = strip.segments[0].parameter in unused
                strip.tensor.grad = None if is_unused else self._gradient(strip, slices)
        self.inner.gradient_factor = clip
        for group in self.inner.param_groups:
            group["lr"] = lr
        with np.errstate(all="ignore"):  # as PyTorch; the gaps may come to 0/0
            self.inner.step()

    def _gradient(self, strip: Strip, slices: Sequence[Array]) -> Tensor:
        """The strip's gradient, where it lies in the slice of its bucket."""
        start = strip.start - self._owned[strip.bucket][self._comm.rank][0].flat
        gradient = slices[strip.bucket][start : start + strip.size]
        return Tensor(gradient.reshape(strip.shape))

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

    def _states(self) -> Iterator[tuple[Segment, State]]:
        """The state of each segment, as views; empty where there is none yet."""
        for strip in self._strips:
            kept = self.inner.state.get(strip.tensor, {})
            for segment in strip.segments:
                place = strip.cut(segment)
                yield segment, {key: _cut(value.array, place) for key, value in kept.items()}

    def state_parts(self) -> Iterator[StatePart]:
        """This rank's part of the optimizer's state, as copies."""
        for segment, state in self._states():
            for key, array in state.items():
                name = f"{self._names[segment.parameter]}/{key}"
                if array.ndim:
                    shape = self._shapes[segment.parameter]
                    yield StatePart(name, shape, segment.start, array.copy())
                elif segment.start == 0:
                    yield StatePart(name, (), 0, array.reshape(1).copy())

    def load_state(self, arrays: Mapping[str, Array]) -> None:
        """Take this rank's part out of whole state arrays, named as in `state_parts`."""
        by_parameter: dict[str, State] = {}
        for name, array in arrays.items():
            parameter, _, key = name.rpartition("/")
            by_parameter.setdefault(parameter, {})[key] = array
        strangers = by_parameter.keys() - set(self._names)
        if strangers:
            raise CheckpointError(
                f"the optimizer state is of a parameter the model does not have: {min(strangers)!r}"
            )

        def states(strip: Strip) -> list[State]:
            return [
                {key: _cut(array, slice(s.start, s.stop)) for key, array in whole.items()}
                for s in strip.segments
                for whole in [by_parameter.get(self._names[s.parameter], {})]
            ]

        if not all(_are_alike(states(strip)) for strip in self._strips):
            self._separate()
        for strip in self._strips:
            self._set_state(strip, states(strip))

    def _set_state(self, strip: Strip, states: Sequence[State]) -> None:
        """Give a strip the state that its segments have, which are alike; it is copied."""
        for key, value in states[0].items():
            array = np.zeros(strip.size if value.ndim else (), value.dtype)
            for segment, state in zip(strip.segments, states, strict=True):
                array[strip.cut(segment) if value.ndim else ()] = state[key]
            self.inner.state[strip.tensor][key] = Tensor(array)


def _are_alike(states: Sequence[State]) -> bool:
    """Whether the states of several segments can be those of one strip: their numbers are equal."""
    numbers = [{k: None if a.ndim else a.item() for k, a in state.items()} for state in states]
    return all(other == numbers[0] for other in numbers)


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


def _cut(array: Array, place: slice) -> Array:
    """A stretch of a state's elements; a number is that of all of them."""
    return array.reshape(-1)[place] if array.ndim else array


def _nothing() -> Tensor:
    """What the optimizer of a rank that owns no block runs on: it never gets a gradient."""
    return Tensor(np.zeros(0, np.float32))
