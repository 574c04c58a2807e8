"""Small models and data sets that tests name in a config, and a run on threads of this process."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from ddp.autograd.tensor import Tensor
from ddp.config import from_dict
from ddp.data.dataset import ArrayDataset
from ddp.nn.batchnorm import BatchNorm1d
from ddp.nn.containers import Sequential
from ddp.nn.layers import Dropout, Linear, ReLU
from ddp.nn.module import Module
from ddp.nn.parameter import Parameter
from workers import threads


def blobs(samples: int = 24, features: int = 5, classes: int = 3) -> tuple[Any, Any]:
    """Gaussian samples around one centre per class; every third is also the test set."""
    random = np.random.default_rng(7)
    labels = np.arange(samples) % classes
    centres = random.normal(size=(classes, features))
    inputs = (centres[labels] + random.normal(size=(samples, features))).astype(np.float32)
    return ArrayDataset(inputs, labels), ArrayDataset(inputs[::3], labels[::3])


def network(
    features: int = 5, hidden: int = 7, depth: int = 1, classes: int = 3, extras: bool = True
) -> Sequential:
    """Linear layers; `extras` adds what makes equal bits hard: batch norm and dropout."""
    layers: list[Module] = []
    width = features
    for _ in range(depth):
        layers += [Linear(width, hidden), *([BatchNorm1d(hidden)] if extras else []), ReLU()]
        width = hidden
    if extras:
        layers.append(Dropout(0.3))
    return Sequential(*layers, Linear(width, classes))


def poisoned(sample: int, value: str) -> tuple[Any, Any]:
    """`blobs` in which one sample of the training set is `value` ("nan") throughout."""
    train, test = blobs()
    train.inputs[sample] = float(value)
    return train, test


class Brittle(Module):
    """For an input of zeros its output is finite, the gradient of `root` is not."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = Linear(5, 3)
        self.root = Parameter(Tensor(np.ones(3, np.float32)))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + (x[:, :3] * self.root).abs().sqrt()


class PartlyUsed(Module):
    """A model with a parameter that no output depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.used = Linear(5, 3)
        self.idle = Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.used(x)


def tables(**changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """A config's tables for `network` on `blobs`, three steps, with `changes` by table."""
    base: dict[str, dict[str, Any]] = {
        "model": {"factory": "tests.helpers.tasks:network"},
        "data": {"factory": "tests.helpers.tasks:blobs"},
        "optimizer": {"name": "SGD", "lr": 0.1, "momentum": 0.9},
        "train": {"steps": 3, "global_batch": 12, "shards": 4, "clip_norm": 1.0},
    }
    for table, keys in changes.items():
        kept = {} if table == "optimizer" else base.get(table, {})  # each has keys of its own
        base[table] = kept | keys
    return base


def train(
    out: Path, workers: int, resume: bool = False, seed: int = 0, **changes: dict[str, Any]
) -> dict[str, Any]:
    """Train on threads; the summary, with what was printed as `output`."""
    stream = io.StringIO()
    code = threads.run(from_dict({"seed": seed, **tables(**changes)}), workers, out, resume, stream)
    assert code == 0, stream.getvalue()
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return summary | {"output": stream.getvalue()}
