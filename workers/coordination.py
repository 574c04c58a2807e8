"""The coordinator's shell, apart from its transport: carries out what CoordinatorState says.

It owns what the coordinator touches: the run directory with its checkpoints and metrics, the
progress line, the clock. How a message reaches a worker is handed in (`post`).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TextIO

from ddp import checkpoint
from ddp.checkpoint import RunDirectory, Snapshot
from ddp.comm.communicator import Array
from ddp.config import Config, differences, from_dict, resolve_shards, value_of
from ddp.errors import CheckpointError, PeerProtocolError
from workers import events as c
from workers import messages as m
from workers.assembly import Assembly, parts
from workers.coordinator_state import CoordinatorState
from workers.records import Records

FIXED_WORLDS = ("solo", "threads", "mpi")
Clock = Callable[[], float]


class Post(Protocol):
    """Send a message to a member."""

    def __call__(
        self, member: str, message: m.FromCoordinator, arrays: Sequence[Array] = ()
    ) -> None: ...


def not_connected(member: str, message: m.FromCoordinator, arrays: Sequence[Array] = ()) -> None:
    raise AssertionError("the transport has not set `post`")


class Coordination:
    """One run, from the first Hello to the last Goodbye."""

    post: Post = staticmethod(not_connected)

    def __init__(
        self,
        config: Config,
        size: int,
        out: Path,
        resume: bool,
        transport: str,
        stream: TextIO,
        clock: Clock = time.monotonic,
    ) -> None:
        """Claim the run directory `out` and, with `resume`, load its newest whole checkpoint.

        Raises ConfigError and CheckpointError; nothing has been written then.
        """
        self._clock = clock
        self._directory: RunDirectory = checkpoint.claim(out, resume)
        try:
            self._snapshot, passed_over = checkpoint.newest(out) if resume else (None, [])
            if passed_over and self._snapshot is None:
                raise CheckpointError(
                    f"no checkpoint in {out} is whole ({passed_over[0]}): begin anew with "
                    "another --out"
                )
            self.config = _config_in_force(config, size, self._snapshot)
            self._records = Records(self.config, size, out, transport, stream, clock)
            for problem in passed_over:
                self._records.announce(f"passed over: {problem}")
            self._records.start(self._snapshot, resume)
            self.state = _initial_state(self.config, size, self._snapshot)
            self.state.fixed = transport in FIXED_WORLDS
        except BaseException:
            self._directory.close()
            raise
        self._assembly = Assembly()
        self.ending: c.End | None = None

    @property
    def is_over(self) -> bool:
        return self.ending is not None

    @property
    def ended_well(self) -> bool:
        """Whether the run is over and every worker has left in good order (also when stopped)."""
        return self.ending is not None and self.ending.code not in (1, 2)

    def handle(self, event: c.Event) -> None:
        """Let the state machine judge an event, and carry out what it says.

        Raises CheckpointError when the disk refuses what the run leaves behind.
        """
        if isinstance(event, c.Received) and isinstance(event.message, m.StatePart):
            if event.member in self.state.workers:  # not a stranger's
                self._take_part(event)
            return
        now = c.Tick(self._clock())  # first, so that new limits count from now
        for instruction in (*self.state.handle(now), *self.state.handle(event)):
            self._carry_out(instruction)

    def tick(self) -> None:
        """Tell the state machine the time."""
        for instruction in self.state.handle(c.Tick(self._clock())):
            self._carry_out(instruction)

    def lost(self, member: str, cause: str) -> None:
        """A worker is gone, silent, or talks nonsense."""
        self.handle(c.Lost(member, cause))

    def announce(self, text: str) -> None:
        """Tell the people."""
        self._records.announce(text)

    def close(self) -> None:
        """Give back the run directory and finish the progress line."""
        self._records.close()
        self._directory.close()

    def _carry_out(self, instruction: c.Instruction) -> None:
        match instruction:
            case c.Send(member, message):
                self.post(member, message)
            case c.SendCheckpoint(member):
                self._send_checkpoint(member)
            case c.WriteCheckpoint():
                self._write_checkpoint(instruction)
            case c.RecordStep():
                with self._on_disk():
                    self._records.step(instruction, self.state.totals)
            case c.RecordEvaluation():
                self._records.evaluation(instruction)
            case c.Announce(text):
                self._records.announce(text)
            case c.Begin():
                with self._on_disk():
                    self._records.begin(instruction)
            case c.End():
                self._end(instruction)
            case _:
                raise TypeError(instruction)

    @contextmanager
    def _on_disk(self) -> Iterator[None]:
        """What the disk refuses is told in a sentence."""
        try:
            yield
        except OSError as error:
            path = self._directory.path
            raise CheckpointError(f"{path}: could not be written: {error}") from error

    def _end(self, end: c.End) -> None:
        self.ending = end
        if end.code != 0:
            return
        try:
            with self._on_disk():
                self._records.finish(self._snapshot)
        except CheckpointError as error:  # nobody is left to be told but the people
            self.ending = c.End(2, f"the run is complete but for its summary: {error}")

    # -- state ----------------------------------------------------------------------------------

    def _take_part(self, event: c.Received) -> None:
        assert isinstance(event.message, m.StatePart)
        try:
            (array,) = event.arrays
            self._assembly.add(event.message, array)
        except (PeerProtocolError, ValueError) as error:
            self.lost(event.member, str(error))

    def _send_checkpoint(self, member: str) -> None:
        assert self._snapshot is not None
        for kind, arrays in (
            ("model", self._snapshot.model),
            ("optimizer", self._snapshot.optimizer),
        ):
            for part, array in parts(kind, arrays):
                self.post(member, part, [array])
        self.post(member, m.StateSent())

    def _write_checkpoint(self, order: c.WriteCheckpoint) -> None:
        model, optimizer = self._assembly.take()
        self._snapshot = Snapshot(
            step=order.step,
            model=model,
            optimizer=optimizer,
            state=self._records.checkpoint_state(order),
            blas_kernel=order.kernel,
        )
        written = checkpoint.save(self._directory.path, self._snapshot)
        checkpoint.prune(self._directory.path, self.config.checkpoint.keep, whole=written)
        self.handle(c.CheckpointWritten())


def _config_in_force(config: Config, size: int, snapshot: Snapshot | None) -> Config:
    """The configuration with its shards decided; on resume it must agree with the checkpoint's."""
    if snapshot is None:
        return resolve_shards(config, size)
    before = from_dict(snapshot.state["config"])
    config = resolve_shards(config, size, before.train.shards)
    different = differences(before, config)
    if different:
        key = different[0]
        raise CheckpointError(
            f"'{key}' is {value_of(config, key)!r}, the checkpoint has {value_of(before, key)!r}: "
            "going on would give neither run's result; put it back, or begin anew with another "
            "--out"
        )
    return config


def _initial_state(config: Config, size: int, snapshot: Snapshot | None) -> CoordinatorState:
    token = secrets.token_hex(16)
    if snapshot is None:
        return CoordinatorState(config, size, token)
    return CoordinatorState(
        config,
        size,
        token,
        step=snapshot.step,
        totals=c.Totals(**snapshot.state["totals"]),
        resumed=True,
        kernel=snapshot.state["blas_kernel"],
        kernels=snapshot.state.get("kernels", ""),
        skipped=snapshot.state["skipped"],
    )
