"""Run by mpiexec: the whole contract, and the mailbox, on the ranks of an MPI world."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import numpy as np

from ddp.comm.mpi import MpiMailbox, open_world
from tests.comm import contract

LIMIT_S = contract.LIMIT_S


def letters_keep_their_order_and_frames(mailbox: MpiMailbox) -> None:
    everyone = range(mailbox.size)
    for number in range(20):
        for rank in everyone:
            mailbox.post(rank, [bytes([number]), b"", np.arange(number, dtype=np.uint8)])
    come: dict[int, list[list[bytes]]] = {rank: [] for rank in everyone}
    for _ in range(20 * mailbox.size):
        letter = mailbox.poll(LIMIT_S)
        assert letter is not None
        come[letter[0]].append(letter[1])
    expected = [[bytes([n]), b"", bytes(range(n))] for n in range(20)]
    assert come == dict.fromkeys(everyone, expected)
    assert mailbox.poll(0.0) is None
    assert mailbox.poll(0.01) is None


def a_letter_of_no_frames_and_a_large_one_arrive(mailbox: MpiMailbox) -> None:
    next_rank = (mailbox.rank + 1) % mailbox.size
    large = np.arange(3 << 20, dtype=np.uint8)
    mailbox.post(next_rank, [])
    mailbox.post(next_rank, [large])
    before = (mailbox.rank - 1) % mailbox.size
    assert mailbox.poll(LIMIT_S) == (before, [])
    assert mailbox.poll(LIMIT_S) == (before, [large.tobytes()])


def no_file_is_left_in_shared_memory() -> None:
    """Not even if this job is killed: what MPICH shares has lost its name already."""
    maps = Path("/proc/self/maps")
    lines = maps.read_text().splitlines() if maps.exists() else []
    assert all("(deleted)" in line for line in lines if "/dev/shm/mpich" in line)


world = open_world()
assert (world.hosts[world.rank], world.pids[world.rank]) == (socket.gethostname(), os.getpid())
assert len(set(world.pids)) == world.size

# Another thread uses the second mailbox all the while.
beats = threading.Thread(target=letters_keep_their_order_and_frames, args=[world.heartbeats])
beats.start()
for check in contract.GENTLE:
    check(world.communicator)
letters_keep_their_order_and_frames(world.mailbox)
world.communicator.barrier(LIMIT_S)  # a letter of what follows would be one too many above
a_letter_of_no_frames_and_a_large_one_arrive(world.mailbox)
beats.join()
no_file_is_left_in_shared_memory()
for check in contract.FINAL:
    check(world.communicator)
world.close()
world.close()
print(f"rank {world.rank} of {world.size} keeps the contract")
