"""How kernels are compiled: for the widest vectors of this processor, and to IEEE rules but two.

A sum may be reordered, and a product and a sum may be rounded once. Infinities, NaN and signed
zeros are what NumPy makes of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numba
from numba.core import config

RELAXED = {"reassoc", "contract"}

if config.CPU_FEATURES is None:  # NUMBA_CPU_FEATURES and NUMBA_CPU_NAME are the user's to set
    # LLVM would use half of an AVX-512 register: that spares old processors their lower clock
    # rate, and costs newer ones a third of the speed.
    config.CPU_FEATURES = f"{llvm.get_host_cpu_features().flatten()},-prefer-256-bit"

HAS_AVX512 = "+avx512f" in config.CPU_FEATURES.split(",")

HERE = Path(__file__).parent
SOURCES = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(HERE.glob("*.py"))))

COMMON: dict[str, Any] = {"nogil": True, "error_model": "numpy"}  # x / 0 is what NumPy makes of it


def compiled(function: Callable[..., None]) -> Any:
    """A kernel."""
    return kept(function, fastmath=RELAXED)


def exact(function: Callable[..., None]) -> Any:
    """A kernel without that freedom: the bits of the reference, wherever an array is cut."""
    return kept(function)


def kept(function: Callable[..., None], **options: Any) -> Any:
    """Compiled when first called; the machine code is kept on disk where there is a place for it.

    That is beside the source, else in the user's cache, or where NUMBA_CACHE_DIR says. numba would
    go by the function's own file, though much of it may stand in others: the place has a name made
    of them all.
    """
    chosen = config.CACHE_DIR
    config.CACHE_DIR = str(Path(chosen or HERE / "__pycache__") / SOURCES.hexdigest()[:16])
    try:
        return numba.njit(function, cache=True, **COMMON, **options)
    except RuntimeError:  # nowhere to write to: each process compiles anew
        return numba.njit(function, **COMMON, **options)
    finally:
        config.CACHE_DIR = chosen


def inlined(function: Callable[..., Any]) -> Any:
    """A function of numbers that kernels share."""
    return numba.njit(function, inline="always", error_model="numpy", fastmath=RELAXED)


def description() -> str:
    """What the bits of compiled kernels depend on: "numba 0.68.1 for icelake-server"."""
    name = config.CPU_NAME or llvm.get_host_cpu_name()
    return f"numba {numba.__version__} for {name}"
