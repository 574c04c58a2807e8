"""What a worker may be told in which phase, and what it then does. Pure.

    JOINING --Setup--> PREPARING --(state received, if resumed)--> WAITING
    WAITING   --RunStep--> COMPUTING      --Evaluate, SendState--> WAITING    --Finish--> LEFT
    COMPUTING --Commit, go_on--> COMPUTING    --Commit--> WAITING
    anywhere  --Refused, Abort--> LEFT

An order that the table does not know in the present phase is the coordinator's mistake.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from ddp.comm.communicator import Array
from ddp.errors import PeerProtocolError
from workers import messages as m


class Phase(Enum):
    JOINING = "joining"
    PREPARING = "preparing its replica"
    WAITING = "waiting for orders"
    COMPUTING = "computing a step"
    LEFT = "gone"


# -- instructions -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BuildReplica:
    """Build model, data and communicator as the Setup says."""

    setup: m.Setup


@dataclass(frozen=True, slots=True)
class TakeState:
    """Keep a part of the state the run resumes from."""

    part: m.StatePart
    array: Array


@dataclass(frozen=True, slots=True)
class BecomeReady:
    """Load the state, if any came, and report Ready."""

    resumed: bool


@dataclass(frozen=True, slots=True)
class ComputeStep:
    """Compute the shards of `step` and report."""

    step: int


@dataclass(frozen=True, slots=True)
class CommitStep:
    """Apply or skip the computed step."""

    commit: m.Commit


@dataclass(frozen=True, slots=True)
class EvaluateShare:
    """Evaluate this rank's batches of the test set and report."""


@dataclass(frozen=True, slots=True)
class SendShare:
    """Send this rank's part of the state."""


class Parting(Enum):
    """In which way a worker leaves."""

    FINISHED = "in good order, with a goodbye"
    FAILED = "through its own failure, which the coordinator has been told"
    ENDED = "because the run has ended for it"


@dataclass(frozen=True, slots=True)
class Leave:
    """End with `code`; `reason` is for people, empty when FINISHED."""

    code: int
    parting: Parting = Parting.FINISHED
    reason: str = ""


Instruction: TypeAlias = (
    BuildReplica
    | TakeState
    | BecomeReady
    | ComputeStep
    | CommitStep
    | EvaluateShare
    | SendShare
    | Leave
)


@dataclass(slots=True)
class WorkerState:
    """Where a worker stands."""

    phase: Phase = Phase.JOINING
    step: int = -1  # computed or being computed

    def handle(self, message: m.FromCoordinator, arrays: Sequence[Array] = ()) -> list[Instruction]:
        """Take in one order; return what to do. Raises PeerProtocolError for a wrong one."""
        match self.phase, message:
            case _, m.Beat() | m.Pause():
                return []
            case _, m.Abort(reason=reason, code=code):
                return self._leave(Leave(code, Parting.ENDED, f"the run was ended: {reason}"))
            case Phase.JOINING, m.Refused(reason=reason):
                why = f"the coordinator refused this worker: {reason}"
                return self._leave(Leave(2, Parting.ENDED, why))
            case ((Phase.JOINING | Phase.PREPARING | Phase.WAITING), m.Finish(code=code)):
                return self._leave(Leave(code))
            case Phase.JOINING, m.Setup():
                return self._prepare(message)
            case Phase.PREPARING, m.StatePart() if len(arrays) == 1:
                return [TakeState(message, arrays[0])]
            case Phase.PREPARING, m.StateSent():
                self.phase = Phase.WAITING
                return [BecomeReady(resumed=True)]
            case Phase.WAITING, m.RunStep(step=step):
                return self._compute(step)
            case Phase.WAITING, m.Evaluate():
                return [EvaluateShare()]
            case Phase.WAITING, m.SendState():
                return [SendShare()]
            case Phase.COMPUTING, m.Commit(step=step) if step == self.step:
                return self._commit(message)
        raise PeerProtocolError(
            f"the coordinator sent {type(message).__name__} to a worker that is "
            f"{self.phase.value} (step {self.step})"
        )

    def _prepare(self, setup: m.Setup) -> list[Instruction]:
        if setup.resumed:
            self.phase = Phase.PREPARING
            return [BuildReplica(setup)]
        self.phase = Phase.WAITING
        return [BuildReplica(setup), BecomeReady(resumed=False)]

    def _compute(self, step: int) -> list[Instruction]:
        self.phase, self.step = Phase.COMPUTING, step
        return [ComputeStep(step)]

    def _commit(self, commit: m.Commit) -> list[Instruction]:
        if commit.go_on:
            return [CommitStep(commit), *self._compute(commit.step + 1)]
        self.phase = Phase.WAITING
        return [CommitStep(commit)]

    def _leave(self, leave: Leave) -> list[Instruction]:
        self.phase = Phase.LEFT
        return [leave]
