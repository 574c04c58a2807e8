"""Under mpiexec: a parent for each rank that outlives it and says how it ended.

mpiexec starts this parent, which forks the rank before anything heavy is loaded, forwards
signals to it and waits. It is needed because the ways in which a rank can vanish are badly told:

- MPICH's mpiexec kills all ranks when one dies, and may name the pid of one that it killed itself;
- a rank that leaves through `os._exit(0)` ends the job with exit code 0, as if it had succeeded.

The parent knows its child's true end, and that end is a failure unless the child said before
that it was done. The child dies with its parent.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from types import FrameType

from ddp.comm.detect import rank_name
from launcher.leash import leash

FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def guard_rank(environ: Mapping[str, str]) -> Callable[[], None]:
    """Go on in a child process, with this one as its guard.

    Returns in the child only, with a function to call when the rank has done its work.
    """
    die_with_parent = leash()
    reader, writer = os.pipe()
    # Until parent and child have their own ways with signals, none may arrive.
    signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
    child = os.fork()
    if child:
        os.close(writer)
        _watch(child, reader, f"rank {rank_name(environ)} ({socket.gethostname()}, pid {child})")
    os.close(reader)
    os.setsid()  # a signal to the whole group reaches the rank through its guard, once
    if die_with_parent is not None:
        die_with_parent()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)

    def done() -> None:
        os.write(writer, b".")

    return done


def _watch(child: int, reader: int, name: str) -> None:
    """Wait for the child, say how it ended if that was not in order, and end as it did."""
    received = set()

    def forward(number: int, frame: FrameType | None) -> None:
        received.add(number)
        with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
            os.kill(child, number)

    for signum in FORWARDED:
        signal.signal(signum, forward)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if -code in received:  # by mpiexec, which ends the ranks when another has failed
        cause, code = "", 128 - code
    elif code < 0:
        cause, code = f"was killed by {signal.Signals(-code).name}", 128 - code
    elif code == 0 and os.read(reader, 1) != b".":
        cause, code = "left before the run was over (exit code 0)", 1
    else:
        cause = ""
    if cause:
        print(f"ddp: {name} {cause}", file=sys.stderr, flush=True)
    os._exit(code)
