"""Finding the operation whose gradient went wrong: `detect_anomaly`, `set_detect_anomaly`.

While it is on, every operation notes where it was called, and a backward pass that fails, or that
meets a NaN, says in a warning which line of the forward pass it was. It belongs to the thread, and
it is slow: for debugging only.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ddp.autograd.grad_mode import mode
from ddp.autograd.node import Node
from ddp.autograd.tensor import Tensor
from ddp.autograd.watch import Watching

Formula = Callable[[Node, list[Any]], tuple[Any, ...]]


class detect_anomaly(Watching):
    """Inside the block, trace the forward pass and check every gradient for NaN."""

    def __init__(self, check_nan: bool = True) -> None:
        super().__init__(traces=True, check_nan=check_nan)
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should "
            "only be enabled for debugging.",
            UserWarning,
            stacklevel=2,
        )


class set_detect_anomaly(Watching):
    """Turn anomaly detection on or off at once; as a context manager, undo it on exit."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        super().__init__(traces=mode, check_nan=check_nan)
        self.begin()

    def __enter__(self) -> None:
        """It took effect on construction."""


def is_anomaly_enabled() -> bool:
    """Whether anomaly detection is on, on this thread."""
    return mode.watch is not None and mode.watch.traces


def is_anomaly_check_nan_enabled() -> bool:
    """Whether it also checks gradients for NaN."""
    return is_anomaly_enabled() and mode.watch.check_nan


def guarded(formula: Formula) -> Formula:
    """`formula`, which warns about the forward pass of a node it fails at, or where NaN appears."""
    check_nan = is_anomaly_check_nan_enabled()

    def run(node: Node, dys: list[Any]) -> tuple[Any, ...]:
        try:
            gradients = formula(node, dys)
            if check_nan:
                _refuse_nan(node, gradients)
        except Exception:
            warnings.warn(_origin(node), UserWarning, stacklevel=2)
            raise
        return gradients

    return run


def _refuse_nan(node: Node, gradients: tuple[Any, ...]) -> None:
    for output_nr, gradient in enumerate(gradients):
        values = gradient.array if isinstance(gradient, Tensor) else gradient
        if values is not None and np.isnan(values).any():
            raise RuntimeError(
                f"Function '{node.name()}' returned nan values in its {output_nr}th output."
            )


def _origin(node: Node) -> str:
    """Where in the forward pass the node comes from."""
    trace = node.metadata.get("traceback_")
    if trace is None:
        return (
            f"Error detected in {node.name()}. No forward pass information available. Enable "
            "detect anomaly during forward pass for more information."
        )
    return (
        f"Error detected in {node.name()}. Traceback of forward call that caused the error:\n"
        + "".join(trace)
    )
