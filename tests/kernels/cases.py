"""What each kernel is called with to compare the compiled one with its reference.

A case makes its arguments anew at each call, the same ones: kernels write into them. Wherever NaN
and infinities may come, some are among the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

SPECIAL = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 1e30, -1e30, 1e-40], np.float32)


class Case(NamedTuple):
    kernel: str
    what: str
    arguments: Callable[[], list[Any]]
    rtol: float = 1e-6
    atol: float = 1e-6

    def __str__(self) -> str:
        return f"{self.kernel}: {self.what}"


def numbers(*shape: int, seed: int = 0, scale: float = 1.0) -> Array:
    """Normally distributed float32, the same at every call."""
    return np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32)


def unwritten(*shape: int) -> Array:
    """A place for results; what no kernel writes is found out, as 7 is a strange result."""
    return np.full(shape, 7, np.float32)


def gelu() -> Iterator[Case]:
    for what, x in {
        "many": numbers(70_000, scale=3),
        "few": numbers(3),
        "special": SPECIAL,
        "none": numbers(0),
    }.items():
        yield Case("gelu.forward", what, lambda x=x: [x, unwritten(*x.shape), unwritten(*x.shape)])
        yield Case("gelu.forward", f"{what}, no slope", lambda x=x: [x, unwritten(*x.shape), None])


CASES = [*gelu()]
