"""The vocabulary between coordinator and workers: one frozen struct per message.

A message travels as a header (its fields, checked on arrival against the types below) followed
by the arrays it carries, if any; see ddp.wire. Nothing that arrives is trusted before that.
To add a kind: define it here, add it to one of the two unions at the end, and handle it in
`coordinator_state` or `worker_state`; both refuse what they do not expect.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import msgspec

from ddp import wire
from ddp.comm.communicator import Array
from ddp.errors import PeerProtocolError
from ddp.results import BatchResult, Seconds, ShardResult

MAX_FRAME_BYTES = 64 << 20  # the largest honest frame is a part of the state, 16 MiB


class Message(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Base of all messages."""


# -- worker -> coordinator --------------------------------------------------------------------


class Hello(Message, frozen=True, kw_only=True):
    """Worker -> coordinator: let me in."""

    version: str
    host: str
    pid: int
    kernel: str  # the BLAS kernel and threads: they decide bits (design: "what else decides bits")
    address: str = ""  # where the other workers reach this one; empty: the transport knows
    rank: int | None = None  # the rank it must have; None: any


class Ready(Message, frozen=True, kw_only=True):
    """Worker -> coordinator: model and data stand; what follows must be equal on all workers."""

    kernels: str  # of the operations that may be had compiled (ddp.kernels)
    plan: str  # hash of names, shapes, layout and buckets
    state: str  # fingerprint of parameters and buffers
    train_samples: int
    test_samples: int  # 0: there is no test set


class StepReport(Message, frozen=True, kw_only=True):
    """Worker -> coordinator: my shards of `step` are computed and my slices reduced.

    Carries one array: the sums of squares of my blocks (float64).
    """

    step: int
    shards: tuple[ShardResult, ...]
    unused: tuple[int, ...]  # parameters that got no gradient from my shards
    non_finite: tuple[int, str] | None  # shard, and what: "the loss" …
    seconds: Seconds


class Committed(Message, frozen=True, kw_only=True):
    """Worker -> coordinator: `step` is applied here (or skipped, as ordered)."""

    step: int
    optimizer_s: float


class Decided(Message, frozen=True, kw_only=True):
    """Worker -> coordinator: steps that all workers have decided and committed by themselves.

    Carries one array (steps, blocks): the sums of squares of my blocks (float64).
    """

    reports: tuple[StepReport, ...]
    optimizer_s: tuple[float, ...]  # of each step


class EvaluationReport(Message, frozen=True, kw_only=True):
    """Worker -> coordinator: my batches of the test set."""

    batches: tuple[BatchResult, ...]


class StatePart(Message, frozen=True, kw_only=True):
    """Worker -> coordinator, or back on resume: a stretch of one array of the state."""

    kind: str  # "model" or "optimizer"
    name: str
    shape: tuple[int, ...]
    start: int  # in elements, of the flattened array; the array carried says how many


class StateSent(Message, frozen=True, kw_only=True):
    """Either way: that was all of the state."""


class Stopping(Message, frozen=True, kw_only=True):
    """Worker -> coordinator: I was asked to end (`signal`: SIGTERM, SIGINT)."""

    signal: str


class Failed(Message, frozen=True, kw_only=True):
    """Worker -> coordinator: I cannot go on."""

    cause: str  # one sentence
    by_user: bool = False  # the input is wrong (exit code 2), not the run (1)
    blames: int | None = None  # the rank whose loss is all that is wrong here


class Goodbye(Message, frozen=True, kw_only=True):
    """Worker -> coordinator: I leave in good order: finished, or stopped before the run began."""

    signal: str = ""  # what stopped me; empty: I have finished


# -- coordinator -> worker --------------------------------------------------------------------


class Refused(Message, frozen=True, kw_only=True):
    """Coordinator -> worker: you cannot take part."""

    reason: str


class Setup(Message, frozen=True, kw_only=True):
    """Coordinator -> worker: your place, and everything you need to build your replica."""

    rank: int
    size: int
    config: dict[str, Any]
    addresses: tuple[str, ...]  # of all workers, by rank
    token: str  # of this run; strangers on the data path do not know it
    resumed: bool  # the state follows, as StatePart … StateSent


class RunStep(Message, frozen=True, kw_only=True):
    """Coordinator -> worker: compute your shards of `step`."""

    step: int


class Commit(Message, frozen=True, kw_only=True):
    """Coordinator -> worker: all reports of `step` are in; do this."""

    step: int
    apply: bool  # False: skip, the step was not finite somewhere
    lr: float
    clip: float  # coefficient for all gradients
    unused: tuple[int, ...]  # parameters without a gradient on any worker
    go_on: bool  # True: compute step + 1 at once; False: wait for orders
    until: int = 0  # steps below this one are the workers' to decide
    total_steps: int = 0  # of the run; only with `until`


class Pause(Message, frozen=True, kw_only=True):
    """Coordinator -> worker: decide no further step by yourselves."""


class Evaluate(Message, frozen=True, kw_only=True):
    """Coordinator -> worker: evaluate your part of the test set."""


class SendState(Message, frozen=True, kw_only=True):
    """Coordinator -> worker: send your part of the state."""


class Finish(Message, frozen=True, kw_only=True):
    """Coordinator -> worker: the run is over; leave with `code`."""

    code: int


class Abort(Message, frozen=True, kw_only=True):
    """Coordinator -> worker: the run has failed; leave now with `code`."""

    reason: str
    code: int = 1


class Beat(Message, frozen=True, kw_only=True):
    """Either way, apart from all else: I am alive."""


FromWorker = (
    Hello
    | Ready
    | StepReport
    | Committed
    | Decided
    | EvaluationReport
    | StatePart
    | StateSent
    | Stopping
    | Failed
    | Goodbye
    | Beat
)
FromCoordinator = (
    Refused
    | Setup
    | StatePart
    | StateSent
    | RunStep
    | Commit
    | Pause
    | Evaluate
    | SendState
    | Finish
    | Abort
    | Beat
)


_Description = list[tuple[str, list[int]]]  # of the arrays, as in ddp.wire
_encoder = msgspec.msgpack.Encoder()
_from_worker = msgspec.msgpack.Decoder(tuple[str, int, FromWorker, _Description])
_from_coordinator = msgspec.msgpack.Decoder(tuple[str, int, FromCoordinator, _Description])


def to_frames(message: Message, arrays: Sequence[Array] = ()) -> list[Any]:
    """The message as frames, as `wire.pack` makes them; arrays are not copied."""
    described = wire.describe(arrays)
    first = _encoder.encode((wire.MAGIC, wire.VERSION, message, described))
    if len(first) > wire.DEFAULT_LIMITS.header_bytes:
        return wire.pack(msgspec.to_builtins(message), arrays)  # which says what is wrong with it
    return [first, *wire.frames_of(arrays)]


def worker_message(frames: Sequence[bytes]) -> tuple[FromWorker, list[Array]]:
    """What a worker sent. Raises PeerProtocolError for anything else."""
    return _from_frames(frames, _from_worker, FromWorker)


def coordinator_message(frames: Sequence[bytes]) -> tuple[FromCoordinator, list[Array]]:
    """What the coordinator sent. Raises PeerProtocolError for anything else."""
    return _from_frames(frames, _from_coordinator, FromCoordinator)


def _from_frames(
    frames: Sequence[bytes], decoder: msgspec.msgpack.Decoder[Any], kinds: Any
) -> tuple[Any, list[Array]]:
    """Decoded and checked against the types in one go; what fails is looked at more closely."""
    if frames and len(frames[0]) <= wire.DEFAULT_LIMITS.header_bytes:
        with contextlib.suppress(msgspec.MsgspecError, RecursionError):
            magic, version, message, described = decoder.decode(frames[0])
            if (magic, version) == (wire.MAGIC, wire.VERSION):
                return message, wire.read_arrays(described, frames[1:])
    header, arrays = wire.unpack(frames)
    try:
        return msgspec.convert(header, kinds), arrays
    except msgspec.ValidationError as error:
        raise PeerProtocolError(f"the message is none of the protocol's: {error}") from error
