"""Was this process started by an MPI launcher? Decided from the environment alone.

Imports neither MPI nor NumPy: the command line asks before it knows which of them it needs.
"""

from __future__ import annotations

from collections.abc import Mapping

# Each launcher tells its processes their rank in a variable of its own.
_RANK_VARIABLES = (
    "PMI_RANK",  # MPICH's hydra, Intel MPI, `srun --mpi=pmi2`
    "PMIX_RANK",  # Open MPI 5 (PRRTE), `srun --mpi=pmix`
    "OMPI_COMM_WORLD_RANK",  # Open MPI
    "MV2_COMM_WORLD_RANK",  # MVAPICH2
)


def launched_by_mpi(environ: Mapping[str, str]) -> bool:
    """Whether `environ` is that of a rank under mpiexec, mpirun or `srun --mpi=...`.

    Slurm's own variables do not count: `srun` without an MPI plugin sets them too, and each of
    its tasks would then start as an MPI world of one.
    """
    return any(name in environ for name in _RANK_VARIABLES)


def rank_name(environ: Mapping[str, str]) -> str:
    """This process's rank as its launcher tells it, for messages to people."""
    return next((environ[name] for name in _RANK_VARIABLES if name in environ), "unknown")
