"""`ddp doctor`: what a bug report needs, gathered without starting or changing anything.

A fact that cannot be found is reported as such: the doctor never fails because the patient is
ill. MPI is looked at in a process of its own, with a limit: it starts when it is imported, and a
broken installation can hang.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from ddp.cores import usable_cores
from launcher.machine import free_port
from launcher.threads import THREAD_VARIABLES

PACKAGES = (
    *("ddp", "numpy", "pyzmq", "msgpack", "msgspec", "safetensors", "threadpoolctl"),
    *("mpi4py", "mpich", "openmpi", "numba"),
)
MPI_LIMIT_S = 20.0
PROBE_BYTES = 1 << 16
ASK_MPI = "from mpi4py import MPI; print(MPI.Get_library_version().splitlines()[0].strip(' \\0'))"

Findings = dict[str, dict[str, Any]]


def examine(environ: Mapping[str, str]) -> Findings:
    """Everything, by subject. `environ` is the environment as the user has set it."""
    return {
        "versions": {"python": platform.python_version(), **_versions()},
        "machine": _machine(),
        "BLAS": _blas(),
        "threads": {name: _thread_setting(name, environ) for name in THREAD_VARIABLES},
        "MPI": {
            "library": _mpi_library(),
            "mpiexec": shutil.which("mpiexec", path=_search_path()) or "not found",
        },
    }


def as_json(findings: Findings) -> str:
    """The findings for programs."""
    return json.dumps(findings, indent=2)


def as_text(findings: Findings) -> str:
    """The findings for people, and for pasting into a bug report."""
    lines = []
    for subject, facts in findings.items():
        lines.append(subject)
        lines += [f"  {name:<22} {value}" for name, value in facts.items()]
    return "\n".join(lines)


def _versions() -> dict[str, str]:
    return {name: _version(name) for name in PACKAGES}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _machine() -> dict[str, Any]:
    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "cores usable": usable_cores(),
        "cores present": os.cpu_count(),
        "/dev/shm": _shared_memory(),
        "shared by workers": _memory_of_workers(),
        "free port": _free_port(),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            names = (
                line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
            )
            return next(names, platform.processor() or "unknown")
    except OSError:
        return platform.processor() or "unknown"


def _shared_memory() -> str:
    try:
        usage = shutil.disk_usage("/dev/shm")
    except OSError:
        return "none"
    return f"{usage.free / 2**30:.1f} GiB free of {usage.total / 2**30:.1f} GiB"


def _memory_of_workers() -> str:
    """Whether workers of this host could share memory (ddp.comm.segment), tried with a little."""
    try:
        from ddp.comm.segment import Segment

        mine = Segment.create(PROBE_BYTES)
        Segment.open(mine.offer, PROBE_BYTES)
        mine.withdraw()
    except Exception as error:  # whatever is broken in the installation is the finding
        return f"no, their data goes through the transport: {error}"
    return "yes"


def _free_port() -> int | str:
    try:
        return free_port()
    except OSError as error:
        return f"none on the loopback interface: {error}"


def _blas() -> dict[str, Any]:
    """What computes, as a worker started from here would have it."""
    try:
        from threadpoolctl import threadpool_info

        from ddp.checkpoint import blas_kernel

        kernel = blas_kernel()
        threads = [
            entry["num_threads"] for entry in threadpool_info() if entry["user_api"] == "blas"
        ]
    except Exception as error:  # whatever is broken in the installation is the finding
        return {"kernel": f"NumPy cannot be loaded: {type(error).__name__}: {error}"}
    return {"kernel": kernel, "threads": threads[0] if threads else "unknown"}


def _thread_setting(name: str, environ: Mapping[str, str]) -> str:
    if name not in environ:
        return "1 (set by ddp)"
    note = "" if environ[name] == "1" else "; ddp sets 1: other values give other bits"
    return f"{environ[name]} (set by you{note})"


def _mpi_library() -> str:
    argv = [sys.executable, "-c", ASK_MPI]
    try:
        answer = subprocess.run(argv, capture_output=True, text=True, timeout=MPI_LIMIT_S)
    except subprocess.TimeoutExpired:
        return f"does not start within {MPI_LIMIT_S:g} s"
    if answer.returncode == 0:
        return " ".join(answer.stdout.split())
    lines = answer.stderr.strip().splitlines() or [f"exit code {answer.returncode}"]
    return f"not usable: {lines[-1]} (pip install 'ddp[mpi]')"


def _search_path() -> str:
    """Where commands are looked for: beside this Python first."""
    return os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
