"""One BLAS thread per worker, said to the libraries before NumPy is loaded.

A matrix product's bits depend on the number of BLAS threads, and workers that each start a
thread per core starve one another. The libraries read these variables once, when they are
loaded: whoever starts a worker sets them first. What the user has set stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping

THREAD_VARIABLES = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


def one_thread(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables to add to `environ` so that a process computes on one thread."""
    return {name: "1" for name in THREAD_VARIABLES if name not in environ}
