"""What counts as a right answer of a classifier."""

from __future__ import annotations

from typing import Any

import numpy as np

from ddp.autograd.tensor import Tensor
from ddp.data.dataset import Array


def is_classification(output: Any, targets: Array) -> bool:
    """Whether a model's output (N, C) are scores of classes, and the targets (N,) are classes."""
    return (
        isinstance(output, Tensor)
        and output.array.ndim == 2
        and targets.ndim == 1
        and targets.dtype.kind in "iu"
    )


def count_correct(output: Any, targets: Array) -> int | None:
    """Right answers of a classifier; None for anything else."""
    if not is_classification(output, targets):
        return None
    return int(np.count_nonzero(output.array.argmax(axis=1) == targets))
