"""The versions and the CPU kernel that a run's bits may depend on."""

from __future__ import annotations

import platform
from functools import cache

import numpy as np
import safetensors
from threadpoolctl import threadpool_info

from ddp.version import VERSION


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that compute or store, and the machine's kind."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    return found | {"ddp": VERSION, "numpy": np.__version__, "safetensors": safetensors.__version__}


@cache
def blas_kernel() -> str:
    """NumPy's BLAS, the kernel it chose for this CPU, its threads: "openblas 0.3.31 SkylakeX x1".

    A matrix product's bits depend on all of them. OPENBLAS_CORETYPE chooses a kernel by hand.
    """
    np.dot(np.ones(1), np.ones(1))  # the library is loaded now, whatever NumPy puts off
    libraries = [entry for entry in threadpool_info() if entry["user_api"] == "blas"]
    if not libraries:
        return "unknown"
    chosen = next((entry for entry in libraries if "numpy" in entry["filepath"]), libraries[0])
    details = (chosen["internal_api"], chosen.get("version"), chosen.get("architecture"))
    return " ".join(str(d) for d in details if d) + f" x{chosen['num_threads']}"
