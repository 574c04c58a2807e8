"""Data sets that worker processes can be given: classes that have a name in a module."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from ddp.autograd.creation import rand
from ddp.utils.data import Dataset, IterableDataset, get_worker_info


class Squares(Dataset[Any]):
    """Sample i is (float32 vector, i²)."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return np.full(3, index, np.float32), index * index


class Count(IterableDataset[int]):
    """0 … n-1; in worker processes each gives its part."""

    def __init__(self, size: int, in_parts: bool = True) -> None:
        self.size = size
        self.in_parts = in_parts

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        info = get_worker_info()
        first, stride = (info.id, info.num_workers) if info and self.in_parts else (0, 1)
        return iter(range(first, self.size, stride))


class WhoAmI(Squares):
    """Sample: the worker, its process, and what its random sources give first."""

    def __getitem__(self, index: int) -> dict[str, Any]:  # type: ignore[override]
        info = get_worker_info()
        return {
            "worker": -1 if info is None else info.id,
            "pid": os.getpid(),
            "python": random.random(),
            "numpy": np.random.random(),  # noqa: NPY002
            "ddp": rand(1).item(),
        }


class Broken(Squares):
    """Sample 3 raises KeyError, or does what it is told to."""

    def __init__(self, size: int, fault: str) -> None:
        super().__init__(size)
        self.fault = fault

    def __getitem__(self, index: int) -> tuple[Any, int]:
        if index == 3 and self.fault == "raise":
            raise ValueError("no sample 3")
        if index == 3 and self.fault == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if index == 3 and self.fault == "hang":
            threading.Event().wait()
        return super().__getitem__(index)


def name_of_no_class(worker: int) -> None:
    """A worker_init_fn that fails, with an exception whose class has no name elsewhere."""

    class Odd(Exception):
        pass

    raise Odd(f"worker {worker} could not begin")
