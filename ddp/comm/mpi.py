"""The transport of ranks started by `mpiexec`: the only file that knows mpi4py.

Importing this file does not start MPI; `open_world` does. MPI cannot lose a rank and go on, so
whoever fails calls `abort`, and all ranks end. Messages on one communicator keep their order
between two ranks, and both ends cut arrays alike (ddp.comm.pieces): the pieces need no tags. The
data and the mailboxes each have a communicator of their own, so that they never match each other.

Progress. Neither MPICH nor Open MPI moves large messages unless somebody calls it, so while
exchanges are open a helper thread pokes it (`Iprobe`) every half millisecond. Measured with 32 MB
each way, 2 ranks on 2 cores, 50-100 ms of computing meanwhile (MPICH 5.0 and Open MPI 5.0):

    nobody pokes                         left to wait after computing: 5-12 ms, all of it
    a thread blocks in Waitall           0.0 ms, but spins while a peer is late: computing takes
                                         up to 12-40 % longer
    a thread polls, sleeping 0-0.05 ms   0.0 ms; computing up to 25 % longer (it takes the GIL)
    a thread polls, sleeping 0.2-1 ms    0.0 ms; computing no longer than the copying itself takes

Waiting itself yields and then sleeps: with more ranks than cores, a wait that spins takes the
processor from the very rank it waits for.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ddp.comm.communicator import (
    Array,
    Arrays,
    Communicator,
    Mailbox,
    check_exchange,
    exchange_timeout,
)
from ddp.comm.letters import seal, unseal
from ddp.comm.pieces import cut
from ddp.errors import CommError, PeerProtocolError

if TYPE_CHECKING:
    from mpi4py import MPI

_POKE_S = 0.0005
_YIELD_S = 0.0002
_LONGEST_SLEEP_S = 0.005
# How long a mailbox that closes waits for its last messages to leave.
_LINGER_S = 2.0
# MPICH's mpiexec drops what it has not read from a rank's pipes when the rank aborts: without this
# the traceback that tells why was lost in one run of three.
_LAST_WORDS_S = 0.2
_HOST_BYTES = 256


@dataclass(frozen=True)
class MpiWorld:
    """What a rank under `mpiexec` has: the data path, two mailboxes, and who the others are.

    `mailbox` is for the orders and reports of the run; `heartbeats` for a second thread.
    `hosts[r]` and `pids[r]` say where rank r lives, for messages to people.
    """

    rank: int
    size: int
    communicator: MpiCommunicator
    mailbox: MpiMailbox
    heartbeats: MpiMailbox
    hosts: list[str]
    pids: list[int]

    def close(self) -> None:
        for part in (self.communicator, self.mailbox, self.heartbeats):
            part.close()


def open_world() -> MpiWorld:
    """Start MPI if it is not running, and join its world. Every rank must call it.

    Raises CommError where there is no usable MPI.
    """
    mpi = _load()
    if mpi.Query_thread() < mpi.THREAD_MULTIPLE:
        raise CommError("this MPI was built without support for threads (MPI_THREAD_MULTIPLE)")
    world = mpi.COMM_WORLD
    data, letters, beats = world.Dup(), world.Dup(), world.Dup()
    hosts, pids = _introduce(world)
    _unlink_shared_memory()
    return MpiWorld(
        rank=world.rank,
        size=world.size,
        communicator=MpiCommunicator(data),
        mailbox=MpiMailbox(letters),
        heartbeats=MpiMailbox(beats),
        hosts=hosts,
        pids=pids,
    )


def abort(code: int) -> None:
    """End every rank of the world with exit code `code`; what was printed before gets out."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
        time.sleep(_LAST_WORDS_S)
    finally:
        _load().COMM_WORLD.Abort(code)


def _load() -> Any:
    """The module mpi4py.MPI; importing it starts MPI, and Finalize runs when Python ends."""
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # mpi4py missing; no MPI library found
        raise CommError(f"MPI is not usable ({error}): pip install 'ddp[mpi]'") from error
    return MPI


def _introduce(world: MPI.Comm) -> tuple[list[str], list[int]]:
    """Host names and process ids of all ranks."""
    mine = struct.pack(f"<q{_HOST_BYTES}s", os.getpid(), socket.gethostname().encode())
    cards = np.zeros((world.size, len(mine)), np.uint8)
    world.Allgather(np.frombuffer(mine, np.uint8), cards)
    unpacked = [struct.unpack(f"<q{_HOST_BYTES}s", card.tobytes()) for card in cards]
    return [host.rstrip(b"\0").decode() for _, host in unpacked], [pid for pid, _ in unpacked]


def _unlink_shared_memory() -> None:
    """Take the name off the memory that MPICH shares between the ranks of this host.

    MPICH unlinks it when it ends well, and leaves 1-4 MB in /dev/shm for every job that aborts or
    is killed. All ranks have it mapped by now, which is all they need.
    """
    with contextlib.suppress(OSError):  # no /proc: not Linux
        mapped = Path("/proc/self/maps").read_text().split()
        for name in {word for word in mapped if word.startswith("/dev/shm/mpich_shm_")}:
            Path(name).unlink(missing_ok=True)


def _pause(waited_s: float, at_most_s: float) -> None:
    """Give the processor away: yield at first, then sleep for an eighth of what was waited.

    (time.sleep(0) would not be a yield: it takes 60 us on Linux, four exchanges of 16 KB.)
    """
    if waited_s < _YIELD_S:
        os.sched_yield()
    else:
        time.sleep(max(0.0, min(waited_s / 8, at_most_s, _LONGEST_SLEEP_S)))


class MpiCommunicator(Communicator):
    """All ranks of an MPI communicator, which must be used for nothing else."""

    def __init__(self, comm: MPI.Comm) -> None:
        self.rank = comm.rank
        self.size = comm.size
        self._comm = comm
        self._exchanges = 0
        self._open: set[MpiWork] = set()
        self._poker = _Poker(comm)

    def all_to_all(self, send: Sequence[Arrays], receive: Sequence[Arrays]) -> MpiWork:
        check_exchange(self.rank, send, receive, self.size)
        pending = [
            _Pending(peer, self._comm.Irecv(piece, peer), piece.nbytes)
            for peer in self._in_turn(-1)
            for piece in cut(receive[peer])
        ] + [
            _Pending(peer, self._comm.Isend(piece, peer), None)
            for peer in self._in_turn(1)
            for piece in cut(send[peer])
        ]
        work = MpiWork(self, self._exchanges, deque(pending))
        self._exchanges += 1
        self._open.add(work)
        self._poker.awake.set()
        return work

    def _in_turn(self, step: int) -> list[int]:
        """The peers, nearest first: rank r sends to r+1 first, which awaits r first."""
        return [(self.rank + step * i) % self.size for i in range(1, self.size)]

    def error(self) -> CommError | None:
        """What `cancel` was given, if it was called."""
        return self._cancelled

    def settle(self, work: MpiWork) -> None:
        """The exchange is over; with none open nobody need poke."""
        self._open.discard(work)
        if not self._open:
            self._poker.awake.clear()

    def close(self) -> None:
        """Receives in vain are cancelled; MPI gives the communicator itself back at its end.

        (Comm.Free is collective: after an error it might wait for a peer for ever.)
        """
        self._poker.stop()
        while self._open:
            self._open.pop().abandon()


class _Poker(threading.Thread):
    """Calls into MPI now and then while `awake` is set, so that it moves the open exchanges."""

    def __init__(self, comm: MPI.Comm) -> None:
        super().__init__(name="mpi-progress", daemon=True)
        self.awake = threading.Event()
        self._comm = comm
        self._stopped = False
        if comm.size > 1:
            self.start()

    def run(self) -> None:
        while self.awake.wait() and not self._stopped:
            self._comm.Iprobe()
            time.sleep(_POKE_S)

    def stop(self) -> None:
        self._stopped = True
        self.awake.set()
        if self.is_alive():
            self.join()


@dataclass(frozen=True)
class _Pending:
    """A piece under way to or from `peer`; `awaited_bytes` is None for one that is sent."""

    peer: int
    request: MPI.Request
    awaited_bytes: int | None


class MpiWork:
    """An exchange of one rank: complete when all its pieces are."""

    def __init__(
        self, communicator: MpiCommunicator, number: int, pending: deque[_Pending]
    ) -> None:
        self._communicator = communicator
        self._number = number
        self._pending = pending
        self._error: Exception | None = None

    def wait(self, timeout_s: float) -> None:
        start = time.monotonic()
        while not self.done():
            waited_s = time.monotonic() - start
            if waited_s >= timeout_s:
                awaited = {piece.peer for piece in self._pending if not piece.request.Get_status()}
                raise exchange_timeout(self._communicator.rank, self._number, timeout_s, awaited)
            _pause(waited_s, timeout_s - waited_s)
        error = self._communicator.error() or self._error
        if error is not None:
            raise error

    def done(self) -> bool:
        if self._communicator.error() or self._error:
            return True
        while self._pending and self._error is None and self._finish(self._pending[0]):
            self._pending.popleft()
        if self._pending:
            return self._error is not None
        self._communicator.settle(self)
        return True

    def _finish(self, piece: _Pending) -> bool:
        """Whether a piece is through; what came is checked for its length."""
        mpi = _load()
        status = mpi.Status()
        try:
            through = bool(piece.request.Test(status))
        except mpi.Exception as error:
            truncated = error.Get_error_class() == mpi.ERR_TRUNCATE
            self._error = self._mismatch(piece, "more") if truncated else self._broken(piece, error)
            return False
        if through and piece.awaited_bytes not in (None, status.Get_count(mpi.BYTE)):
            self._error = self._mismatch(piece, f"{status.Get_count(mpi.BYTE)} bytes")
        return through

    def _mismatch(self, piece: _Pending, sent: str) -> PeerProtocolError:
        return PeerProtocolError(
            f"rank {piece.peer} sent {sent} in exchange {self._number} where rank "
            f"{self._communicator.rank} awaited {piece.awaited_bytes} bytes: "
            "the ranks do not run the same program"
        )

    def _broken(self, piece: _Pending, error: Exception) -> CommError:
        return CommError(
            f"MPI failed in exchange {self._number} between ranks {self._communicator.rank} "
            f"and {piece.peer}: {error}"
        )

    def abandon(self) -> None:
        """Cancel what would still be received. A send cannot be cancelled."""
        for piece in self._pending:
            # A request that ended with an error is null, and false.
            if piece.awaited_bytes is not None and piece.request:
                piece.request.Cancel()
                piece.request.Free()


class MpiMailbox(Mailbox):
    """Letters, over an MPI communicator of their own."""

    def __init__(self, comm: MPI.Comm) -> None:
        self.rank = comm.rank
        self.size = comm.size
        self._comm = comm
        self._leaving: list[tuple[MPI.Request, bytes]] = []

    def post(self, rank: int, frames: Sequence[bytes | memoryview | Array]) -> None:
        letter = seal(frames)
        self._leaving.append((self._comm.Isend(letter, rank), letter))
        self._forget_sent()

    def _forget_sent(self) -> None:
        self._leaving = [(request, kept) for request, kept in self._leaving if not request.Test()]

    def poll(self, timeout_s: float) -> tuple[int, list[bytes]] | None:
        status = _load().Status()
        start = time.monotonic()
        while not self._comm.Iprobe(status=status):
            waited_s = time.monotonic() - start
            if waited_s >= timeout_s:
                return None
            self._forget_sent()
            _pause(waited_s, timeout_s - waited_s)
        letter = bytearray(status.Get_count(_load().BYTE))
        self._comm.Recv(letter, status.source)
        return status.source, unseal(letter)

    def close(self) -> None:
        """Wait a little for what is still leaving: the last letter may be the result of a run."""
        start = time.monotonic()
        while self._leaving and time.monotonic() - start < _LINGER_S:
            self._forget_sent()
            _pause(time.monotonic() - start, _LONGEST_SLEEP_S)
