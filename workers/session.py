"""A worker's shell: takes orders from a link, has WorkerState judge them, carries them out.

The same for every transport: what differs, the link and how a communicator is made, is handed
in. A signal (SIGTERM, SIGINT) is told to the coordinator between two steps; the coordinator
then ends the run at the step border, with a checkpoint. A second signal ends the process.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from ddp import kernels
from ddp.build import Task, build_task
from ddp.checkpoint import blas_kernel, fingerprint
from ddp.comm.communicator import Array, Communicator
from ddp.config import Config, from_dict
from ddp.errors import CommError, DdpError, PeerLost, ProtocolError
from ddp.evaluate import batches_of, evaluate
from ddp.train import Replica
from ddp.version import VERSION
from workers import messages as m
from workers import worker_state as w
from workers.assembly import Assembly, pieces
from workers.link import Link, Order, RunEnded
from workers.stretch import Stretch

POLL_S = 0.2  # how often a waiting worker looks whether it was asked to stop
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

MakeCommunicator = Callable[[m.Setup], Communicator]


class StopFlag:
    """Remembers the first stop signal; the second one acts as it would without us."""

    def __init__(self) -> None:
        self.name = ""

    @contextmanager
    def listening(self) -> Iterator[StopFlag]:
        """Take the signals for a while; only the main thread can, elsewhere nothing happens."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.signal(number, self._on_signal) for number in STOP_SIGNALS}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.name = signal.Signals(number).name
        signal.signal(number, signal.SIG_DFL)


class Session:
    """One worker's part in one run."""

    def __init__(
        self,
        link: Link,
        make_communicator: MakeCommunicator,
        stop: StopFlag | None = None,
        patience_s: float = 0.0,
    ) -> None:
        """`patience_s`: how long a failure here waits before it is told, in case another rank
        fails for the same reason and ends all: one traceback is enough.
        """
        self._patience_s = patience_s
        self._link = link
        self._make_communicator = make_communicator
        self._stop = stop or StopFlag()
        self._stop_told = False
        self._state = w.WorkerState()
        self._comm: Communicator | None = None
        self._config: Config
        self._task: Task
        self._replica: Replica
        self._stretch: Stretch
        self._own: deque[Order] = deque()  # what comes before the next order from the link
        self._undecided: tuple[m.StepReport, Array] | None = None
        self._resumed_from = Assembly()

    def run(self, address: str = "", rank: int | None = None) -> w.Leave:
        """Take part until told to leave. Never raises: a failure is told and returned."""
        try:
            self._link.send(hello(address, rank))
            return self._serve()
        except RunEnded as error:
            return w.Leave(1, w.Parting.ENDED, str(error))
        except BaseException as error:
            return self._fail(error)

    def close(self) -> None:
        if self._comm is not None:
            self._comm.close()
        self._link.close()

    def _serve(self) -> w.Leave:
        while True:
            if self._stop.name and self._state.phase is w.Phase.JOINING:
                return self._turn_back()
            self._tell_stop()
            order = self._own.popleft() if self._own else self._link.receive(POLL_S)
            if order is None:
                continue
            if isinstance(order[0], m.Pause):
                self._stretch.pausing = True
            for instruction in self._state.handle(*order):
                if isinstance(instruction, w.Leave):
                    if instruction.parting is w.Parting.FINISHED:
                        self._link.send(m.Goodbye())
                    return instruction
                self._carry_out(instruction)

    def _turn_back(self) -> w.Leave:
        """Asked to stop before the run has begun for us: the coordinator can do without us."""
        self._link.send(m.Goodbye(signal=self._stop.name))
        code = 128 + signal.Signals[self._stop.name].value
        reason = f"stopped by {self._stop.name} before the run began"
        return w.Leave(code, w.Parting.ENDED, reason)

    def _tell_stop(self) -> None:
        if self._stop.name and not self._stop_told:
            self._stop_told = True
            self._link.send(m.Stopping(signal=self._stop.name))

    def _carry_out(self, instruction: w.Instruction) -> None:
        match instruction:
            case w.BuildReplica(setup):
                self._build(setup)
            case w.TakeState(part, array):
                self._resumed_from.add(part, array)
            case w.BecomeReady(resumed):
                self._become_ready(resumed)
            case w.ComputeStep(step):
                self._compute(step)
            case w.CommitStep(commit):
                self._commit(commit)
            case w.EvaluateShare():
                self._evaluate()
            case w.SendShare():
                self._send_state()
            case _:
                raise TypeError(instruction)

    def _build(self, setup: m.Setup) -> None:
        self._config = from_dict(setup.config)
        self._stretch = Stretch(self._config)
        self._task = build_task(self._config)
        self._comm = self._make_communicator(setup)
        self._replica = Replica(self._config, self._task, self._comm)

    def _become_ready(self, resumed: bool) -> None:
        if resumed:
            self._replica.load_state(*self._resumed_from.take())
        ready = m.Ready(
            kernels=kernels.in_use(),
            plan=self._replica.plan,
            state=fingerprint(self._replica.model_state(), {}),
            train_samples=len(self._task.train),
            test_samples=0 if self._task.test is None else len(self._task.test),
        )
        self._link.send(ready)

    def _compute(self, step: int) -> None:
        result = self._replica.compute(step)
        self._tell_note()
        report = m.StepReport(
            step=step,
            shards=result.shards,
            unused=result.unused,
            non_finite=result.non_finite,
            seconds=result.seconds,
        )
        self._tell_stop()
        if self._stretch.covers(step):
            pauses = self._stretch.pausing or self._stop_told
            commit = self._stretch.decide(step, self._replica.consult(result, pauses))
            if commit is not None:
                self._undecided = report, result.sums_of_squares
                self._own.append((commit, ()))
                return
        self._tell_decided()
        self._link.send(report, [result.sums_of_squares])

    def _commit(self, commit: m.Commit) -> None:
        seconds = self._replica.commit(commit.apply, commit.lr, commit.clip, commit.unused)
        if self._undecided is None:
            self._stretch.allow(commit)
            self._link.send(m.Committed(step=commit.step, optimizer_s=seconds))
            return
        self._stretch.note(*self._undecided, seconds)
        self._undecided = None
        if self._stretch.is_due(time.monotonic()):
            self._tell_decided()
            order = self._link.receive(0.0)
            if order is not None:
                self._own.append(order)

    def _tell_decided(self) -> None:
        batch = self._stretch.batch(time.monotonic())
        if batch is not None:
            self._link.send(*batch)

    def _tell_note(self) -> None:
        """Tell people, once, when workers of one host could not share memory."""
        if self._replica.note:
            print(f"note: {self._replica.note}", flush=True)
            self._replica.note = ""

    def _evaluate(self) -> None:
        assert self._comm is not None
        batches = []
        if self._task.test is not None:
            batch = self._config.train.evaluation_batch
            share = batches_of(self._comm.rank, self._comm.size, len(self._task.test), batch)
            batches = evaluate(self._task.model, self._task.loss, self._task.test, share)
        self._link.send(m.EvaluationReport(batches=tuple(batches)))

    def _send_state(self) -> None:
        for kind, part in self._replica.state_parts():
            for message, array in pieces(kind, part.name, part.shape, part.start, part.array):
                self._link.send(message, [array])
        self._link.send(m.StateSent())

    def _fail(self, error: BaseException) -> w.Leave:
        """Tell people and the coordinator why this worker cannot go on."""
        failed = describe_failure(error)
        if not isinstance(error, DdpError | SystemExit):
            time.sleep(self._patience_s)
            traceback.print_exception(error)
            sys.stderr.flush()
        code = 2 if failed.by_user else 1
        parting = w.Parting.ENDED if isinstance(error, CommError) else w.Parting.FAILED
        try:
            self._link.send(failed)
        except Exception:  # the coordinator cannot be told: tell whoever reads our output
            return w.Leave(code, w.Parting.ENDED, failed.cause)
        return w.Leave(code, parting, failed.cause)


def describe_failure(error: BaseException) -> m.Failed:
    """What the coordinator is told: the cause in one sentence, and who is to blame."""
    if isinstance(error, PeerLost):
        return m.Failed(cause=str(error), blames=error.rank)
    if isinstance(error, SystemExit):
        cause = f"the program called exit({error.code!r}) in the middle of the run"
        return m.Failed(cause=cause)
    if isinstance(error, DdpError):
        by_user = not isinstance(error, CommError | ProtocolError)
        return m.Failed(cause=str(error), by_user=by_user)
    return m.Failed(cause="".join(traceback.format_exception_only(error)).strip())


def hello(address: str, rank: int | None) -> m.Hello:
    return m.Hello(
        version=VERSION,
        host=socket.gethostname(),
        pid=os.getpid(),
        kernel=blas_kernel(),
        address=address,
        rank=rank,
    )
