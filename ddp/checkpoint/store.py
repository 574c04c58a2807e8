"""The seam between checkpoints and a disk: the few operations whose order keeps them whole.

Tests put a store in its place that dies at the k-th call. Each operation that must survive a
power cut ends with an fsync, of the file or of the directory that names it. Relies on `rename`
being atomic within a directory: true of local file systems and NFS, not of object stores mounted
as directories.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Protocol


class Store(Protocol):
    """Files and directories by path. Errors are OSErrors."""

    def names(self, directory: Path) -> list[str]:
        """The entries of a directory, sorted; empty when there is no such directory."""

    def read(self, path: Path) -> bytes:
        """The whole content of a file."""

    def make_directory(self, path: Path) -> None:
        """Make a directory that does not exist yet."""

    def write(self, path: Path, content: bytes) -> None:
        """Make a new file and bring its content to the disk."""

    def sync_directory(self, path: Path) -> None:
        """Bring a directory's entries to the disk."""

    def rename(self, old: Path, new: Path) -> None:
        """Give a directory another name, atomically. `new` must not exist."""

    def remove_tree(self, path: Path) -> None:
        """Remove a directory and what is in it. Not atomic."""


class DiskStore:
    """The real file system."""

    def names(self, directory: Path) -> list[str]:
        return sorted(os.listdir(directory)) if directory.is_dir() else []

    def read(self, path: Path) -> bytes:
        return path.read_bytes()

    def make_directory(self, path: Path) -> None:
        path.mkdir(parents=True)

    def write(self, path: Path, content: bytes) -> None:
        with path.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def sync_directory(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        old.rename(new)

    def remove_tree(self, path: Path) -> None:
        shutil.rmtree(path)


DISK = DiskStore()
