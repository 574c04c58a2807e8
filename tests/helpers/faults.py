"""Data sets that do a worker harm in the middle of a run, once, and a config that uses them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddp.data.dataset import ArrayDataset
from tests.helpers.tasks import blobs

CONFIG = """
seed = 3
[model]
factory = "tests.helpers.tasks:network"
[data]
factory = "tests.helpers.faults:harmful"
args = {{ fault = "{fault}", marker = "{marker}" }}
[optimizer]
name = "Adam"
lr = 0.01
[train]
epochs = 100
global_batch = 12
shards = 4
clip_norm = 1.0
evaluate_every_epochs = 50
[checkpoint]
every_steps = 7
[cluster]
heartbeat_s = 0.3
heartbeat_timeout_s = 2.0
"""
STEPS = 200


class Harmful:
    """Reads like `blobs`; the first worker to read its 80th batch does `fault`."""

    def __init__(self, inner: ArrayDataset, fault: str, marker: str) -> None:
        self._inner, self._fault, self._marker = inner, fault, marker
        self._reads = 0

    def __len__(self) -> int:
        return len(self._inner)

    def fetch(self, indices: NDArray[np.int64]) -> tuple[Any, Any]:
        self._reads += 1
        if self._fault and self._reads == 80 and self._is_first():
            if self._fault == "exit":
                sys.exit(0)
            raise ValueError("this sample is beyond repair")
        return self._inner.fetch(indices)

    def _is_first(self) -> bool:
        try:
            os.close(os.open(self._marker, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True


def harmful(fault: str, marker: str) -> tuple[Any, Any]:
    train, test = blobs()
    return Harmful(train, fault, marker), test


def write_config(directory: Path, fault: str = "") -> Path:
    """A config file of a run of `STEPS` steps in which `fault` ("raise", "exit", "") happens."""
    path = directory / "faulty.toml"
    path.write_text(CONFIG.format(fault=fault, marker=directory / "marker"))
    return path
