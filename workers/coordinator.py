"""The coordinator as a process of its own: one ROUTER socket that all workers connect to.

Each worker has two connections: `main` for orders and reports, `beat` for heartbeats from a
thread of its own. The socket's identity of a connection is "MEMBER/main" or "MEMBER/beat". What
comes from strangers and is no message is dropped and counted; the run goes on.
"""

from __future__ import annotations

import contextlib
import re
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import zmq

from ddp.comm.communicator import Array
from ddp.config import Config
from ddp.errors import ConfigError, DdpError, PeerProtocolError
from workers import messages as m
from workers.coordination import Coordination
from workers.events import HostFailed, Received, StopRequested
from workers.heartbeat import Pulse
from workers.hosting import report_end

IDENTITY = re.compile(rb"([0-9a-f]{16})/(main|beat)")
LINGER_MS = 2000  # last words to the workers
POLL_MS = 100


def run(config: Config, listen: str, workers: int, out: Path, resume: bool) -> int:
    """Coordinate a run of `workers` workers that connect to `listen`; return the exit code.

    Raises DdpError for wrong input: an address that cannot be bound, an existing run directory.
    """
    context = zmq.Context()
    try:
        socket = bind(context, listen)
        coordination = Coordination(config, workers, out, resume, "zeromq", sys.stdout)
        server = Server(coordination, socket, config)
        server.install_signals()
        awaited = f"{workers} worker{'s' if workers != 1 else ''}"
        coordination.announce(f"listening at {listen}, waiting for {awaited}")
        return report_end(coordination, server.serve())
    finally:
        context.destroy(linger=LINGER_MS)


def bind(context: zmq.Context[Any], listen: str) -> zmq.Socket[bytes]:
    socket: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)  # a send to a closed connection fails, loudly
    socket.setsockopt(zmq.MAXMSGSIZE, m.MAX_FRAME_BYTES)
    socket.setsockopt(zmq.SNDHWM, 0)
    socket.setsockopt(zmq.RCVHWM, 0)
    socket.setsockopt(zmq.RCVTIMEO, POLL_MS)
    try:
        socket.bind(listen)
    except zmq.ZMQError as error:
        socket.close()
        raise ConfigError(
            f"cannot listen on {listen} ({error.strerror}): expected an address of this host that "
            "is free, such as tcp://0.0.0.0:5555; is another coordinator running there?"
        ) from None
    return socket


class Server:
    """Serves one run on a bound socket."""

    def __init__(
        self, coordination: Coordination, socket: zmq.Socket[bytes], config: Config
    ) -> None:
        self._coordination = coordination
        self._socket = socket
        self._pulse: Pulse[str] = Pulse(
            config.cluster.heartbeat_s, config.cluster.heartbeat_timeout_s
        )
        self._beating: set[str] = set()  # members whose beat connection stands
        self._gone: list[str] = []  # members a send has failed for
        self._strange = 0
        self._last: m.FromCoordinator | None = None
        self._frames: list[Any] = []
        self._signal = ""
        coordination.post = self._post

    def install_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signal = signal.Signals(number).name
        signal.signal(number, signal.SIG_DFL)

    def serve(self) -> int:
        """Until the run is over; return 0, or what is wrong is in `coordination.ending`."""
        while not self._coordination.is_over:
            try:
                self._turn()
            except DdpError as error:
                self._coordination.handle(HostFailed(str(error), by_user=True))
            except Exception as error:
                self._coordination.handle(HostFailed(f"{type(error).__name__}: {error}"))
                raise
        return 0

    def _turn(self) -> None:
        with contextlib.suppress(zmq.Again):  # nothing within POLL_MS, or nothing more
            self._take(self._socket.recv_multipart())
            while not self._coordination.is_over:
                self._take(self._socket.recv_multipart(zmq.NOBLOCK))
        if self._signal:
            name, self._signal = self._signal, ""
            self._coordination.handle(StopRequested(name))
        self._check_lives()
        self._coordination.tick()

    def _take(self, frames: list[bytes]) -> None:
        """One message off the socket."""
        known = IDENTITY.fullmatch(frames[0])
        if known is None:
            self._drop("it does not introduce itself as a worker does")
            return
        member, channel = known[1].decode(), known[2].decode()
        try:
            message, arrays = m.worker_message(frames[1:])
        except PeerProtocolError as error:
            if member in self._coordination.state.workers:
                self._coordination.lost(member, str(error))
            else:
                self._drop(str(error))
            return
        self._pulse.heard(member, time.monotonic())
        if channel == "beat":
            self._beating.add(member)
        else:
            self._coordination.handle(Received(member, message, arrays))

    def _drop(self, why: str) -> None:
        self._strange += 1
        if self._strange == 1:
            self._coordination.announce(f"dropped a message of a stranger: {why}")

    def _post(self, member: str, message: m.FromCoordinator, arrays: Sequence[Array] = ()) -> None:
        if arrays or message is not self._last:  # what goes to all is packed once
            self._last, self._frames = message, m.to_frames(message, arrays)
        frames = self._frames
        self._send(member, "main", frames)
        if isinstance(message, m.Abort):
            self._send(member, "beat", frames)

    def _send(self, member: str, channel: str, frames: list[Any]) -> None:
        try:
            # Copying is the faster way for the small messages of a step.
            address = f"{member}/{channel}".encode()
            self._socket.send_multipart([address, *frames], copy=len(frames) == 1)
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self._gone.append(member)

    def _check_lives(self) -> None:
        """Send our beats; find who hung up and who is silent."""
        now_s = time.monotonic()
        if self._pulse.is_due(now_s):
            beat = m.to_frames(m.Beat())
            for member in sorted(self._beating):
                self._send(member, "beat", beat)
        gone, self._gone = self._gone, []
        for member in gone:
            self._lose(member, "its connection closed: the process has ended")
        for member in self._pulse.silent(now_s):
            self._lose(member, self._pulse.silence())

    def _lose(self, member: str, cause: str) -> None:
        self._pulse.forget(member)
        self._beating.discard(member)
        self._coordination.lost(member, cause)
