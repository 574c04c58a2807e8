"""Whether an MPI launcher started us is read from the environment, without MPI or NumPy."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ddp.comm.detect import launched_by_mpi


@pytest.mark.parametrize(
    "environ",
    [
        {"PMI_RANK": "0", "PMI_SIZE": "3", "PMI_FD": "7"},
        {"PMIX_RANK": "1", "PMIX_NAMESPACE": "prterun-host-1@1"},
        {"OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "3"},
        {"MV2_COMM_WORLD_RANK": "0"},
        {"SLURM_PROCID": "0", "PMI_RANK": "0"},
    ],
)
def test_a_rank_of_an_mpi_launcher_is_recognised(environ: dict[str, str]) -> None:
    assert launched_by_mpi(environ)


@pytest.mark.parametrize(
    "environ", [{}, {"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, {"RANK": "0", "WORLD_SIZE": "2"}]
)
def test_anything_else_is_no_mpi_rank(environ: dict[str, str]) -> None:
    assert not launched_by_mpi(environ)


def test_asking_imports_neither_mpi_nor_numpy() -> None:
    program = (
        "import sys; from ddp.comm.detect import launched_by_mpi; launched_by_mpi({});"
        "sys.exit('mpi4py' in sys.modules or 'zmq' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0
