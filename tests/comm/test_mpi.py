"""MPI, for real: ranks under mpiexec keep the contract; errors end all ranks instead of hanging."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.helpers.spawn import mpiexec, spawn


@pytest.mark.mpi
@pytest.mark.slow  # starts three interpreters, as do all below
def test_three_ranks_keep_the_contract() -> None:
    done = mpiexec(3, "comm_contract")
    assert done.returncode == 0, done.stdout + done.stderr
    for rank in range(3):
        assert f"rank {rank} of 3 keeps the contract" in done.stdout


@pytest.mark.mpi
@pytest.mark.slow
def test_a_world_of_one_rank_keeps_the_contract() -> None:
    done = mpiexec(1, "comm_contract")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.mpi
@pytest.mark.slow
@pytest.mark.parametrize("failure", ["too_long", "too_short"])
def test_a_rank_that_awaited_another_length_is_told(failure: str) -> None:
    done = mpiexec(2, "comm_failures", failure)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rank 1 was told" in done.stdout


@pytest.mark.mpi
@pytest.mark.slow
def test_an_exception_on_one_rank_ends_all() -> None:
    done = mpiexec(3, "comm_failures", "exception", timeout_s=15)
    assert done.returncode == 1


@pytest.mark.mpi
@pytest.mark.slow
def test_abort_ends_all_with_its_exit_code_after_what_was_printed() -> None:
    done = mpiexec(3, "comm_failures", "aborted", timeout_s=15)
    assert done.returncode == 7
    assert "the last words of rank 1" in done.stdout


def run_python(program: str) -> subprocess.CompletedProcess[str]:
    return spawn([sys.executable, "-c", program])


def test_importing_the_transport_does_not_start_mpi() -> None:
    done = run_python("import sys, ddp.comm.mpi; sys.exit('mpi4py.MPI' in sys.modules)")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("error", ["ImportError", "RuntimeError('cannot load MPI library')"])
def test_without_mpi_one_sentence_says_what_to_install(error: str) -> None:
    """mpi4py raises RuntimeError, not ImportError, where it finds no MPI library."""
    done = run_python(
        "import sys\n"
        "class Broken:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == 'mpi4py.MPI': raise {error}\n"
        "sys.meta_path.insert(0, Broken())\n"
        "from ddp.comm.mpi import open_world\n"
        "from ddp.errors import CommError\n"
        "try: open_world()\n"
        "except CommError as error: print(error)\n"
    )
    assert "pip install 'ddp[mpi]'" in done.stdout, done.stderr
    assert done.stdout.count("\n") == 1
