"""Training as ranks of an MPI job: rank 0 hosts the coordinator, every rank is a worker.

MPI cannot go on without a rank, and a rank that merely raises leaves its peers in a collective
for ever. So every way out that is not orderly ends in `abort`, which ends all ranks, and a thread
on each rank listens to heartbeats: what is stopped or hangs is found and named.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from ddp.comm.communicator import Communicator
from ddp.comm.mpi import MpiWorld, abort, open_world
from ddp.config import Config
from ddp.errors import DdpError
from workers import messages as m
from workers.coordination import Coordination
from workers.embedded import EmbeddedLink
from workers.heartbeat import Pulse
from workers.hosting import report_end
from workers.link import COORDINATOR_RANK, MailboxLink
from workers.session import Session, StopFlag
from workers.worker_state import Parting

BEAT_S = 1.0
SILENCE_S = 10.0  # as cluster.heartbeat_s and .heartbeat_timeout_s, until the config is known
ABORT_GRACE_S = 3.0  # how long a rank lets rank 0 say what is wrong and abort
FAREWELL_S = 2.0
TURN_S = 0.2

Prepare = Callable[[], tuple[Config, Path]]


def run(prepare: Prepare, resume: bool) -> int:
    """Take part in the run as this process's rank; return the exit code.

    `prepare` gives the configuration and the run directory; it is called on rank 0 only, from
    which the others learn the configuration. Raises CommError where there is no MPI.
    """
    world = open_world()
    watch = Watch(world)
    watch.start()
    try:
        with StopFlag().listening() as stop:
            if world.rank == COORDINATOR_RANK:
                code = _lead(world, watch, stop, prepare, resume)
            else:
                code = _follow(world, watch, stop)
    except BaseException as error:
        traceback.print_exception(error)
        abort(1)
        raise
    watch.stop()
    world.close()
    return code


def _lead(world: MpiWorld, watch: Watch, stop: StopFlag, prepare: Prepare, resume: bool) -> int:
    try:
        config, out = prepare()
        coordination = Coordination(config, world.size, out, resume, "mpi", sys.stdout)
    except DdpError as error:
        print(f"ddp: {error}", file=sys.stderr, flush=True)
        _send_away(world)
        return 2
    session = _session(world, watch, stop, EmbeddedLink(coordination, world.mailbox))
    leave = session.run(rank=world.rank)
    session.close()
    code = report_end(coordination, leave.code)
    if not coordination.ended_well and not (code == 2 and _all_said_goodbye(world)):
        abort(code)
    return code


def _follow(world: MpiWorld, watch: Watch, stop: StopFlag) -> int:
    session = _session(world, watch, stop, MailboxLink(world.mailbox))
    leave = session.run(rank=world.rank)
    if leave.parting is Parting.FINISHED:
        session.close()
    elif leave.code == 2:  # wrong input: rank 0 says so once, and all leave in good order
        world.mailbox.post(COORDINATOR_RANK, m.to_frames(m.Goodbye()))
    else:
        if leave.parting is Parting.ENDED:  # rank 0 knows why, says so and aborts
            time.sleep(ABORT_GRACE_S)
        _say(world, world.rank, leave.reason)
        abort(leave.code)
    return leave.code


def _send_away(world: MpiWorld) -> None:
    """There is no run: let the other ranks end with the code for wrong input."""
    for rank in range(1, world.size):
        world.mailbox.post(rank, m.to_frames(m.Finish(code=2)))
    _all_said_goodbye(world)


def _all_said_goodbye(world: MpiWorld) -> bool:
    """Wait a little for the Goodbyes of all other ranks; whether they came."""
    awaited = set(range(1, world.size))
    deadline_s = time.monotonic() + FAREWELL_S
    while awaited and time.monotonic() < deadline_s:
        letter = world.mailbox.poll(0.1)
        if letter is not None and isinstance(m.worker_message(letter[1])[0], m.Goodbye):
            awaited.discard(letter[0])
    return not awaited


def _say(world: MpiWorld, rank: int, cause: str) -> None:
    where = f"rank {rank} ({world.hosts[rank]}, pid {world.pids[rank]})"
    print(f"ddp: {where}: {cause}", file=sys.stderr, flush=True)


def _session(
    world: MpiWorld, watch: Watch, stop: StopFlag, link: EmbeddedLink | MailboxLink
) -> Session:
    def join(setup: m.Setup) -> Communicator:
        watch.configure(setup)
        return world.communicator

    return Session(link, join, stop, patience_s=_turn_s(world.rank))


def _turn_s(rank: int) -> float:
    """How long a rank waits before it says what others may have noticed too."""
    return min(rank, 10) * TURN_S


class Watch(threading.Thread):
    """Rank 0 and every other rank hear each other's heart beat, or all ranks end."""

    def __init__(self, world: MpiWorld) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._world = world
        self._pulse: Pulse[int] = Pulse(BEAT_S, SILENCE_S)
        lead = world.rank == COORDINATOR_RANK
        self._peers = range(1, world.size) if lead else [COORDINATOR_RANK]
        self._stopped = threading.Event()

    def configure(self, setup: m.Setup) -> None:
        """Take over the intervals of the run's configuration."""
        cluster = setup.config["cluster"]
        self._pulse.interval_s = cluster["heartbeat_s"]
        self._pulse.limit_s = cluster["heartbeat_timeout_s"]

    def stop(self) -> None:
        self._stopped.set()
        self.join()

    def run(self) -> None:
        for peer in self._peers:
            self._pulse.heard(peer, time.monotonic())
        while not self._stopped.wait(0.1):
            letter = self._world.heartbeats.poll(0.0)
            while letter is not None:
                self._pulse.heard(letter[0], time.monotonic())
                letter = self._world.heartbeats.poll(0.0)
            now_s = time.monotonic()
            if self._pulse.is_due(now_s):
                for peer in self._peers:
                    self._world.heartbeats.post(peer, [b""])
            for peer in self._pulse.silent(now_s):
                time.sleep(_turn_s(self._world.rank))
                _say(self._world, peer, self._pulse.silence())
                abort(1)
