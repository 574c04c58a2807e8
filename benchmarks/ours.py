"""Our side of a comparison: one rank; started by `benchmarks.baton`.

script     one worker: the plain loop that a user writes with `ddp` as with PyTorch
service    any number: the reducer, sharded optimizer and buffer average that `ddp.train` puts
           together, over ZeroMQ between processes, without coordinator, reports and metrics
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np

from benchmarks.baton import serve
from benchmarks.workloads import MOMENTUM, Workload, batches, workload_of
from ddp import kernels, models
from ddp.autograd.tensor import Tensor
from ddp.comm.arena import open_arena
from ddp.comm.communicator import Communicator
from ddp.comm.solo import SoloCommunicator
from ddp.comm.zeromq import TOKEN_BYTES, Listener
from ddp.config.schema import Cluster
from ddp.nn import functional as F
from ddp.nn.module import Module
from ddp.nn.utils.clip_grad import clip_grad_norm_
from ddp.optim.adam import AdamW
from ddp.optim.elementwise import ElementwiseOptimizer
from ddp.optim.sgd import SGD
from ddp.parallel.buffers import BufferAverage
from ddp.parallel.flat import move_into
from ddp.parallel.layout import lay_out, plan_buckets
from ddp.parallel.reducer import Reducer
from ddp.parallel.sharded_optimizer import ShardedOptimizer
from ddp.parallel.shards import shard_range
from ddp.parallel.shared import arena_sizes

LIMIT_S = 60.0
CLIP_EPS = 1e-6  # as in clip_grad_norm_


class Script:
    """One worker's loop, as in any PyTorch tutorial. `spec`: workload, weights (.npz)."""

    address = ""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._workload, self._model, self._batches = prepare(spec)
        self._parameters = list(self._model.parameters())
        self._optimizer = make_optimizer(self._workload, self._parameters)

    def connect(self, addresses: list[str]) -> None:
        """There is nobody else."""

    def barrier(self) -> None:
        """There is nobody else."""

    def step(self) -> Tensor:
        inputs, targets = next(self._batches)
        self._optimizer.zero_grad(set_to_none=True)
        logits = self._model(inputs)
        loss = F.cross_entropy(logits.flatten(0, -2), targets.flatten())
        loss.backward()
        if self._workload.clip is not None:
            clip_grad_norm_(self._parameters, self._workload.clip)
        self._optimizer.step()
        return loss


class Totals:
    """One number of each rank, told to all; a step lies between two times."""

    def __init__(self, comm: Communicator) -> None:
        self._arena = open_arena(comm, 0, [8] * comm.size, channels=1, timeout_s=LIMIT_S)
        self._mine = self._arena.of[comm.rank].view(np.float64)
        self._all = [memory.view(np.float64) for memory in self._arena.of.values()]
        self._times = 0

    def all(self, mine: float) -> list[float]:
        self._mine[0] = mine
        self._times += 1
        self._arena.barrier(0, self._times, LIMIT_S)
        return [float(number[0]) for number in self._all]


class Service:
    """A rank as `ddp.train.Replica` has it, with nobody to report to.

    `spec` has besides: shards, of all ranks together (one per rank if it is missing).
    """

    def __init__(self, spec: dict[str, Any]) -> None:
        self._rank = spec["rank"]
        self._shard_count = spec.get("shards", spec["size"])
        self._shards = shard_range(self._rank, spec["size"], self._shard_count)
        self._workload, self._model, self._batches = prepare(spec)
        self._listener = Listener("ipc://@") if spec["size"] > 1 else None
        self.address = self._listener.address if self._listener else ""

    def connect(self, addresses: list[str]) -> None:
        """Lay out the flat memory and meet the other ranks."""
        self._comm = self._join(addresses)
        named = list(self._model.named_parameters())
        names = [name for name, _ in named]
        parameters = [parameter for _, parameter in named]
        # Gradients become ready from the last layer to the first.
        order = range(len(parameters))[::-1]
        placed, _ = lay_out([parameter.numel() for parameter in parameters], order)
        defaults = Cluster()
        buckets = plan_buckets(placed, defaults.first_bucket_bytes, defaults.bucket_bytes)
        shards = self._shard_count
        sizes = arena_sizes(buckets, self._comm.size, shards)
        arena = open_arena(self._comm, *sizes, LIMIT_S)
        flat = arena.common.view(np.float32)
        move_into(flat, placed, parameters)
        self._totals = Totals(self._comm)
        self._buffers = BufferAverage(self._model, self._comm, shards)
        self._reducer = Reducer(names, parameters, buckets, self._comm, shards, arena)
        self._optimizer = ShardedOptimizer(
            names,
            parameters,
            flat,
            buckets,
            self._comm,
            lambda tensors: make_optimizer(self._workload, tensors),
            arena,
        )

    def _join(self, addresses: list[str]) -> Communicator:
        if self._listener is None:
            return SoloCommunicator()
        return self._listener.connect(self._rank, addresses, bytes(TOKEN_BYTES))

    def barrier(self) -> None:
        self._comm.barrier(LIMIT_S)

    def step(self) -> Tensor:
        inputs, targets = next(self._batches)
        self._reducer.begin_step(LIMIT_S)
        self._buffers.begin_step()
        for shard in range(*self._shards):
            loss = self._compute_shard(shard, inputs, targets)
        slices = self._reducer.reduce(LIMIT_S)
        self._buffers.finish_exchange(LIMIT_S)
        clip = self._clip_coefficient()
        self._optimizer.step(slices, self._workload.lr, clip, frozenset())
        self._optimizer.gather(LIMIT_S)
        self._buffers.settle(True)
        return loss

    def _compute_shard(self, shard: int, inputs: Tensor, targets: Tensor) -> Tensor:
        """Forward and backward of one shard, which is a part of this rank's batch."""
        count = self._shards.hi - self._shards.lo
        if count > 1:
            size = self._workload.batch // count
            part = slice((shard - self._shards.lo) * size, (shard - self._shards.lo + 1) * size)
            inputs, targets = inputs[part], targets[part]
        weight = 1 / self._shard_count
        self._reducer.begin_shard(shard)
        self._buffers.restore()
        logits = self._model(inputs)
        loss = F.cross_entropy(logits.flatten(0, -2), targets.flatten())
        self._buffers.end_shard(shard, weight)
        if shard == self._shards.hi - 1:
            self._buffers.start_exchange()
        loss.backward(Tensor(np.full(loss.shape, weight, np.float32)))
        self._reducer.end_shard()
        return loss

    def _clip_coefficient(self) -> float:
        """As the coordinator's (workers.verdict), from what all ranks tell one another."""
        if self._workload.clip is None:
            return 1.0
        squares = self._totals.all(math.fsum(self._reducer.sums_of_squares))
        return min(1.0, self._workload.clip / (math.sqrt(math.fsum(squares)) + CLIP_EPS))


def prepare(spec: dict[str, Any]) -> tuple[Workload, Module, cycle[tuple[Tensor, Tensor]]]:
    """The workload, its model with the given weights, and this rank's batches for ever."""
    kernels.use(spec.get("kernels", "numpy"))
    workload = workload_of(spec)
    model = make_model(workload)
    weights = np.load(spec["weights"])
    model.load_state_dict({name: Tensor(weights[name]) for name in weights})
    data = [(Tensor(x), Tensor(y)) for x, y in batches(workload, spec["rank"])]
    return workload, model, cycle(data)


def make_model(workload: Workload) -> Module:
    model: Module = getattr(models, workload.model)(**workload.args)
    return model


def make_optimizer(workload: Workload, parameters: Sequence[Tensor]) -> ElementwiseOptimizer:
    if workload.optimizer == "SGD":
        return SGD(parameters, lr=workload.lr, momentum=MOMENTUM)
    return AdamW(parameters, lr=workload.lr)


SIDES = {"script": Script, "service": Service}

if __name__ == "__main__":
    spec = json.loads(sys.argv[1])
    serve(SIDES[spec["side"]](spec))
