"""A mesh of ZeroMQ sockets: for workers in processes of their own, on one host or many.

Each rank binds one PULL socket, where all others send to it, and connects a PUSH socket to each of
theirs. libzmq's own thread moves the bytes while Python computes; `wait` and `done` copy what has
come into the arrays. Coming to be takes two stages, because an address is known only when bound:

    listener = Listener("tcp://10.0.0.3:0")          # bind; listener.address has the real port
    mesh = listener.connect(rank, addresses, token)  # when the addresses of all ranks are known

A message is two frames: `_HEADER`, and one piece of an array (ddp.comm.pieces) sent from where it
lies. Whoever can reach the port can send to it, so what lacks the token of the run is dropped and
counted, and libzmq refuses longer frames than a piece. The token keeps runs apart that meet on a
port by accident; it is sent in clear and is no protection from somebody who reads the network.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import struct
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import zmq

from ddp.comm.communicator import Arrays, Communicator, check_exchange, exchange_timeout
from ddp.comm.pieces import PIECE_BYTES, Piece, cut
from ddp.errors import CommError, LocalProtocolError, PeerLost, PeerProtocolError

TOKEN_BYTES = 16

# magic, kind, token, source rank, count of messages from that source, number of the exchange
_HEADER = struct.Struct(f"<4sB{TOKEN_BYTES}sIQQ")
_MAGIC = b"ddpx"
_DATA, _BYE = 0, 1

# How often a wait looks whether it was cancelled, or a connection it needs is broken.
_GLANCE_S = 0.05
# How long bytes that were under way when a connection broke may still take to come in.
_GRACE_S = 0.5
# How long `close` waits for its goodbyes to leave: closed without, libzmq drops now and then what
# is still queued. (Its own LINGER would wait as long for peers that are gone.)
_LINGER_S = 2.0


class Listener:
    """The bound end of a rank that does not know its peers yet.

    `address` is `tcp://host:port` (port 0: any free one) or `ipc://@name` (`ipc://@`: any free
    name in Linux's abstract name space, which leaves no file behind).
    """

    def __init__(self, address: str) -> None:
        self._context = zmq.Context()
        self._pull = self._context.socket(zmq.PULL)
        self._pull.setsockopt(zmq.MAXMSGSIZE, PIECE_BYTES)
        self._pull.set_hwm(0)  # exchanges in flight bound what can queue up; nothing may be lost
        if address == "ipc://@":
            address = f"ipc://@ddp-{os.getpid()}-{secrets.token_hex(4)}"
        try:
            self._pull.bind(address)
        except zmq.ZMQError as error:
            self.close()
            raise CommError(
                f"cannot listen at {address}: {error}; choose a free port of this host"
            ) from error
        self.address: str = self._pull.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")

    def connect(self, rank: int, addresses: Sequence[str], token: bytes) -> ZeroMQCommunicator:
        """The communicator of `rank` among ranks that listen at `addresses`; it owns the socket.

        `token` (16 bytes) is the same for all ranks of a run and of no other. Returns at once;
        whether the peers can be reached shows in the first exchange.
        """
        if len(token) != TOKEN_BYTES:
            raise LocalProtocolError(f"a token has {TOKEN_BYTES} bytes, got {len(token)}")
        peers: dict[int, _Peer] = {}
        try:
            for peer in set(range(len(addresses))) - {rank}:
                peers[peer] = _Peer(peer, self._context.socket(zmq.PUSH))
                peers[peer].push.connect(addresses[peer])
        except zmq.ZMQError as error:
            self.close()
            raise CommError(
                f"rank {rank} cannot connect to rank {peer} at {addresses[peer]}: {error}"
            ) from error
        return ZeroMQCommunicator(rank, self._pull, peers, token, self.close)

    def close(self) -> None:
        """Give back all sockets of the context, at once."""
        self._context.destroy(linger=0)


class _Peer:
    """What a rank holds of one other: the socket to it, and how far they are."""

    def __init__(self, rank: int, push: zmq.Socket[bytes]) -> None:
        self.rank = rank
        self.push = push
        push.set_hwm(0)
        self._breaks = push.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._broken_at_s: float | None = None
        self.departed: str | None = None
        self.messages_sent = 0
        self.messages_come = 0
        # Pieces of exchanges not yet started here: (number of the exchange, memory).
        self.early: deque[tuple[int, memoryview]] = deque()

    def broken(self) -> bool:
        """Whether the connection broke. What it held is lost; the buffers are free again.

        libzmq would connect anew, but to whom? The mesh cannot be mended.
        """
        if self._broken_at_s is None and self._breaks.poll(0):
            self._broken_at_s = time.monotonic()
            self.push.close(linger=0)
        return self._broken_at_s is not None

    def lost(self) -> PeerLost | None:
        """Why nothing more can come from this peer, if so."""
        if self.broken() and self.departed is None:
            assert self._broken_at_s is not None
            if time.monotonic() - self._broken_at_s > _GRACE_S:
                self.departed = "its connection broke"
        return PeerLost(self.rank, self.departed) if self.departed else None

    def send(self, header: bytes, piece: memoryview) -> zmq.MessageTracker:
        """Send a message from where it lies; the tracker is done when the memory is free."""
        self.messages_sent += 1
        if self.broken():
            return zmq.MessageTracker()
        self.push.send(header, zmq.SNDMORE)
        tracker = self.push.send(piece, copy=False, track=True)
        assert tracker is not None
        return tracker


class ZeroMQCommunicator(Communicator):
    """One rank of the mesh; made by `Listener.connect`.

    `foreign` counts messages that were dropped because they were not of this run.
    """

    def __init__(
        self,
        rank: int,
        pull: zmq.Socket[bytes],
        peers: dict[int, _Peer],
        token: bytes,
        close: Callable[[], None],
    ) -> None:
        self.rank = rank
        self.size = len(peers) + 1
        self.foreign = 0
        self._pull = pull
        self._peers = peers
        self._token = token
        self._close = close
        self._closed = False
        self._exchanges = 0
        self._open: dict[int, ZeroMQWork] = {}
        self._failure: PeerProtocolError | PeerLost | None = None

    def all_to_all(self, send: Sequence[Arrays], receive: Sequence[Arrays]) -> ZeroMQWork:
        check_exchange(self.rank, send, receive, self.size)
        number = self._exchanges
        self._exchanges += 1
        awaited = {source: deque(cut(receive[source])) for source in self._peers}
        work = self._open[number] = ZeroMQWork(self, number, awaited)
        for rank in self._in_turn():
            for piece in cut(send[rank]):
                tracker = self._peers[rank].send(self._header(_DATA, rank, number), piece.data)
                work.sent.append((rank, tracker))
        for peer in self._peers.values():
            while peer.early and peer.early[0][0] == number:
                self._fill(peer, *peer.early.popleft())
        self._settle(work)
        return work

    def _in_turn(self) -> list[int]:
        """The peers, beginning after this rank, so that not all send to rank 0 first."""
        return [(self.rank + i) % self.size for i in range(1, self.size)]

    def _header(self, kind: int, rank: int, number: int) -> bytes:
        count = self._peers[rank].messages_sent
        return _HEADER.pack(_MAGIC, kind, self._token, self.rank, count, number)

    def cancelled(self) -> CommError | None:
        """What `cancel` was given, if it was called."""
        return self._cancelled

    def failure(self, ranks: Iterable[int]) -> Exception | None:
        self.drain(0)
        return self._cancelled or self.loss(ranks)

    def loss(self, ranks: Iterable[int]) -> Exception | None:
        """Why nothing more can come from one of the `ranks`, if so."""
        return self._failure or next(filter(None, (self._peers[r].lost() for r in ranks)), None)

    def free(self, rank: int) -> None:
        """Let go of what is still to be sent to `rank` if its connection is broken."""
        self._peers[rank].broken()

    def drain(self, timeout_s: float) -> None:
        """Take in all that has come; if nothing has, wait up to `timeout_s` for something."""
        if timeout_s > 0 and not self._pull.poll(max(1, int(timeout_s * 1000))):
            return
        while self._failure is None:
            try:
                self._take(self._pull.recv_multipart(zmq.NOBLOCK, copy=False))
            except zmq.Again:
                return

    def _take(self, frames: Sequence[zmq.Frame]) -> None:
        kind, source, count, number = self._open_header(frames)
        if source not in self._peers:
            self.foreign += 1
            return
        peer = self._peers[source]
        if count != peer.messages_come:
            self._failure = PeerLost(source, "its connection broke and messages of it are missing")
        elif kind == _BYE:
            peer.departed = peer.departed or "it closed its communicator"
        else:
            peer.messages_come += 1
            self._fill(peer, number, frames[1].buffer)

    def _open_header(self, frames: Sequence[zmq.Frame]) -> tuple[int, int, int, int]:
        """Kind, source, count and number of a message; source -1 if it is not of this run."""
        if len(frames) == 2 and len(frames[0]) == _HEADER.size:
            magic, kind, token, source, count, number = _HEADER.unpack(frames[0].buffer)
            if magic == _MAGIC and secrets.compare_digest(token, self._token):
                return kind, source, count, number
        return 0, -1, 0, 0

    def _fill(self, peer: _Peer, number: int, memory: memoryview) -> None:
        """Copy a piece to where it is awaited, or keep it until its exchange starts here."""
        if number >= self._exchanges:
            peer.early.append((number, memory))
            return
        work = self._open.get(number)
        pieces = work.awaited[peer.rank] if work is not None else ()
        if work is None or not pieces or pieces[0].nbytes != memory.nbytes:
            awaited = f"{pieces[0].nbytes} bytes" if pieces else "no more"
            self._failure = PeerProtocolError(
                f"rank {peer.rank} sent {memory.nbytes} bytes in exchange {number} where "
                f"rank {self.rank} awaited {awaited}: the ranks do not run the same program"
            )
            return
        np.copyto(work.awaited[peer.rank].popleft(), np.frombuffer(memory, np.uint8))
        self._settle(work)

    def _settle(self, work: ZeroMQWork) -> None:
        if not any(work.awaited.values()):
            self._open.pop(work.number, None)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        goodbyes = {rank: self._say_goodbye(rank) for rank in self._peers}
        deadline = time.monotonic() + _LINGER_S
        while goodbyes and time.monotonic() < deadline:
            for rank, tracker in list(goodbyes.items()):
                if tracker.done or self._peers[rank].broken():
                    del goodbyes[rank]
            time.sleep(0.0002)
        self._close()

    def _say_goodbye(self, rank: int) -> zmq.MessageTracker:
        peer = self._peers[rank]
        if not peer.broken():
            peer.push.copy_threshold = 0  # a message this small is else copied, and not tracked
        return peer.send(self._header(_BYE, rank, self._exchanges), memoryview(b"bye"))


class ZeroMQWork:
    """An exchange of one rank: complete when all pieces have come and all sent ones have left."""

    def __init__(
        self, mesh: ZeroMQCommunicator, number: int, awaited: dict[int, deque[Piece]]
    ) -> None:
        self.number = number
        self.awaited = awaited
        self.sent: list[tuple[int, zmq.MessageTracker]] = []
        self._mesh = mesh

    def wait(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        self._mesh.drain(0)
        while not self._ended():
            left = deadline - time.monotonic()
            if left <= 0:
                awaited = self._sources() | {peer for peer, _ in self.sent}
                raise exchange_timeout(self._mesh.rank, self.number, timeout_s, awaited)
            self._pause(min(left, _GLANCE_S))
        error = self._error()
        if error is not None:
            raise error

    def done(self) -> bool:
        self._mesh.drain(0)
        return self._ended()

    def _pause(self, timeout_s: float) -> None:
        """Wait for the next event: a piece that comes, or else one of ours that leaves."""
        if self._sources():
            self._mesh.drain(timeout_s)
            return
        for rank, tracker in self.sent[:1]:  # none, if the last has left since this was looked at
            with contextlib.suppress(zmq.NotDone):
                tracker.wait(timeout_s)
            self._mesh.free(rank)

    def _ended(self) -> bool:
        return self._complete() or self._error() is not None

    def _complete(self) -> bool:
        self.sent = [(peer, tracker) for peer, tracker in self.sent if not tracker.done]
        return not (self.sent or self._sources())

    def _error(self) -> Exception | None:
        """Why this exchange fails. One that is complete is not undone by a loss after it."""
        cancelled = self._mesh.cancelled()
        return cancelled or (None if self._complete() else self._mesh.loss(self._sources()))

    def _sources(self) -> set[int]:
        return {source for source, pieces in self.awaited.items() if pieces}
