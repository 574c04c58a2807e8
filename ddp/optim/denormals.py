"""Numbers next to nothing are nothing while an optimizer steps.

A momentum whose gradient stays 0, as behind a ReLU that never opens, shrinks by the same factor
each step. At 0.9 it is denormal (below 1.2e-38) after some 800 steps, where rounding keeps it for
ever, and a processor takes a hundred times as long for every operation with it. Measured: with a
sixth of the momenta of a small convolutional network denormal, a step of SGD takes 220 µs in place
of 80.

So a step is done with the processor's switch on that takes denormal operands for 0 and makes
denormal results 0. It is the thread's own, and is put back afterwards: what others compute is as
it was. PyTorch has the switch too (`torch.set_flush_denormal`), and leaves it off.

It is reached through ISO C's floating-point environment, whose layout is known here for x86-64
alone. Where it does not work, as tried once, denormal numbers stay what they are.
"""

from __future__ import annotations

import ctypes
import platform
from typing import Any

import numpy as np

Environment = ctypes.c_uint32 * 8  # of x86-64: what the x87 has, then MXCSR
MXCSR = 7
FLUSHES = 0x8040  # of MXCSR: results, and operands

libc: Any = ctypes.PyDLL(None)  # which keeps the GIL: these calls take nanoseconds
get_environment: Any = getattr(libc, "fegetenv", None)
set_environment: Any = getattr(libc, "fesetenv", None)


class Flushing:
    """Inside the block this thread takes denormal numbers for 0, if it can."""

    __slots__ = ("_before",)

    def __enter__(self) -> None:
        if SWITCHED_ON is not None:
            self._before = Environment()
            get_environment(self._before)
            set_environment(SWITCHED_ON)

    def __exit__(self, *exc_info: object) -> None:
        if SWITCHED_ON is not None:
            set_environment(self._before)


def with_switch_on(machine: str) -> Any:
    """The environment in which this machine flushes; None where that does not work."""
    if machine != "x86_64" or get_environment is None or set_environment is None:
        return None
    before, flushing = Environment(), Environment()
    get_environment(before)
    get_environment(flushing)
    flushing[MXCSR] |= FLUSHES
    set_environment(flushing)
    flushed = is_flushing()
    set_environment(before)
    return flushing if flushed and not is_flushing() else None


def is_flushing() -> bool:
    """Whether half of the smallest normal number is 0 on this thread now."""
    with np.errstate(under="ignore"):
        half = np.full(1, 2.0**-126, np.float32) * np.float32(0.5)
    return not half.any()


SWITCHED_ON = with_switch_on(platform.machine())
