"""The coordinator's decisions: events in, instructions out. Pure.

The coordinator never sees a gradient: it lets workers in, gives them ranks, collects one report per
rank and step, computes the global norm and the clip coefficient from the reported sums of squares,
and orders the step to be applied or skipped. Up to the next border it allows the workers to decide
by themselves (`stretch`), and notes down what they report. At step borders it has the test set
evaluated and checkpoints written. It keeps the ledger of committed steps and the epoch's totals.

    JOINING --all there--> PREPARING --all ready--> STEPPING <--> BORDER --> LEAVING --> OVER

Rules: whatever changes a decision is in this file or in the pure functions it calls (`roster`:
who may take part; `verdict`: what the reports of a step say). Time comes in as `Tick(now_s)`;
what goes out is a list of instructions (`events`) that `workers.coordination` carries out. A
wait that can last has a limit (`_deadline_s`) and a sentence that says who is awaited.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from ddp.comm.communicator import Array
from ddp.config import Config, to_dict
from ddp.data.order import steps_per_epoch
from ddp.results import exact_sum, summarize
from ddp.schedule import learning_rate
from workers import messages as m
from workers import roster, verdict
from workers.events import (
    Announce,
    Begin,
    CheckpointWritten,
    End,
    Event,
    HostFailed,
    Instruction,
    Lost,
    Member,
    Received,
    RecordEvaluation,
    RecordStep,
    Send,
    SendCheckpoint,
    StopRequested,
    Tick,
    Totals,
    WriteCheckpoint,
)
from workers.roster import DecidedStep, Worker

STRETCH = 1000  # steps that workers may decide by themselves before they ask again
SUSPICION_S = 1.0  # how long a lost worker's own last words are waited for
LEAVING_LIMIT_S = 5.0  # how long Goodbyes are awaited before the run ends without them


class Phase(Enum):
    JOINING = "waiting for workers to join"
    PREPARING = "waiting for workers to build their replicas"
    STEPPING = "waiting for the reports of a step"
    BORDER = "between steps"
    LEAVING = "waiting for workers to leave"
    OVER = "over"


@dataclass(slots=True)
class CoordinatorState:
    """A run in progress. `step` is the number of steps committed or skipped so far."""

    config: Config
    size: int
    token: str
    step: int = 0
    totals: Totals = field(default_factory=Totals)
    resumed: bool = False
    kernel: str = ""  # the BLAS kernel of the checkpoint
    kernels: str = ""  # of its operations
    skipped: int = 0  # steps of the whole run
    fixed: bool = False  # the workers are given; whom we refuse nobody can replace
    phase: Phase = Phase.JOINING
    workers: dict[Member, Worker] = field(default_factory=dict)
    ledger: RecordStep | None = None  # ordered, not yet committed everywhere
    _tasks: list[Callable[[], list[Instruction]]] = field(default_factory=list)
    _stop: str = ""  # the signal that asked for the end, and of whom
    _suspicion: tuple[Worker, str] | None = None
    _skipped: int = 0  # steps in a row
    _code: int = 0
    _saved: int = -1  # the step whose checkpoint was ordered last
    _until: int = 0  # steps below this one are the workers' to decide (workers.stretch)
    _total_steps: int = 0
    _epoch_steps: int = 0
    _is_tested: bool = False  # whether there is a test set
    _now_s: float = 0.0
    _deadline_s: float = math.inf

    def handle(self, event: Event) -> list[Instruction]:
        """Take in one event; return what is to be done about it, in order."""
        match event:
            case Tick(now_s):
                return self._on_tick(now_s)
            case Received(member, message, arrays):
                return self._on_message(member, message, arrays)
            case Lost(member, cause):
                return self._on_lost(member, cause)
            case StopRequested(name):
                return self._on_stop(name, "the coordinator")
            case CheckpointWritten():
                return self._next_task()
            case HostFailed(cause, by_user):
                return self._fail(None, cause, 2 if by_user else 1)

    @property
    def by_rank(self) -> list[Worker]:
        return sorted(self.workers.values(), key=lambda worker: worker.rank)

    # -- time --

    def _on_tick(self, now_s: float) -> list[Instruction]:
        if self._deadline_s == math.inf and self.phase is Phase.JOINING:
            self._deadline_s = now_s + self.config.cluster.join_timeout_s
        self._now_s = now_s
        if now_s < self._deadline_s or self.phase is Phase.OVER:
            return []
        if self.phase is Phase.LEAVING:
            return self._end()
        if self._suspicion is not None:
            return self._fail(*self._suspicion)
        return self._fail(None, self._overdue())

    def _overdue(self) -> str:
        """The sentence for a limit that has passed: whom it waited for, and what to do."""
        if self.phase is Phase.JOINING:
            return (
                f"{len(self.workers)} of {self.size} workers joined within "
                f"{self.config.cluster.join_timeout_s:g} s (cluster.join_timeout_s): start the "
                "missing ones with `ddp worker --coordinator ADDRESS`"
            )
        awaited = ", ".join(str(worker) for worker in self._awaited())
        return (
            f"{self.phase.value}, step {self.step}: nothing from {awaited} within "
            f"{self.config.cluster.exchange_timeout_s:g} s (cluster.exchange_timeout_s)"
        )

    def _awaited(self) -> list[Worker]:
        return [worker for worker in self.by_rank if not self._has_answered(worker)]

    def _has_answered(self, worker: Worker) -> bool:
        match self.phase:
            case Phase.PREPARING:
                return worker.ready is not None
            case Phase.STEPPING:
                return bool(worker.report or worker.decided or worker.early)
            case Phase.BORDER:
                return worker.batches is not None or worker.state_sent
            case _:
                return worker.left

    def _enter(self, phase: Phase, limit_s: float | None = None) -> None:
        self.phase = phase
        limit_s = self.config.cluster.exchange_timeout_s if limit_s is None else limit_s
        self._deadline_s = self._now_s + limit_s

    # -- messages --

    def _on_message(
        self, member: Member, message: m.FromWorker, arrays: Sequence[Array]
    ) -> list[Instruction]:
        if isinstance(message, m.Hello):
            return self._on_hello(member, message)
        worker = self.workers.get(member)
        if worker is None or self.phase is Phase.OVER:
            return []  # a stranger, or a late word: nobody waits for it
        match message:
            case m.Ready() if self.phase is Phase.PREPARING and worker.ready is None:
                return self._on_ready(worker, message)
            case m.StepReport() if self._expects_report(worker, message, arrays):
                worker.report, worker.sums_of_squares = message, arrays[0]
                return self._on_reports()
            case m.StepReport() if self._is_early(worker, message, arrays):
                worker.early = message, arrays[0]
                return []
            case m.Decided() if self._expects_decided(worker, message, arrays):
                told = zip(message.reports, arrays[0], message.optimizer_s, strict=True)
                worker.decided.extend(DecidedStep(*step) for step in told)
                return self._on_decided()
            case m.Committed() if self._expects_committed(worker, message):
                worker.optimizer_s = message.optimizer_s
                return self._on_committed()
            case m.EvaluationReport() if self.phase is Phase.BORDER and worker.batches is None:
                worker.batches = message.batches
                return self._on_evaluations()
            case m.StateSent() if self.phase is Phase.BORDER and not worker.state_sent:
                worker.state_sent = True
                return self._on_states()
            case m.Stopping(signal=name):
                return self._on_stop(name, str(worker))
            case m.Failed(blames=int(rank)) if 0 <= rank < self.size:
                return self._on_suspicion(worker, self.by_rank[rank])
            case m.Failed(cause=cause, by_user=by_user):
                return self._fail(worker, cause, 2 if by_user else 1)
            case m.Goodbye(signal=name) if name and not self._stop:
                return self._on_turned_back(worker, name)
            case m.Goodbye():
                worker.left = True
                return self._on_goodbye(worker)
            case m.Beat():
                return []
        kind = type(message).__name__
        return self._fail(worker, f"it sent a {kind} while the run was {self.phase.value}")

    def _expects_report(
        self, worker: Worker, report: m.StepReport, arrays: Sequence[Array]
    ) -> bool:
        return (
            self.phase is Phase.STEPPING
            and worker.report is None
            and report.step == self.step
            and len(arrays) == 1
            and not worker.decided
        )

    def _is_early(self, worker: Worker, report: m.StepReport, arrays: Sequence[Array]) -> bool:
        """A report behind a stretch of which other workers have yet to tell."""
        return (
            self.phase is Phase.STEPPING
            and worker.early is None
            and self.step < report.step == self._told(worker) <= self._until
            and len(arrays) == 1
        )

    def _told(self, worker: Worker) -> int:
        """The step behind all that the worker has told of."""
        return self.step + len(worker.decided)

    def _expects_decided(self, worker: Worker, message: m.Decided, arrays: Sequence[Array]) -> bool:
        first, count = self._told(worker), len(message.reports)
        return (
            self.phase is Phase.STEPPING
            and worker.early is None
            and [report.step for report in message.reports] == list(range(first, first + count))
            and first + count <= self._until
            and len(arrays) == 1
            and len(arrays[0]) == len(message.optimizer_s) == count
        )

    def _expects_committed(self, worker: Worker, message: m.Committed) -> bool:
        return (
            self.ledger is not None
            and worker.optimizer_s is None
            and message.step == self.ledger.step
        )

    # -- joining and preparing --

    def _on_hello(self, member: Member, hello: m.Hello) -> list[Instruction]:
        reason = roster.reason_to_refuse(
            hello,
            self.workers.values(),
            self.size,
            self.kernel,
            self.config.cluster.allow_other_kernel,
        )
        if reason and self.fixed:
            return self._fail(None, f"{Worker(member, hello)} cannot take part: {reason}", 2)
        if reason:
            return [
                Send(member, m.Refused(reason=reason)),
                Announce(f"refused a worker ({hello.host}, pid {hello.pid}): {reason}"),
            ]
        self.workers[member] = Worker(member, hello)
        if len(self.workers) < self.size:
            return []
        roster.assign_ranks(self.workers.values())
        lonely = roster.unreachable(self.by_rank)
        if lonely:
            return self._fail(*lonely)
        self._enter(Phase.PREPARING)
        return [i for worker in self.by_rank for i in self._set_up(worker)]

    def _set_up(self, worker: Worker) -> list[Instruction]:
        setup = m.Setup(
            rank=worker.rank,
            size=self.size,
            config=to_dict(self.config),
            addresses=tuple(w.hello.address for w in self.by_rank),
            token=self.token,
            resumed=self.resumed,
        )
        send: list[Instruction] = [Send(worker.member, setup)]
        return [*send, SendCheckpoint(worker.member)] if self.resumed else send

    def _on_ready(self, worker: Worker, ready: m.Ready) -> list[Instruction]:
        worker.ready = ready
        if self._awaited():
            return []
        if not self.config.cluster.allow_other_kernel:
            for other in self.by_rank:
                reason = roster.reason_to_mistrust(other, self.by_rank[0], self.kernels)
                if reason:
                    return self._fail(None, f"{other} cannot take part: {reason}", 2)
        difference = roster.first_difference(self.by_rank)
        return self._fail(*difference) if difference else self._begin(ready)

    def _begin(self, ready: m.Ready) -> list[Instruction]:
        train = self.config.train
        self._is_tested = ready.test_samples > 0
        self._epoch_steps = steps_per_epoch(ready.train_samples, train.global_batch)
        self._total_steps = train.steps or (train.epochs or 0) * self._epoch_steps
        workers = tuple(str(worker) for worker in self.by_rank)
        begin = Begin(self.step, self._total_steps, self._epoch_steps, workers)
        if self.step > self._total_steps:
            return self._fail(
                None,
                f"the checkpoint stands at step {self.step}, past the end of this config, "
                f"{self._total_steps} steps ('train.steps' or 'train.epochs'): begin anew with "
                "another --out",
                2,
            )
        if self.step == self._total_steps:
            self._tasks = [*([self._evaluate] if self._is_tested else []), self._finish]
            return [begin, *self._next_task()]
        if self._stop:
            self._tasks = [self._finish]
            return self._next_task()
        return [begin, *self._run_step()]

    def _run_step(self) -> list[Instruction]:
        self._enter(Phase.STEPPING)
        for worker in self.workers.values():
            worker.report = None
        return self._to_all(m.RunStep(step=self.step))

    # -- a step --

    def _on_reports(self) -> list[Instruction]:
        """All reports are in: decide on the step."""
        if not all(worker.report for worker in self.workers.values()):
            return []
        self.ledger, problem = self._judge()
        if problem and self._has_diverged():
            return self._fail(None, self._diverged(problem))
        self._tasks = self._border_tasks(self.step)
        self._until = 0 if self._tasks else self._stretch_end()
        commit = m.Commit(
            step=self.ledger.step,
            apply=self.ledger.applied,
            lr=self.ledger.lr,
            clip=self.ledger.clip,
            unused=verdict.unused_everywhere(self.by_rank),
            go_on=not self._tasks,
            until=self._until,
            total_steps=self._total_steps if self._until else 0,
        )
        for worker in self.workers.values():
            worker.optimizer_s, worker.report = None, None
        self._enter(Phase.BORDER if self._tasks else Phase.STEPPING)
        return [*self._to_all(commit), *self._tell_skipped(problem)]

    def _judge(self) -> tuple[RecordStep, str]:
        """What the ledger says of the step all have reported, and what was not finite; count it."""
        norm = verdict.global_norm(self.by_rank)
        problem = verdict.first_non_finite(self.by_rank)
        if not problem and not math.isfinite(norm):
            problem = "the sum of the gradients overflows, though that of each shard is finite"
        entry = self._entry(norm, apply=not problem)
        self.step += 1
        self.skipped += bool(problem)
        self._skipped = self._skipped + 1 if problem else 0
        return entry, problem

    def _tell_skipped(self, problem: str) -> list[Instruction]:
        if not (0 < self._skipped <= 3 or (self._skipped and self._skipped % 10 == 0)):
            return []
        return [Announce(f"step {self.step - 1} is skipped on every worker: {problem}")]

    def _stretch_end(self) -> int:
        """The next step behind which there is a border: from it on the workers ask again."""
        steps = range(self.step, self.step + STRETCH)
        return next((step for step in steps if self._border_tasks(step + 1)), steps.stop)

    def _on_decided(self) -> list[Instruction]:
        """Take down the steps of a stretch that all workers have told of."""
        done: list[Instruction] = []
        while self._can_take_down():
            for worker in self.workers.values():
                told = worker.decided.popleft()
                worker.report, worker.sums_of_squares = told.report, told.sums_of_squares
                worker.optimizer_s = told.optimizer_s
            done += self._take_down()
        for worker in self.workers.values():
            if worker.early is not None and worker.early[0].step == self.step:
                (worker.report, worker.sums_of_squares), worker.early = worker.early, None
        return [*done, *self._on_reports()] if self._can_decide() else done

    def _can_take_down(self) -> bool:
        return (
            self.phase is Phase.STEPPING
            and self.ledger is None
            and all(worker.decided for worker in self.workers.values())
        )

    def _can_decide(self) -> bool:
        return self.phase is Phase.STEPPING and self.ledger is None

    def _take_down(self) -> list[Instruction]:
        """One step that the workers have decided and committed."""
        entry, problem = self._judge()
        self._add_optimizer_seconds(entry)
        if problem and self._has_diverged():
            return [entry, *self._fail(None, self._diverged(problem))]
        for worker in self.workers.values():
            worker.report = None
        self._enter(Phase.STEPPING)
        return [entry, *self._tell_skipped(problem)]

    def _add_optimizer_seconds(self, entry: RecordStep) -> None:
        for seconds, worker in zip(entry.seconds, self.by_rank, strict=True):
            seconds["optimizer"] = worker.optimizer_s or 0.0

    def _has_diverged(self) -> bool:
        """Too many steps in a row were skipped, or every single one of the run."""
        all_of_them = self.skipped == self.step >= self._total_steps
        return all_of_them or self._skipped > self.config.train.skip_limit

    def _diverged(self, problem: str) -> str:
        return (
            f"training has diverged: {self._skipped} steps in a row were skipped "
            f"(train.skip_limit), the last because {problem}; a smaller optimizer.lr or "
            "train.clip_norm may help"
        )

    def _entry(self, norm: float, apply: bool) -> RecordStep:
        """What the ledger says of the step that is now decided."""
        shards = verdict.all_shards(self.by_rank)
        loss = exact_sum(shard.loss * shard.samples for shard in shards)
        samples = sum(shard.samples for shard in shards)
        correct = [shard.correct for shard in shards if shard.correct is not None]
        if self.step % self._epoch_steps == 0:
            self.totals = Totals()
        if apply:  # what was skipped has no part in the epoch's mean
            self.totals.loss += loss
            self.totals.samples += samples
            self.totals.correct += sum(correct)
        return RecordStep(
            step=self.step,
            epoch=self.step // self._epoch_steps,
            loss=loss / samples,
            correct=sum(correct) if correct else None,
            samples=samples,
            norm=norm,
            clip=verdict.clip_coefficient(norm, self.config.train.clip_norm),
            lr=self._learning_rate(),
            applied=apply,
            seconds=tuple(verdict.seconds(worker) for worker in self.by_rank),
        )

    def _learning_rate(self) -> float:
        schedule, base_lr = self.config.schedule, self.config.optimizer.lr
        return learning_rate(
            schedule.name, base_lr, self.step, self._total_steps, **schedule.arguments()
        )

    def _on_committed(self) -> list[Instruction]:
        if self.ledger is None or None in [worker.optimizer_s for worker in self.by_rank]:
            return []
        entry, self.ledger = self.ledger, None
        self._add_optimizer_seconds(entry)
        record: list[Instruction] = [entry]
        return [*record, *(self._next_task() if self.phase is Phase.BORDER else self._on_decided())]

    # -- step borders --

    def _border_tasks(self, step: int) -> list[Callable[[], list[Instruction]]]:
        """What is due after `step` steps; empty: go on at once."""
        checkpoint, train = self.config.checkpoint, self.config.train
        last = step >= self._total_steps
        epoch, inside = divmod(step, self._epoch_steps)

        def due(every_epochs: int | None) -> bool:
            return bool(every_epochs) and inside == 0 and epoch % (every_epochs or 1) == 0

        tasks: list[Callable[[], list[Instruction]]] = []
        if self._is_tested and (last or due(train.evaluate_every_epochs)):
            tasks.append(self._evaluate)
        by_steps = bool(checkpoint.every_steps) and step % (checkpoint.every_steps or 1) == 0
        if last or self._stop or by_steps or due(checkpoint.every_epochs):
            tasks.append(self._save)
        if last or self._stop:
            tasks.append(self._finish)
        return tasks

    def _next_task(self) -> list[Instruction]:
        if self.phase is Phase.OVER:
            return []
        return self._tasks.pop(0)() if self._tasks else self._run_step()

    def _evaluate(self) -> list[Instruction]:
        self._enter(Phase.BORDER)
        for worker in self.workers.values():
            worker.batches, worker.state_sent = None, False
        return self._to_all(m.Evaluate())

    def _on_evaluations(self) -> list[Instruction]:
        if any(worker.batches is None for worker in self.workers.values()):
            return []
        batches = [b for worker in self.by_rank for b in worker.batches or ()]
        return [RecordEvaluation(self.step, *summarize(batches)), *self._next_task()]

    def _save(self) -> list[Instruction]:
        if self._saved == self.step:
            return self._next_task()
        self._saved = self.step
        self._enter(Phase.BORDER)
        for worker in self.workers.values():
            worker.batches, worker.state_sent = None, False
        return self._to_all(m.SendState())

    def _on_states(self) -> list[Instruction]:
        if not all(worker.state_sent for worker in self.workers.values()):
            return []
        kernel = roster.kernel_of(self.workers.values())
        ready = self.by_rank[0].ready
        assert ready is not None
        kernels = ready.kernels
        return [WriteCheckpoint(self.step, self.totals, kernel, kernels, self.skipped)]

    def _finish(self) -> list[Instruction]:
        self._enter(Phase.LEAVING, LEAVING_LIMIT_S)
        return self._to_all(m.Finish(code=self._code))

    # -- the end --

    def _on_stop(self, name: str, who: str) -> list[Instruction]:
        """Asked to end: at the next step border, with a checkpoint; at once if none is begun."""
        if self._stop or self.phase in (Phase.LEAVING, Phase.OVER):
            return []
        self._note_stop(name, who)
        if self.phase is Phase.JOINING:
            return [*self._to_all(m.Finish(code=self._code)), *self._end()]
        note: list[Instruction] = [
            Announce(f"{self._stop}: stopping at the next step border (a second signal: at once)")
        ]
        if self.phase is Phase.BORDER and self._finish not in self._tasks:
            self._tasks = [self._save, self._finish]
        if self.phase is Phase.STEPPING and self.step < self._until:
            note += self._to_all(m.Pause())
        return note

    def _note_stop(self, name: str, who: str) -> None:
        self._stop = f"{who} was asked to stop by {name}"
        self._code = 128 + signal.Signals[name].value

    def _on_turned_back(self, worker: Worker, name: str) -> list[Instruction]:
        """A worker was stopped before the run began for it."""
        if self.phase is Phase.JOINING and not self.fixed:
            return self._on_lost(worker.member, f"it was stopped by {name}")
        self._note_stop(name, str(worker))
        return [*self._to_all(m.Finish(code=self._code)), *self._end()]

    def _on_goodbye(self, worker: Worker) -> list[Instruction]:
        if self.phase is not Phase.LEAVING:
            return self._fail(worker, "it left before the run was over")
        return [] if self._awaited() else self._end()

    def _end(self) -> list[Instruction]:
        self._enter(Phase.OVER, math.inf)
        how_to_go_on = f": stopped after step {self.step}, --resume goes on from there"
        return [End(self._code, self._stop and self._stop + how_to_go_on)]

    def _on_lost(self, member: Member, cause: str) -> list[Instruction]:
        worker = self.workers.get(member)
        if worker is None or worker.left or self.phase is Phase.OVER:
            return []
        if self.phase is Phase.LEAVING:
            worker.left = True
            return self._on_goodbye(worker)
        if self.phase is Phase.JOINING:
            del self.workers[member]
            return [Announce(f"{worker} left before the run began: {cause}")]
        return self._fail(worker, cause)

    def _on_suspicion(self, witness: Worker, suspect: Worker) -> list[Instruction]:
        """`witness` lost its connection to `suspect`, who may yet say why itself."""
        if self._suspicion is None:
            cause = f"it vanished in the middle of an exchange, as {witness} noticed"
            self._suspicion = (suspect, cause)
            self._deadline_s = min(self._deadline_s, self._now_s + SUSPICION_S)
        return []

    def _fail(self, culprit: Worker | None, cause: str, code: int = 1) -> list[Instruction]:
        """End the run; the first failure is the one that is told."""
        one_host = len({worker.hello.host for worker in self.workers.values()}) == 1
        same_for_all = code == 2 and one_host  # which of them said it does not matter
        problem = cause if culprit is None or same_for_all else f"{culprit}: {cause}"
        self._enter(Phase.OVER, math.inf)
        aborts: list[Instruction] = [
            Send(worker.member, m.Abort(reason=problem, code=code))
            for worker in self.by_rank
            if worker is not culprit
        ]
        return [*aborts, End(code, problem)]

    def _to_all(self, message: m.FromCoordinator) -> list[Instruction]:
        return [Send(worker.member, message) for worker in self.by_rank]
