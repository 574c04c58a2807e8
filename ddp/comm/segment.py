"""Memory that processes of one host share: anonymous, so that nothing is ever left behind.

    segment = Segment.create(nbytes)                # one process
    twin = Segment.open(segment.offer, nbytes)      # another one, of the same user

The memory has no name (memfd_create, Linux): a peer finds it through `/proc/PID/fd/N`, and it is
gone with the last process that has it mapped, however that ends. It counts against the memory of
the processes, not against the size of /dev/shm. Every page is allocated at once, after a look at
what is free: memory that is not to be had is an OSError here, not a SIGBUS in the middle of a run,
nor the kernel's killing of some process. Left out: systems without memfd (OSError too).
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ddp.comm.neighbours import Memory

TOKEN_BYTES = 16
_HEAD_BYTES = 64  # the token, on a cache line of its own
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PROCESS_IDS = Path("/proc/self/ns/pid")
_CONTAINER = Path("/sys/fs/cgroup")  # of this container, where it is one (cgroup version 2)
_CONTAINER_FILES = ("memory.max", "memory.current")


class Home(NamedTuple):
    """Where a process lives: digests that are equal for those who could share memory.

    `machine` alone is equal for containers of one machine, which cannot: the process ids of one
    mean nothing in the other.
    """

    machine: bytes
    neighbours: bytes


def find_home() -> Home:
    """Where this process lives. Where that cannot be told, it lives alone."""
    try:
        machine = _BOOT_ID.read_text().strip()
        neighbours = f"{machine} {os.readlink(_PROCESS_IDS)} {os.getuid()}"
    except OSError:
        machine = neighbours = secrets.token_hex(TOKEN_BYTES)
    return Home(_digest(machine), _digest(neighbours))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:16]


class Offer(NamedTuple):
    """Where a segment is to be found, and how it is known for the right one."""

    pid: int
    descriptor: int
    token: bytes


@dataclass(frozen=True)
class Segment:
    """`memory` is shared; `offer` tells others where, until `withdraw`.

    The memory lives as long as an array over it does.
    """

    memory: Memory
    offer: Offer

    @classmethod
    def create(cls, nbytes: int) -> Segment:
        """New shared memory, all zeros. Raises OSError when there is none to be had."""
        if not hasattr(os, "memfd_create"):
            raise OSError("this system cannot share memory without a name (no memfd_create)")
        if nbytes > free_bytes():
            raise OSError(f"only {free_bytes() / 2**20:.0f} MiB are free")
        offer = Offer(os.getpid(), os.memfd_create("ddp"), secrets.token_bytes(TOKEN_BYTES))
        try:
            os.posix_fallocate(offer.descriptor, 0, _HEAD_BYTES + nbytes)
            whole = _map(offer.descriptor, nbytes)
        except OSError:
            os.close(offer.descriptor)
            raise
        whole[:TOKEN_BYTES] = np.frombuffer(offer.token, np.uint8)
        return cls(whole[_HEAD_BYTES:], offer)

    @classmethod
    def open(cls, offer: Offer, nbytes: int) -> Segment:
        """The segment that another process offers. Raises OSError when it cannot be reached."""
        descriptor = os.open(f"/proc/{offer.pid}/fd/{offer.descriptor}", os.O_RDWR | os.O_CLOEXEC)
        try:
            if os.fstat(descriptor).st_size != _HEAD_BYTES + nbytes:
                raise OSError(f"process {offer.pid} offers something else than it says")
            whole = _map(descriptor, nbytes)
        finally:
            os.close(descriptor)
        if whole[:TOKEN_BYTES].tobytes() != offer.token:
            raise OSError(f"process {offer.pid} offers memory of another run")
        return cls(whole[_HEAD_BYTES:], offer)

    def withdraw(self) -> None:
        """For its creator: from now on nobody else can open it. To be called once."""
        os.close(self.offer.descriptor)


def free_bytes() -> int:
    """How much memory this process could have, as far as the system and its container tell."""
    free = [_meminfo("MemAvailable:")]
    with contextlib.suppress(OSError, ValueError):  # "max": no limit
        limit, used = (int((_CONTAINER / name).read_text()) for name in _CONTAINER_FILES)
        free.append(limit - used)
    return min(free)


def _meminfo(key: str) -> int:
    with open("/proc/meminfo") as lines:
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith(key))


def _map(descriptor: int, nbytes: int) -> Memory:
    """The whole file as memory, with its pages in place."""
    flags = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
    return np.frombuffer(mmap.mmap(descriptor, _HEAD_BYTES + nbytes, flags=flags), np.uint8)
