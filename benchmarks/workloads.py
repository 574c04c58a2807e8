"""The eight workloads: models, batches, optimizers, and how much faster than PyTorch we want to be.

A step is: clear gradients, forward, cross-entropy, backward, exchange, clip where said, optimizer.
All float32; inputs are random, the same on both sides, and held in memory. Data only: neither
library is imported here, so that both sides' processes can read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

SEED = 20261123
BATCHES = 4  # different ones, taken in turn
MOMENTUM = 0.9


@dataclass(frozen=True)
class Goal:
    """How many times as fast as PyTorch."""

    must: float
    aim: float


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A model, what one worker computes in a step, and the goals by number of workers."""

    name: str
    model: str  # a factory in ddp.models; benchmarks.rival_models has its twin under this name
    args: dict[str, Any] = field(default_factory=dict)
    shape: tuple[int, ...]  # of one sample
    batch: int  # samples per worker
    classes: int
    tokens: bool = False  # inputs are integers below `classes`, and every position has a target
    optimizer: str = "SGD"
    lr: float = 0.01
    clip: float | None = None
    goals: dict[int, Goal]


def _goals(one: tuple[float, float], two: tuple[float, float]) -> dict[int, Goal]:
    return {1: Goal(*one), 2: Goal(*two)}


def _gpt(context: int, layers: int, heads: int, features: int) -> dict[str, Any]:
    return {
        "vocab_size": 65,
        "block_size": context,
        "n_layer": layers,
        "n_head": heads,
        "n_embd": features,
        "tied": False,
    }


WORKLOADS = (
    Workload(
        name="digits-mlp",
        model="mlp",
        args={"sizes": [64, 32, 10]},
        shape=(64,),
        batch=32,
        classes=10,
        goals=_goals((2, 3), (4, 8)),
    ),
    Workload(
        name="blitz-b4",
        model="Net",
        shape=(3, 32, 32),
        batch=4,
        classes=10,
        goals=_goals((1.2, 2), (2.5, 4)),
    ),
    Workload(
        name="blitz-b64",
        model="Net",
        shape=(3, 32, 32),
        batch=64,
        classes=10,
        clip=1.0,
        goals=_goals((1.2, 2), (1.4, 2.5)),
    ),
    Workload(
        name="mlp1024",
        model="mlp",
        args={"sizes": [784, 1024, 1024, 10]},
        shape=(784,),
        batch=32,
        classes=10,
        clip=1.0,
        goals=_goals((1.1, 1.5), (1.8, 3)),
    ),
    Workload(
        name="resnet18-64",
        model="resnet18",
        shape=(3, 64, 64),
        batch=16,
        classes=1000,
        lr=1e-4,  # more, and batch norm blows a difference in the last bit up a hundredfold a step
        goals=_goals((1, 1.4), (1.1, 1.6)),
    ),
    Workload(
        name="resnet18-224",
        model="resnet18",
        shape=(3, 224, 224),
        batch=4,
        classes=1000,
        lr=1e-4,  # more, and batch norm blows a difference in the last bit up a hundredfold a step
        goals=_goals((1, 1.4), (1, 1.5)),
    ),
    Workload(
        name="gpt-128",
        model="GPT",
        args=_gpt(64, 4, 4, 128),
        shape=(64,),
        batch=12,
        classes=65,
        tokens=True,
        optimizer="AdamW",
        lr=3e-4,
        clip=1.0,
        goals=_goals((1.1, 1.4), (1.1, 1.5)),
    ),
    Workload(
        name="gpt-384",
        model="GPT",
        args=_gpt(256, 6, 6, 384),
        shape=(256,),
        batch=4,
        classes=65,
        tokens=True,
        optimizer="AdamW",
        lr=3e-4,
        clip=1.0,
        goals=_goals((1, 1.3), (1, 1.3)),
    ),
)
BY_NAME = {workload.name: workload for workload in WORKLOADS}


def workload_of(spec: Mapping[str, Any]) -> Workload:
    """The workload a process is told to compute: a name, and what is to differ from it."""
    workload = BY_NAME[spec["workload"]]
    return replace(
        workload, **{key: spec[key] for key in ("batch", "args", "shape") if key in spec}
    )


def batches(workload: Workload, rank: int) -> list[tuple[NDArray[Any], NDArray[np.int64]]]:
    """The batches of one rank as (inputs, targets)."""
    random = np.random.default_rng((SEED, rank))
    return [_batch(workload, random) for _ in range(BATCHES)]


def _batch(
    workload: Workload, random: np.random.Generator
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    shape = (workload.batch, *workload.shape)
    if workload.tokens:
        return (
            random.integers(0, workload.classes, shape),
            random.integers(0, workload.classes, shape),
        )
    inputs = random.standard_normal(shape, np.float32)
    return inputs, random.integers(0, workload.classes, workload.batch)
