"""When to end a run and whom to blame: the decisions of `launcher.local`, without a process.

Events go in, signals to send come out; time enters as a number. The rules:

- The first failure ends the run. The other workers are killed: what they hold is elsewhere too.
  The coordinator may be writing a checkpoint. It sees them go and ends by itself; if it has not
  after `GRACE_S`, it is killed as well.
- The earliest cause is to blame, and one process alone. A death by signal is a cause for certain
  and acted on at once. An exit code may be the consequence of somebody else's failure, so there
  is a moment (`SETTLE_S`) in which the coordinator may say who it was: it has seen the messages.
- A worker may leave without a failure only together with the others: one that is gone for
  `LEAVE_S` while others go on has left early, and that is a failure too.
- When the coordinator is done the workers have `DRAIN_S` to leave.
- A signal from the user goes to the coordinator, which checkpoints at the next step border and
  ends the run. The second one kills.

Left out: how processes are started, read and reaped (`launcher.local`).
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from launcher.output import SENTENCE
from launcher.plan import COORDINATOR

ABOUT_COORDINATOR = "the coordinator at "  # how a worker begins that finds it gone or silent

SETTLE_S = 0.5
LEAVE_S = 2.0
DRAIN_S = 5.0
GRACE_S = 2.0  # with SETTLE_S or LEAVE_S: everybody is gone in less than 5 s

DONE = 0
FAILED = 1
BAD_INPUT = 2
STOPPED = (128 + signal.SIGINT, 128 + signal.SIGTERM)  # stopped on request, after a checkpoint


@dataclass(frozen=True, slots=True)
class Ended:
    """Process `index` of the plan is gone; `returncode` is negative for a signal, as in Popen.

    `last_words` is what it said about its end: a sentence ("ddp: …"), the last line of a
    traceback, or "".
    """

    index: int
    returncode: int
    last_words: str
    now_s: float


@dataclass(frozen=True, slots=True)
class StopAsked:
    """The user pressed Ctrl-C, or somebody sent the launcher SIGTERM."""

    signum: int
    now_s: float


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""

    now_s: float


Event = Ended | StopAsked | Tick


@dataclass(frozen=True, slots=True)
class Send:
    """Instruction: send `signum` to process `index`."""

    index: int
    signum: int


class Phase(Enum):
    RUNNING = "everybody is at work"
    LEAVING = "a worker has left without a failure; the others should follow"
    DRAINING = "the coordinator is done; the workers should leave"
    SETTLING = "something failed; who was it?"
    ENDING = "the workers have been killed; the coordinator should end"
    KILLING = "everybody has been killed"


@dataclass(frozen=True, slots=True)
class Blame:
    """Process `index` ended the run; `cause` goes on from its name, as in "was killed by SIGKILL".

    When `is_verdict`, `cause` is a whole sentence: the coordinator's about the run, or about it.
    """

    index: int
    cause: str
    exit_code: int = FAILED
    is_verdict: bool = False


@dataclass(slots=True)
class SupervisorState:
    """What the supervisor knows; `handle` is the only way to change it."""

    roles: Sequence[str]
    phase: Phase = Phase.RUNNING
    deadline_s: float | None = None
    stop_signal: int | None = None
    blame: Blame | None = None
    running: set[int] = field(init=False)
    ends: list[Ended] = field(default_factory=list)  # those we have not caused, earliest first

    def __post_init__(self) -> None:
        self.running = set(range(len(self.roles)))

    def handle(self, event: Event) -> list[Send]:
        """Take in what happened; return the signals to send."""
        match event:
            case Ended():
                return self._ended(event)
            case StopAsked():
                return self._stop(event)
            case Tick():
                return self._tick(event.now_s)

    @property
    def exit_code(self) -> int:
        """The launcher's own exit code, once nobody is running."""
        if self.blame is not None:
            return self.blame.exit_code
        if self.stop_signal is not None:
            return 128 + self.stop_signal
        return max((end.returncode for end in self.ends), default=DONE)

    # -- events ------------------------------------------------------------------------------

    def _ended(self, end: Ended) -> list[Send]:
        self.running.discard(end.index)
        if self.phase in (Phase.ENDING, Phase.KILLING):
            return []  # by our own hand
        self.ends.append(end)
        if end.returncode < 0:
            return self._end(self._blame(end), end.now_s)
        if _is_well(end):
            self._left_well(end)
        elif self.phase is not Phase.SETTLING:
            self._enter(Phase.SETTLING, end.now_s + SETTLE_S)
        if not self.running:
            self.blame = self._earliest_cause()
        return []

    def _left_well(self, end: Ended) -> None:
        if self.phase is Phase.SETTLING:
            return
        if self._is_coordinator(end.index):
            self._enter(Phase.DRAINING, end.now_s + DRAIN_S)
        elif self.phase is Phase.RUNNING and self.stop_signal is None:
            self._enter(Phase.LEAVING, end.now_s + LEAVE_S)
        if self.phase is Phase.LEAVING and all(map(self._is_coordinator, self.running)):
            self._enter(Phase.RUNNING)  # they left together; the coordinator has work to do

    def _stop(self, event: StopAsked) -> list[Send]:
        if self.stop_signal is not None:
            return self._kill()
        self.stop_signal = event.signum
        if self.phase in (Phase.ENDING, Phase.KILLING):
            return []
        if self.phase is Phase.LEAVING:
            self._enter(Phase.RUNNING)  # who has left was told to stop as well
        coordinators = list(filter(self._is_coordinator, sorted(self.running)))
        return [Send(i, event.signum) for i in coordinators or sorted(self.running)]

    def _tick(self, now_s: float) -> list[Send]:
        if not self.running or self.deadline_s is None or now_s < self.deadline_s:
            return []
        match self.phase:
            case Phase.ENDING:
                return self._kill()
            case Phase.DRAINING:  # the first of those still here stands for all
                late = Blame(min(self.running), "did not leave after the run was over")
                return self._end(late, now_s)
            case Phase.LEAVING:
                first = self.ends[0]
                cause = f"left before the run was over (exit code {first.returncode})"
                return self._end(Blame(first.index, cause), now_s)
            case _:
                return self._end(self._earliest_cause(), now_s)

    # -- transitions -------------------------------------------------------------------------

    def _enter(self, phase: Phase, deadline_s: float | None = None) -> None:
        self.phase, self.deadline_s = phase, deadline_s

    def _end(self, blame: Blame | None, now_s: float) -> list[Send]:
        self.blame = blame
        self._enter(Phase.ENDING, now_s + GRACE_S)
        workers = [i for i in sorted(self.running) if not self._is_coordinator(i)]
        return [Send(i, signal.SIGKILL) for i in workers]

    def _kill(self) -> list[Send]:
        self._enter(Phase.KILLING)
        return [Send(i, signal.SIGKILL) for i in sorted(self.running)]

    # -- judgement ---------------------------------------------------------------------------

    def _earliest_cause(self) -> Blame | None:
        """Who failed first; the coordinator's own sentence goes before what exit codes say."""
        failed = [end for end in self.ends if not _is_well(end)]
        verdicts = [end for end in failed if self._is_verdict(end)]
        return self._blame((verdicts or failed)[0]) if failed else None

    def _blame(self, end: Ended) -> Blame:
        if end.returncode < 0:
            return Blame(end.index, f"was killed by {_signal_name(-end.returncode)}")
        exit_code = BAD_INPUT if end.returncode == BAD_INPUT else FAILED
        words = end.last_words.removeprefix(SENTENCE)
        if self._is_verdict(end) or words.startswith(ABOUT_COORDINATOR):
            return Blame(end.index, words, exit_code, is_verdict=True)
        why = f": {words}" if words else ""
        return Blame(end.index, f"failed with exit code {end.returncode}{why}", exit_code)

    def _is_verdict(self, end: Ended) -> bool:
        return self._is_coordinator(end.index) and end.last_words.startswith(SENTENCE)

    def _is_coordinator(self, index: int) -> bool:
        return self.roles[index] == COORDINATOR


def _is_well(end: Ended) -> bool:
    return end.returncode in (DONE, *STOPPED)


def _signal_name(signum: int) -> str:
    try:
        return signal.Signals(signum).name
    except ValueError:  # a real-time signal
        return f"signal {signum}"
