"""A run directory belongs to one run, and at any time to one process.

The claim is a lock (flock) on `.lock` in the directory. The kernel releases it when the process
ends in whatever way, so a killed run leaves nothing to clear away. On NFS the lock holds between
hosts under Linux ≥ 2.6.12; on file systems without locks it fails loudly.
"""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path
from types import TracebackType

from ddp.errors import CheckpointError

LOCK = ".lock"


class RunDirectory:
    """A claimed run directory; `close`, or the end of the process, gives it back."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def close(self) -> None:
        """Give up the claim; may be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def claim(path: Path, resume: bool) -> RunDirectory:
    """Make the run directory if need be and take it for this process.

    Without `resume` it must be new or empty: an earlier run is never overwritten. With `resume`
    a directory without a run is as good as a new one, so the same command line serves for the
    first start and for every further one. Raises CheckpointError.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise CheckpointError(f"{path}: expected a directory to write to: {error}") from None
    try:
        _lock(path, descriptor)
        if not resume and any(name != LOCK for name in os.listdir(path)):
            raise CheckpointError(
                f"{path} exists and is not empty: --resume goes on with the run in it, or choose "
                "another --out"
            )
    except BaseException:
        os.close(descriptor)
        raise
    return RunDirectory(path, descriptor)


def _lock(path: Path, descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
        raise CheckpointError(
            f"{path} is in use by {holder or 'another process'}: wait for it, or choose "
            "another --out"
        ) from None
    except OSError as error:
        raise CheckpointError(f"{path}: its file system has no locks: {error}") from None
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on host {socket.gethostname()}\n".encode(), 0)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be written to: {error}") from None
