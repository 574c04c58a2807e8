"""Run by mpiexec with the name of a failure: what one rank does wrong must end all ranks."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from ddp.comm.mpi import MpiWorld, abort, open_world
from ddp.errors import PeerProtocolError

LIMIT_S = 20.0


def too_long(world: MpiWorld) -> None:
    """Rank 0 sends more than the others await: they are told, in one sentence."""
    _disagree(
        world, sent=5, awaited=4, text="rank 0 sent more in exchange 0 where rank 1 awaited 4"
    )


def too_short(world: MpiWorld) -> None:
    _disagree(world, sent=3, awaited=4, text="rank 0 sent 3 bytes in exchange 0 where rank 1 aw")


def _disagree(world: MpiWorld, sent: int, awaited: int, text: str) -> None:
    buffer = np.zeros(sent if world.rank == 0 else awaited, np.uint8)
    work = world.communicator.broadcast([buffer], root=0)
    if world.rank == 0:
        work.wait(LIMIT_S)
    else:
        with pytest.raises(PeerProtocolError, match=text):
            work.wait(LIMIT_S)
    world.close()
    print(f"rank {world.rank} was told")


def exception(world: MpiWorld) -> None:
    """Rank 1 raises; `python -m mpi4py` must take the others out of their wait."""
    if world.rank == 1:
        raise ZeroDivisionError("the culprit")
    world.communicator.barrier(LIMIT_S)


def aborted(world: MpiWorld) -> None:
    """Rank 1 gives up; its last words, still in a buffer, must get out."""
    if world.rank == 1:
        sys.stdout.write("the last words of rank 1")
        abort(7)
    world.communicator.barrier(LIMIT_S)


{f.__name__: f for f in (too_long, too_short, exception, aborted)}[sys.argv[1]](open_world())
