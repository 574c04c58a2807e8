"""What the engine costs per operation when the arrays are small: 8x8 float32, forward and backward.

    python benchmarks/bench_engine_overhead.py [--operations 200] [--rounds 40]

Prints a JSON line per case: microseconds per operation, the best round of each library, ddp and
(where it is importable) PyTorch taking turns, one thread each.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import ddp


def libraries() -> dict[str, Any]:
    """What can be measured here."""
    found: dict[str, Any] = {"ddp": ddp}
    try:
        import torch
    except ImportError:
        return found
    torch.set_num_threads(1)
    return {**found, "torch": torch}


def scale_and_shift(lib: Any, x: Any, c: Any, d: Any, operations: int) -> Any:
    """x = x·c + d, again and again: two operations a turn."""
    for _ in range(operations // 2):
        x = x * c + d
    return x


def with_parameters(lib: Any, x: Any, c: Any, d: Any, operations: int) -> Any:
    """x = x·w + b with w and b leaves that require gradients."""
    return scale_and_shift(lib, x, c.requires_grad_(), d.requires_grad_(), operations)


def with_numbers(lib: Any, x: Any, c: Any, d: Any, operations: int) -> Any:
    """x = x·0.5 + 1.0 with Python numbers."""
    for _ in range(operations // 2):
        x = x * 0.5 + 1.0
    return x


def layers(lib: Any, x: Any, c: Any, d: Any, operations: int) -> Any:
    """x = relu(x @ c + d): three operations a turn."""
    for _ in range(operations // 3):
        x = (x @ c + d).relu()
    return x


CASES = [scale_and_shift, with_parameters, with_numbers, layers]


def seconds(case: Callable[..., Any], lib: Any, operations: int, backward: bool) -> float:
    """One pass on fresh leaves."""
    arrays = [np.full((8, 8), value, np.float32) for value in (1.0, 0.1, 0.2)]
    x, c, d = [lib.from_numpy(array) for array in arrays]
    x.requires_grad = True
    started = time.perf_counter()
    y = case(lib, x, c, d, operations)
    if backward:
        y.backward(lib.ones((8, 8)))
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--operations", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=40)
    arguments = parser.parse_args()
    for case in CASES:
        for backward in (False, True):
            best = dict.fromkeys(libraries(), float("inf"))
            for _ in range(arguments.rounds):
                for name, lib in libraries().items():
                    taken = seconds(case, lib, arguments.operations, backward)
                    best[name] = min(best[name], taken)
            line = {"case": case.__name__, "passes": "both" if backward else "forward"}
            per_operation = {
                f"{name}_us": round(s * 1e6 / arguments.operations, 2) for name, s in best.items()
            }
            print(json.dumps({**line, **per_operation}), flush=True)


if __name__ == "__main__":
    main()
