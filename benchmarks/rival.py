"""PyTorch's side of a comparison: one rank, one thread; started by `benchmarks.baton`.

One worker is the plain loop everybody writes; more are `DistributedDataParallel` over gloo with
`gradient_as_bucket_view=True`.
"""

from __future__ import annotations

import json
import sys
from itertools import cycle
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from benchmarks.baton import serve
from benchmarks.rival_models import MODELS
from benchmarks.workloads import MOMENTUM, Workload, batches, workload_of


class Rival:
    """A rank of PyTorch's side. `spec`: workload, weights (.npz), meeting (a new file)."""

    address = ""

    def __init__(self, spec: dict[str, Any]) -> None:
        torch.set_num_threads(1)
        self._spec = spec
        self._workload = workload_of(spec)
        self._model = MODELS[self._workload.model](**self._workload.args)
        weights = np.load(spec["weights"])
        self._model.load_state_dict({name: torch.from_numpy(weights[name]) for name in weights})
        data = batches(self._workload, spec["rank"])
        self._batches = cycle([(torch.from_numpy(x), torch.from_numpy(y)) for x, y in data])

    def connect(self, addresses: list[str]) -> None:
        """Join the process group and wrap the model."""
        if len(addresses) > 1:
            meeting = f"file://{self._spec['meeting']}"
            dist.init_process_group(
                "gloo", meeting, rank=self._spec["rank"], world_size=len(addresses)
            )
            self._model = DistributedDataParallel(self._model, gradient_as_bucket_view=True)
        self._parameters = list(self._model.parameters())
        self._optimizer = make_optimizer(self._workload, self._parameters)

    def barrier(self) -> None:
        if dist.is_initialized():
            dist.barrier()

    def step(self) -> torch.Tensor:
        inputs, targets = next(self._batches)
        self._optimizer.zero_grad(set_to_none=True)
        logits = self._model(inputs)
        loss = F.cross_entropy(logits.flatten(0, -2), targets.flatten())
        loss.backward()
        if self._workload.clip is not None:
            torch.nn.utils.clip_grad_norm_(self._parameters, self._workload.clip)
        self._optimizer.step()
        return loss


def make_optimizer(workload: Workload, parameters: list[Any]) -> torch.optim.Optimizer:
    if workload.optimizer == "SGD":
        return torch.optim.SGD(parameters, lr=workload.lr, momentum=MOMENTUM)
    return torch.optim.AdamW(parameters, lr=workload.lr)


if __name__ == "__main__":
    serve(Rival(json.loads(sys.argv[1])))
