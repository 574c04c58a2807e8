"""A worker as a process of its own: it finds the coordinator, and learns everything from it.

Two connections go to the coordinator: `main` for orders and reports, used by the main thread,
and `beat`, used by a thread that sends heartbeats and learns at once when the run has ended,
whatever the main thread is computing.
"""

from __future__ import annotations

import os
import secrets
import socket as sockets
import struct
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import zmq

from ddp.comm.communicator import Array, Communicator
from ddp.comm.zeromq import Listener
from ddp.errors import CommError, ConfigError, PeerProtocolError
from workers import messages as m
from workers.heartbeat import Pulse
from workers.link import Order, RunEnded
from workers.session import Session, StopFlag
from workers.worker_state import Leave, Parting

CONNECT_LIMIT_S = 60.0  # how long a coordinator that has never answered is looked for
BEAT_S = 1.0
SILENCE_S = 10.0  # as cluster.heartbeat_s and .heartbeat_timeout_s, until the config is known
RECONNECT_S = 2.0  # how long a broken connection may take to come back
GRACE_S = 3.0  # from the end of the run to the end of a process that does not notice
LINGER_MS = 2000
SMALL_BYTES = 1 << 16
# libzmq's zmq_socket_monitor: the event and its value. (zmq.utils.monitor loads asyncio.)
MONITOR_EVENT = struct.Struct("=HI")


def run(coordinator: str, rank: int | None = None, connect_limit_s: float = CONNECT_LIMIT_S) -> int:
    """Take part in the run coordinated at `coordinator`; return the exit code.

    Raises ConfigError for an address that is none.
    """
    context = zmq.Context()
    try:
        with StopFlag().listening() as stop:
            leave = _take_part(context, coordinator, rank, connect_limit_s, stop)
    finally:
        context.destroy(linger=LINGER_MS)
    by_hand = rank is None
    if leave.parting is Parting.ENDED or (by_hand and leave.reason):
        print(f"ddp: {leave.reason}", file=sys.stderr, flush=True)
    elif by_hand:
        print("the run was stopped" if leave.code else "the run is complete", flush=True)
    return leave.code


def _take_part(
    context: zmq.Context[Any],
    coordinator: str,
    rank: int | None,
    connect_limit_s: float,
    stop: StopFlag,
) -> Leave:
    member = secrets.token_hex(8)
    listener = Listener(data_address(coordinator, connect_limit_s))
    watch = Watch(context, coordinator, member, connect_limit_s)
    link = SocketLink(context, coordinator, member, watch)

    def join_mesh(setup: m.Setup) -> Communicator:
        watch.configure(setup)
        if rank is None:
            print(f"joined as rank {setup.rank} of {setup.size}", flush=True)
        mesh = listener.connect(setup.rank, setup.addresses, bytes.fromhex(setup.token))
        watch.on_end(mesh.cancel)
        return mesh

    if rank is None:  # started by hand: somebody looks at this terminal
        print(f"looking for the coordinator at {coordinator}", flush=True)
    session = Session(link, join_mesh, stop)
    watch.start()
    leave = session.run(listener.address, rank)
    watch.stop()
    session.close()
    listener.close()
    return leave


def data_address(coordinator: str, limit_s: float = CONNECT_LIMIT_S) -> str:
    """Where this worker should listen for the others: the way it reaches the coordinator.

    Raises ConfigError for what is no address, or a host that is unknown for `limit_s` seconds.
    """
    parts = urlsplit(coordinator)
    if parts.scheme == "ipc":
        return "ipc://@"
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if parts.scheme != "tcp" or not host or not port:
        raise ConfigError(
            f"the coordinator's address is {coordinator!r}: expected tcp://HOST:PORT, as in "
            "`ddp worker --coordinator tcp://127.0.0.1:5555`"
        )
    return f"tcp://{_own_address(host, port, limit_s)}:0"


def _own_address(host: str, port: int, limit_s: float) -> str:
    """This host's address on the route to `host`, found without sending anything."""
    deadline_s = time.monotonic() + limit_s
    while True:
        try:
            with sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM) as probe:
                probe.connect((host, port))
                address: str = probe.getsockname()[0]
                return address
        except OSError as error:  # a container's name may not be known yet
            if time.monotonic() > deadline_s:
                raise ConfigError(
                    f"the coordinator's host {host!r} cannot be reached: {error}"
                ) from None
            time.sleep(0.2)


def connect(
    context: zmq.Context[Any], coordinator: str, member: str, channel: str
) -> zmq.Socket[bytes]:
    socket: zmq.Socket[bytes] = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.IDENTITY, f"{member}/{channel}".encode())
    socket.setsockopt(zmq.LINGER, LINGER_MS)
    socket.setsockopt(zmq.MAXMSGSIZE, m.MAX_FRAME_BYTES)
    socket.set_hwm(0)
    try:
        socket.connect(coordinator)
    except zmq.ZMQError as error:
        raise ConfigError(f"the coordinator's address {coordinator!r}: {error.strerror}") from None
    return socket


class SocketLink:
    """The `main` connection."""

    def __init__(
        self, context: zmq.Context[Any], coordinator: str, member: str, watch: Watch
    ) -> None:
        self._socket = connect(context, coordinator, member, "main")
        self._watch = watch

    def send(self, message: m.FromWorker, arrays: Sequence[Array] = ()) -> None:
        frames = m.to_frames(message, arrays)
        small = sum(map(len, frames)) < SMALL_BYTES  # then copying is faster
        self._socket.send_multipart(frames, copy=small)

    def receive(self, timeout_s: float) -> Order | None:
        self._socket.rcvtimeo = round(timeout_s * 1000)
        try:
            frames = self._socket.recv_multipart()
        except zmq.Again:
            self._watch.check()
            return None
        self._watch.heard()
        return m.coordinator_message(frames)

    def close(self) -> None:
        self._socket.close()


class Watch(threading.Thread):
    """The `beat` connection, and the thread that keeps it."""

    def __init__(
        self, context: zmq.Context[Any], coordinator: str, member: str, connect_limit_s: float
    ) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._context, self._coordinator, self._member = context, coordinator, member
        self._connect_limit_s = connect_limit_s
        self._pulse: Pulse[str] = Pulse(BEAT_S, SILENCE_S)
        self._stopped = threading.Event()
        self._on_end: Callable[[CommError], None] = lambda error: None
        self._ended: RunEnded | None = None
        self._started_s = 0.0
        self._broken_s: float | None = None  # since when the connection is broken

    def configure(self, setup: m.Setup) -> None:
        """Take over the intervals of the run's configuration."""
        cluster = setup.config["cluster"]
        self._pulse.interval_s = cluster["heartbeat_s"]
        self._pulse.limit_s = cluster["heartbeat_timeout_s"]

    def heard(self) -> None:
        """The coordinator has sent something, on either connection."""
        self._pulse.heard("coordinator", time.monotonic())

    def on_end(self, call: Callable[[CommError], None]) -> None:
        """Call `call` with the reason when the run ends under us."""
        self._on_end = call
        if self._ended is not None:
            call(self._ended)

    def check(self) -> None:
        """Raise RunEnded if the run has ended under us."""
        if self._ended is not None:
            raise self._ended

    def stop(self) -> None:
        self._stopped.set()
        self.join()

    def run(self) -> None:
        socket = connect(self._context, self._coordinator, self._member, "beat")
        changes = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self._started_s = time.monotonic()
        while not self._stopped.is_set() and self._ended is None:
            now_s = time.monotonic()
            if self._pulse.is_due(now_s):
                socket.send_multipart(m.to_frames(m.Beat()))
            if socket.poll(100):
                self.heard()
                self._take(socket.recv_multipart())
            while changes.poll(0):
                event, _ = MONITOR_EVENT.unpack(changes.recv_multipart()[0])
                self._broken_s = now_s if event == zmq.EVENT_DISCONNECTED else None
            self._check_life(now_s)
        socket.disable_monitor()
        socket.close(linger=0)
        if self._ended is not None and not self._stopped.wait(GRACE_S):
            print(f"ddp: {self._ended}", file=sys.stderr, flush=True)
            os._exit(1)  # the main thread is deep in something that does not notice

    def _check_life(self, now_s: float) -> None:
        """End the run for this worker when the coordinator is gone."""
        if self._broken_s is not None and now_s - self._broken_s > RECONNECT_S:
            self._end(
                f"the coordinator at {self._coordinator} closed the connection and did not come "
                f"back within {RECONNECT_S:g} s: it has ended"
            )
        elif not self._pulse.has_heard("coordinator"):
            if now_s - self._started_s > self._connect_limit_s:
                self._end(
                    f"no coordinator answered at {self._coordinator} within "
                    f"{self._connect_limit_s:g} s: is `ddp coordinator … --listen` running there?"
                )
        elif self._pulse.silent(now_s):
            self._end(
                f"the coordinator at {self._coordinator} has been silent for "
                f"{self._pulse.limit_s:g} s: it has ended or cannot be reached"
            )

    def _take(self, frames: list[bytes]) -> None:
        try:
            message, _ = m.coordinator_message(frames)
        except PeerProtocolError as error:
            self._end(f"the coordinator at {self._coordinator} is none: {error}")
            return
        if isinstance(message, m.Abort):
            self._end(f"the run was ended: {message.reason}")

    def _end(self, reason: str) -> None:
        self._ended = RunEnded(reason)
        self._on_end(self._ended)
