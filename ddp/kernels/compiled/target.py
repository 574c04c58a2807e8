"""How kernels are compiled: for the widest vectors of this processor, and to IEEE rules but two.

A sum may be reordered, and a product and a sum may be rounded once. Infinities, NaN and signed
zeros are what NumPy makes of them.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
import numba
from numba.core import config

RELAXED = {"reassoc", "contract"}

if config.CPU_FEATURES is None and not config.CPU_NAME:
    # LLVM would use half of an AVX-512 register: that spares old processors their lower clock
    # rate, and costs newer ones a third of the speed.
    features = llvm.get_host_cpu_features().flatten()
    config.CPU_FEATURES = f"{features},-prefer-256-bit"

# A kernel: GIL released, division by zero as NumPy has it, the machine code kept on disk.
compiled: Any = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=RELAXED)

# The same without the freedom: the bits of the reference, and nothing that depends on cuts.
exact: Any = numba.njit(cache=True, nogil=True, error_model="numpy")

# A function of numbers that kernels share.
inlined: Any = numba.njit(inline="always", error_model="numpy", fastmath=RELAXED)


def description() -> str:
    """What the bits of compiled kernels depend on: "numba 0.68.1 for icelake-server"."""
    name = config.CPU_NAME or llvm.get_host_cpu_name()
    return f"numba {numba.__version__} for {name}"
