"""The training step, top to bottom: what one rank does between two orders of the coordinator.

    Replica.compute(step)       this rank's shards, one after another: batch -> forward -> loss
                                -> backward, whose hooks fill buckets, add them along the
                                reduction tree and exchange them while backward goes on
                                -> a result to report: loss, sums of squares, non-finite?, times
    Replica.commit(...)         optimizer on this rank's slices -> parameters gathered

A step is a pure function of (state, step, shards): computing it again, on another rank or after
a crash, gives the same bits. Who orders the steps, and in which process, is not known here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from math import isfinite
from time import perf_counter

import msgspec
import numpy as np

from ddp.accuracy import count_correct
from ddp.autograd.random import PhiloxGenerator, use_generator
from ddp.autograd.tensor import Tensor
from ddp.build import Task, make_optimizer
from ddp.checkpoint import require_match
from ddp.comm.arena import open_arena
from ddp.comm.communicator import Communicator
from ddp.config.schema import Config
from ddp.data.order import batch_indices, steps_per_epoch
from ddp.data.prefetch import ReadAhead
from ddp.errors import ConfigError
from ddp.parallel.buffers import BufferAverage
from ddp.parallel.council import Council, Vote
from ddp.parallel.flat import Array, aligned_zeros, move_into, point_into, require_float32
from ddp.parallel.layout import lay_out, plan_buckets
from ddp.parallel.reducer import NonFinite, Reducer
from ddp.parallel.sharded_optimizer import ShardedOptimizer, StatePart
from ddp.parallel.shards import shard_range, shard_samples
from ddp.parallel.shared import MOVED, VOTED, arena_sizes, owned_blocks
from ddp.probe import ready_order
from ddp.results import Seconds, ShardResult


class StepResult(msgspec.Struct, frozen=True):
    """What a rank reports of a step before it is committed."""

    shards: tuple[ShardResult, ...]
    sums_of_squares: Array  # float64, one for each block this rank owns
    unused: tuple[int, ...]  # parameters that got no gradient from this rank's shards
    non_finite: NonFinite | None
    seconds: Seconds


class Replica:
    """One rank's copy of the model, and everything it needs to train it."""

    def __init__(self, config: Config, task: Task, comm: Communicator) -> None:
        assert config.train.shards is not None, "resolve_shards comes first"
        self._config = config
        self._comm = comm
        self._limit_s = config.cluster.exchange_timeout_s
        self.model, self._loss, self._data = task.model, task.loss, task.train
        self._modules = list(self.model.modules())
        self._ahead = ReadAhead(task.train)
        self._shards = shard_range(comm.rank, comm.size, config.train.shards)
        self._steps = config.train.steps or (config.train.epochs or 0) * steps_per_epoch(
            len(self._data), config.train.global_batch
        )

        named = [(n, p) for n, p in self.model.named_parameters() if p.requires_grad]
        self._names = [name for name, _ in named]
        self._parameters = [parameter for _, parameter in named]
        if not named:
            raise ConfigError(f"'model.factory': {config.model.factory} has nothing to train")
        require_float32(self._names, self._parameters)

        sizes = [parameter.numel() for parameter in self._parameters]
        self._placed, total = lay_out(sizes, ready_order(config, task, self._parameters))
        self._buckets = plan_buckets(
            self._placed, config.cluster.first_bucket_bytes, config.cluster.bucket_bytes
        )
        self._flat = aligned_zeros(total)
        move_into(self._flat, self._placed, self._parameters)
        self._buffers = BufferAverage(self.model, comm, config.train.shards)
        self._reducer: Reducer | None = None  # from the first step on
        self.note = ""
        self._optimizer = ShardedOptimizer(
            self._names, self._parameters, self._flat, self._buckets, comm, make_optimizer(config)
        )
        self._slices: list[Array] = []

    def _meet(self) -> Reducer:
        """Share memory with the ranks of this host; collective, so not before all are ready.

        The parameters, equal on all ranks, move into the one copy that all neighbours use. `note`
        says for people what could not be shared, if this rank is the one to say it.
        """
        shards, cluster = self._config.train.shards, self._config.cluster
        assert shards is not None
        sizes = arena_sizes(self._buckets, self._comm.size, shards)
        share = cluster.shared_memory == "auto"
        arena = open_arena(self._comm, *sizes, self._limit_s, share=share)
        self.note = arena.note
        flat = arena.common.view(np.float32)
        if arena.leads:
            np.copyto(flat, self._flat)
        arena.barrier(len(self._buckets) + MOVED, 1, self._limit_s)
        self._flat = flat
        point_into(flat, self._placed, self._parameters)
        self._optimizer.move(flat, arena)
        self._council = Council(
            arena,
            self._comm,
            len(self._parameters),
            owned_blocks(self._buckets, self._comm.size),
            len(self._buckets) + VOTED,
        )
        return Reducer(self._names, self._parameters, self._buckets, self._comm, shards, arena)

    # -- a step ---------------------------------------------------------------------------------

    def compute(self, step: int) -> StepResult:
        """Compute this rank's shards of `step` and reduce its slices; nothing is changed yet."""
        if self._reducer is None:
            self._reducer = self._meet()
        if not all(module.training for module in self._modules):
            self.model.train()
        batch = self._batch(step)
        self._clock = dict.fromkeys(("forward", "backward", "waiting"), 0.0)
        self._first_bad_loss: NonFinite | None = None
        self._reducer.begin_step(self._limit_s)
        self._buffers.begin_step()
        with np.errstate(all="ignore"):  # as PyTorch: what is not finite is found and reported
            results = [
                self._compute_shard(self._reducer, step, s, batch) for s in range(*self._shards)
            ]
            start = perf_counter()
            self._slices = self._reducer.reduce(self._limit_s)
        self._buffers.finish_exchange(self._limit_s)
        self._clock["waiting"] = perf_counter() - start
        return StepResult(
            shards=tuple(result for result in results if result is not None),
            sums_of_squares=np.array(self._reducer.sums_of_squares, np.float64),
            unused=tuple(n for n, used in enumerate(self._reducer.used) if not used),
            non_finite=earliest(self._first_bad_loss, self._reducer.non_finite),
            seconds=Seconds(**self._clock),
        )

    def _compute_shard(
        self, reducer: Reducer, step: int, shard: int, batch: Array
    ) -> ShardResult | None:
        """Forward and backward of one shard; None when a ragged batch leaves it empty."""
        mine = self._part(batch, shard)
        reducer.begin_shard(shard)
        self._buffers.restore()
        result, loss = None, None
        start = perf_counter()
        if len(mine):
            inputs, targets = self._ahead.fetch(mine)
            if self._ahead.is_of_use:
                self._ahead.begin(self._after(step, shard, batch))
            with use_generator(PhiloxGenerator(self._config.seed, step, shard)):
                output = self.model(Tensor(inputs))
                loss = self._loss(output, Tensor(targets))
            result = ShardResult(shard, loss.item(), count_correct(output, targets), len(mine))
            if not isfinite(result.loss) and self._first_bad_loss is None:
                self._first_bad_loss = NonFinite(shard, "the loss")
        self._buffers.end_shard(shard, len(mine) / len(batch))
        if shard == self._shards.hi - 1:
            self._buffers.start_exchange()
        middle = perf_counter()
        if loss is not None:
            # The gradient of (sum of the shard's losses) / (samples in the global batch).
            weight = np.full(loss.shape, len(mine) / len(batch), np.float32)
            loss.backward(Tensor(weight))
        reducer.end_shard()
        self._clock["forward"] += middle - start
        self._clock["backward"] += perf_counter() - middle
        return result

    def commit(self, apply: bool, lr: float, clip: float, unused: Collection[int]) -> float:
        """Apply the computed step, or skip it; return the seconds this took.

        `clip` is the coefficient for all gradients; `unused` names the parameters that got a
        gradient on no rank: they are left alone.
        """
        start = perf_counter()
        if apply:
            self._optimizer.step(self._slices, lr, clip, frozenset(unused))
            self._optimizer.gather(self._limit_s)
        self._buffers.settle(apply)
        seconds = perf_counter() - start
        self._ahead.settle()  # between steps nobody reads: an evaluation has the files to itself
        return seconds

    def consult(self, result: StepResult, pauses: bool) -> list[Vote]:
        """What all ranks say of the step just computed; every rank must ask."""
        assert self._reducer is not None, "no step has been computed"
        squares = self._reducer.sums_of_squares
        vote = Vote(pauses, result.non_finite is None, self._reducer.used, squares)
        return self._council.hold(vote, self._limit_s)

    # -- which samples --------------------------------------------------------------------------

    def _batch(self, step: int) -> Array:
        """The indices of the step's samples, over all shards."""
        train = self._config.train
        return batch_indices(len(self._data), train.global_batch, self._config.seed, step)

    def _part(self, batch: Array, shard: int) -> Array:
        """The indices of a shard's samples."""
        assert self._config.train.shards is not None
        part = shard_samples(shard, self._config.train.shards, len(batch))
        return batch[part.start : part.stop]

    def _after(self, step: int, shard: int, batch: Array) -> Array:
        """The indices this rank needs after a shard's; none after the last step."""
        if shard + 1 < self._shards.hi:
            return self._part(batch, shard + 1)
        if step + 1 >= self._steps:
            return batch[:0]
        return self._part(self._batch(step + 1), self._shards.lo)

    # -- what must be equal on all ranks --------------------------------------------------------

    @property
    def plan(self) -> str:
        """A hash of names, shapes, layout and buckets; ranks with different plans cannot train."""
        shapes = [parameter.shape for parameter in self._parameters]
        text = repr((self._names, shapes, self._placed, self._buckets, self._config.train.shards))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    # -- state ----------------------------------------------------------------------------------

    def model_state(self) -> dict[str, Array]:
        """The model's state dict as arrays (not copies)."""
        return {name: tensor.array for name, tensor in self.model.state_dict().items()}

    def state_parts(self) -> Iterator[tuple[str, StatePart]]:
        """This rank's share of the state as ("model" or "optimizer", part), as copies.

        Every rank has all parameters; rank 0 gives them. Optimizer state is where it is used.
        """
        if self._comm.rank == 0:
            for name, array in self.model_state().items():
                yield "model", StatePart(name, array.shape, 0, array.reshape(-1).copy())
        for part in self._optimizer.state_parts():
            yield "optimizer", part

    def load_state(self, model: Mapping[str, Array], optimizer: Mapping[str, Array]) -> None:
        """Take over a whole state. Raises CheckpointError naming what does not fit."""
        mine = self.model_state()
        require_match(model, mine, "the checkpoint's model")
        for name, array in mine.items():
            np.copyto(array, model[name])
        self._optimizer.load_state(optimizer)


def earliest(loss: NonFinite | None, gradient: NonFinite | None) -> NonFinite | None:
    """Which of the two happened first: shards come one after another, the loss before gradients."""
    if loss is None or gradient is None:
        return loss or gradient
    return loss if loss.shard <= gradient.shard else gradient
