"""Programs started for tests: in a process group of their own, with a limit, leaving nothing.

done = spawn([sys.executable, "program.py"])
done = mpiexec(3, "comm_contract")          # tests/ranks/comm_contract.py on three ranks
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RANKS = ROOT / "tests" / "ranks"

# Open MPI refuses to start as root and to start more ranks than cores unless told otherwise;
# MPICH does not look at these. One BLAS thread each, as the launcher would set it.
ENVIRONMENT = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OPENBLAS_NUM_THREADS": "1",
}


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a child: ours, with the repository importable."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, **ENVIRONMENT, "PYTHONPATH": path, **(extra or {})}


def start(
    argv: Sequence[str | Path], extra: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start `argv` as the leader of a new process group, with pipes for input and output."""
    return subprocess.Popen(
        [str(part) for part in argv],
        env=environment(extra),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def spawn(
    argv: Sequence[str | Path], timeout_s: float = 60.0, extra: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `argv` to its end; after `timeout_s` kill its whole group and raise TimeoutError."""
    process = start(argv, extra)
    try:
        output, errors = process.communicate(timeout=timeout_s)
    except BaseException as error:
        kill_group(process)
        output, errors = process.communicate()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        raise TimeoutError(f"{argv} still ran at {timeout_s:g} s\n{output}\n{errors}") from None
    return subprocess.CompletedProcess(argv, process.returncode, output, errors)


def kill_group(process: subprocess.Popen[str]) -> None:
    """Kill a process made by `start`, and all that it started."""
    with contextlib.suppress(ProcessLookupError):  # all of it has ended
        os.killpg(process.pid, signal.SIGKILL)


def find_mpiexec() -> str:
    """The `mpiexec` beside this Python or on the PATH; where there is none the test is skipped."""
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    found = shutil.which("mpiexec", path=os.pathsep.join(places))
    if found is None:
        pytest.skip("no mpiexec: pip install 'ddp[mpi]'")
    return found


def mpiexec(
    size: int, program: str, *args: str, timeout_s: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """Run tests/ranks/<program>.py on `size` ranks; one rank's uncaught exception ends all."""
    python = [sys.executable, "-m", "mpi4py", RANKS / f"{program}.py"]
    return spawn([find_mpiexec(), "-n", str(size), *python, *args], timeout_s)
