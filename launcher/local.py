"""Carry out a plan on this machine: start its processes, relay what they say, end them together.

One thread, one loop: pipes and signals are awaited together, what happened goes to
`launcher.local_state`, the signals that come back are sent. The rules of who is to blame and when
to kill are there; here are the promises of the shell:

- Each process leads a session of its own: Ctrl-C reaches the launcher alone, and what a process
  starts ends with it. On Linux a child dies with the launcher, even when that is killed.
- The coordinator inherits standard output, where its progress line lives. All else goes to
  standard error, whole lines only, signed.
- When a run fails the last line names the process, its host, its pid and the cause.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, TextIO

from launcher.leash import leash
from launcher.local_state import Ended, Event, StopAsked, SupervisorState, Tick
from launcher.output import SENTENCE, ProcessOutput, show
from launcher.plan import COORDINATOR, Plan, Process

READ_BYTES = 64 * 1024
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_plan(plan: Plan, stderr: TextIO | None = None) -> int:
    """Run the processes of `plan` to their end; return the exit code of the run.

    0: all are done. 1: the run failed. 2: the user's input is wrong. 128 + signal: stopped on
    request. Must be called from the main thread: it handles signals.
    """
    stderr = stderr or sys.stderr
    show([f"warning: {warning}" for warning in plan.warnings], stderr)
    with _signals_as_bytes() as signals, _started(plan) as children:
        return _Supervisor(children, signals, stderr).run()


@dataclass(slots=True)
class _Child:
    """A process that was started: what we read from it, and what it said."""

    process: Process
    popen: subprocess.Popen[bytes]
    pipe: IO[bytes]
    output: ProcessOutput

    def kill(self, signum: int) -> None:
        """Send `signum` to the process and to whatever it has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, signum)


class _Supervisor:
    """The loop around the state machine: what happened goes in, the signals it orders go out."""

    def __init__(self, children: list[_Child], signals: socket.socket, stderr: TextIO) -> None:
        self._children = children
        self._signals = signals
        self._stderr = stderr
        self._state = SupervisorState([child.process.role for child in children])

    def run(self) -> int:
        """Wait, read, decide, until nobody is running; return the exit code of the run."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._signals, selectors.EVENT_READ)
            for child in self._children:
                selector.register(child.pipe, selectors.EVENT_READ, child)
            self._reap()  # a child may have died before anybody listened
            while self._state.running:
                self._turn(selector)
        self._conclude()
        return self._state.exit_code

    def _turn(self, selector: selectors.BaseSelector) -> None:
        for key, _ in selector.select(self._patience_s()):
            if key.data is None:
                self._read_signals()
            elif self._relay(key.data) == b"":
                selector.unregister(key.fileobj)
        self._handle(Tick(time.monotonic()))

    def _patience_s(self) -> float | None:
        deadline_s = self._state.deadline_s
        return None if deadline_s is None else max(0.0, deadline_s - time.monotonic())

    def _handle(self, event: Event) -> None:
        for order in self._state.handle(event):
            self._children[order.index].kill(order.signum)

    def _read_signals(self) -> None:
        for signum in self._signals.recv(READ_BYTES):
            if signum == signal.SIGCHLD:
                self._reap()
            elif signum == signal.SIGTSTP:
                self._pause()
            else:  # for the run, a closed terminal is a request to stop like any other
                stop = signal.SIGTERM if signum == signal.SIGHUP else signum
                self._handle(StopAsked(stop, time.monotonic()))

    def _pause(self) -> None:
        """Ctrl-Z: everybody stops, and goes on when we do (`fg`)."""
        for index in self._state.running:
            self._children[index].kill(signal.SIGSTOP)
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)  # returns when somebody has sent SIGCONT
        signal.signal(signal.SIGTSTP, handler)
        for index in self._state.running:
            self._children[index].kill(signal.SIGCONT)

    def _reap(self) -> None:
        for index in sorted(self._state.running):
            child = self._children[index]
            returncode = child.popen.poll()
            if returncode is not None:
                child.kill(signal.SIGKILL)  # what it started ends with it
                while self._relay(child):
                    pass
                self._show(child.output.end())
                self._handle(Ended(index, returncode, child.output.last_words, time.monotonic()))

    def _relay(self, child: _Child) -> bytes | None:
        """Show what is in the pipe of `child`, and return it: b"" at its end, None for nothing."""
        try:
            data = os.read(child.pipe.fileno(), READ_BYTES)
        except BlockingIOError:
            return None
        self._show(child.output.feed(data))
        return data

    def _show(self, lines: list[str]) -> None:
        if self._state.blame is None:  # afterwards only the culprit's explanation is of interest
            show(lines, self._stderr)

    def _conclude(self) -> None:
        blame = self._state.blame
        if blame is None:
            self._show_what_was_held()
            return
        culprit = self._children[blame.index]
        if blame.is_verdict:  # the coordinator names a pid: perhaps one of ours, with a traceback
            named = (c for c in self._children if f"pid {c.popen.pid})" in blame.cause)
            culprit = next(named, culprit)
        show(culprit.output.explanation(), self._stderr)
        name = f"{culprit.process.label} (host {socket.gethostname()}, pid {culprit.popen.pid}) "
        show([f"{SENTENCE}{'' if blame.is_verdict else name}{blame.cause}"], self._stderr)

    def _show_what_was_held(self) -> None:
        """Nobody is to blame. What was killed on request need not explain itself."""
        for child in self._children:
            if child.popen.returncode >= 0:
                show(child.output.explanation() or child.output.held, self._stderr)


@contextlib.contextmanager
def _started(plan: Plan) -> Iterator[list[_Child]]:
    """The processes of `plan`; none of them is left afterwards, whatever happens."""
    children: list[_Child] = []
    try:
        for process in plan.processes:
            children.append(_start(process))
        yield children
    finally:
        for child in children:
            if child.popen.returncode is None:
                child.kill(signal.SIGKILL)
                child.popen.wait()
            child.pipe.close()


def _start(process: Process) -> _Child:
    is_coordinator = process.role == COORDINATOR
    popen = subprocess.Popen(
        process.argv,
        stdin=subprocess.DEVNULL,
        stdout=None if is_coordinator else subprocess.PIPE,
        stderr=subprocess.PIPE if is_coordinator else subprocess.STDOUT,
        env={**os.environ, **process.environment},
        start_new_session=True,
        preexec_fn=leash(),
    )
    pipe = popen.stderr if is_coordinator else popen.stdout
    assert pipe is not None
    os.set_blocking(pipe.fileno(), False)
    prefix = "" if is_coordinator else f"[{process.label}] "
    return _Child(process, popen, pipe, ProcessOutput(prefix))


@contextlib.contextmanager
def _signals_as_bytes() -> Iterator[socket.socket]:
    """A socket on which each signal to this process arrives as one byte, its number."""
    receive, send = socket.socketpair()
    with receive, send:
        receive.setblocking(False)
        send.setblocking(False)
        wakeup = signal.set_wakeup_fd(send.fileno(), warn_on_full_buffer=False)
        asked = set(STOP_SIGNALS)
        if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # started by nohup: so it stays
            asked.discard(signal.SIGHUP)
        heard = (*asked, signal.SIGCHLD, signal.SIGTSTP)
        handlers = {s: signal.signal(s, _ignore) for s in heard}
        try:
            yield receive
        finally:
            signal.set_wakeup_fd(wakeup)
            for signum, handler in handlers.items():
                signal.signal(signum, handler)


def _ignore(signum: int, frame: object) -> None:
    """Not SIG_IGN: the byte on the socket is what we want, and children must not inherit it."""
