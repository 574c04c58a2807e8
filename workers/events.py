"""What can happen to a coordinator, and what it can order: its whole vocabulary. Pure.

Events go into `CoordinatorState.handle`, instructions come out; `workers.coordination` carries
them out. To add an instruction: define it here, give it out there, carry it out in coordination.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ddp.comm.communicator import Array
from workers import messages as m

Member: TypeAlias = str  # how the transport knows a worker: any text


@dataclass(slots=True)
class Totals:
    """Sums over the steps of the epoch in progress; part of a checkpoint."""

    loss: float = 0.0  # of samples' losses
    correct: int = 0
    samples: int = 0

    @property
    def mean_loss(self) -> float | None:
        return self.loss / self.samples if self.samples else None

    @property
    def accuracy(self) -> float | None:
        return self.correct / self.samples if self.samples else None


# -- events -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Received:
    """A message of a worker's."""

    member: Member
    message: m.FromWorker
    arrays: Sequence[Array] = ()


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker is gone or silent; `cause` completes 'rank 1 …'."""

    member: Member
    cause: str


@dataclass(frozen=True, slots=True)
class StopRequested:
    """This process was asked to end."""

    signal: str


@dataclass(frozen=True, slots=True)
class CheckpointWritten:
    """The checkpoint ordered last is on disk, whole."""


@dataclass(frozen=True, slots=True)
class HostFailed:
    """The coordinator's own process cannot go on (a full disk, say)."""

    cause: str
    by_user: bool = False


@dataclass(frozen=True, slots=True)
class Tick:
    """Time, in seconds of a clock that never goes back."""

    now_s: float


Event: TypeAlias = Received | Lost | StopRequested | CheckpointWritten | HostFailed | Tick


# -- instructions -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    member: Member
    message: m.FromCoordinator


@dataclass(frozen=True, slots=True)
class SendCheckpoint:
    """Send the state the run resumes from to `member`, as StatePart … StateSent."""

    member: Member


@dataclass(frozen=True, slots=True)
class RecordStep:
    """One line of metrics: a step is committed on every worker."""

    step: int
    epoch: int
    loss: float
    correct: int | None
    samples: int
    norm: float
    clip: float
    lr: float
    applied: bool
    seconds: tuple[dict[str, float], ...]  # by rank: forward, backward, waiting, optimizer


@dataclass(frozen=True, slots=True)
class RecordEvaluation:
    """The test set's mean loss and the share of right answers (None: not a classification)."""

    step: int
    loss: float
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class WriteCheckpoint:
    """All parts of the state after `step` steps have arrived: write them."""

    step: int
    totals: Totals
    kernel: str  # the BLAS kernel of the workers
    kernels: str  # of their operations (ddp.kernels)
    skipped: int  # steps of the whole run


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell the people."""

    text: str


@dataclass(frozen=True, slots=True)
class Begin:
    """Training begins (or goes on) at `step` of `total_steps`, `epoch_steps` to an epoch."""

    step: int
    total_steps: int
    epoch_steps: int
    workers: tuple[str, ...] = ()  # by rank: "rank 0 (host, pid 123)"


@dataclass(frozen=True, slots=True)
class End:
    """The run is over. `problem` is empty when it went well."""

    code: int
    problem: str = ""


Instruction: TypeAlias = (
    Send | SendCheckpoint | RecordStep | RecordEvaluation | WriteCheckpoint | Announce | Begin | End
)
