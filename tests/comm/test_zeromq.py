"""The ZeroMQ mesh: strangers change nothing, losses are noticed, nothing is left behind."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import zmq

from ddp.comm.pieces import PIECE_BYTES
from ddp.comm.zeromq import Listener, ZeroMQCommunicator, ZeroMQWork
from ddp.errors import CommError, CommTimeout, LocalProtocolError, PeerLost, PeerProtocolError
from tests.comm import contract
from tests.helpers.spawn import RANKS, kill_group, start
from tests.helpers.worlds import run_ranks

LIMIT_S = 20.0
TOKEN = bytes(range(16))
LOOPBACK = "tcp://127.0.0.1:0"


def mesh(size: int, address: str = LOOPBACK) -> tuple[list[ZeroMQCommunicator], list[str]]:
    """The ranks of a new mesh, and where they listen."""
    listeners = [Listener(address) for _ in range(size)]
    addresses = [listener.address for listener in listeners]
    return [one.connect(r, addresses, TOKEN) for r, one in enumerate(listeners)], addresses


@pytest.fixture
def pair() -> Iterator[tuple[ZeroMQCommunicator, ZeroMQCommunicator]]:
    (first, second), _ = mesh(2)
    yield first, second
    first.close()
    second.close()


def header(
    kind: int = 0, token: bytes = TOKEN, source: int = 1, count: int = 0, number: int = 0
) -> bytes:
    return struct.pack("<4sB16sIQQ", b"ddpx", kind, token, source, count, number)


@pytest.mark.parametrize(
    "frames",
    [
        [b"GET / HTTP/1.1"],
        [b"", b""],
        [header(token=bytes(16)), b"1234"],
        [header(source=0), b"1234"],
        [header(source=7), b"1234"],
        [header(), b"1234", b"a third frame"],
        [header()],
        [header() + b"x", b"1234"],
        [b"ddpy" + header()[4:], b"1234"],
        [os.urandom(200)] * 5,
    ],
)
def test_what_is_not_of_the_run_is_dropped_and_counted(frames: list[bytes]) -> None:
    (first, second), addresses = mesh(2)
    context = zmq.Context()
    stranger = context.socket(zmq.PUSH)
    stranger.connect(addresses[0])
    stranger.send_multipart(frames)
    deadline = time.monotonic() + LIMIT_S
    while not first.foreign and time.monotonic() < deadline:
        first.drain(0.05)
    assert first.foreign == 1

    works = [
        comm.all_to_all(contract.to_each(comm, 3), contract.from_each(comm, 3))
        for comm in (first, second)
    ]
    for work in works:
        work.wait(LIMIT_S)
    context.destroy(linger=0)
    first.close()
    second.close()


def test_a_frame_longer_than_a_piece_is_refused_before_it_is_stored() -> None:
    """libzmq drops the connection that sends it; the mesh goes on."""
    (first, second), addresses = mesh(2)
    context = zmq.Context()
    stranger = context.socket(zmq.PUSH)
    stranger.setsockopt(zmq.RECONNECT_IVL, -1)
    stranger.set_hwm(0)
    events = stranger.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    stranger.connect(addresses[0])
    stranger.send_multipart([header(), bytes(PIECE_BYTES + 1)])
    assert events.poll(LIMIT_S * 1000), "the connection was not dropped"
    stranger.disable_monitor()
    run_ranks([first, second], contract.each_rank_gets_what_was_sent_to_it)
    assert first.foreign == 0
    context.destroy(linger=0)


def test_raw_bytes_on_the_port_change_nothing() -> None:
    (first, second), addresses = mesh(2)
    host, port = addresses[0].removeprefix("tcp://").split(":")
    with socket.create_connection((host, int(port))) as stranger:
        stranger.sendall(b"\x00\xff" * 5000)
        run_ranks([first, second], contract.each_rank_gets_what_was_sent_to_it)


def test_a_peer_that_sends_another_length_is_named(
    pair: tuple[ZeroMQCommunicator, ZeroMQCommunicator],
) -> None:
    first, second = pair
    work = first.broadcast([np.zeros(4, np.uint8)], root=1)
    second.broadcast([np.zeros(5, np.uint8)], root=1)
    with pytest.raises(
        PeerProtocolError, match="rank 1 sent 5 bytes in exchange 0 where rank 0 aw"
    ):
        work.wait(LIMIT_S)


def test_a_peer_that_sends_more_than_is_awaited_is_named(
    pair: tuple[ZeroMQCommunicator, ZeroMQCommunicator],
) -> None:
    first, second = pair
    work = first.broadcast([np.zeros(4, np.uint8)], root=1)
    second.broadcast([np.zeros(4, np.uint8), np.zeros(1, np.uint8)], root=1)
    work.wait(LIMIT_S)
    with pytest.raises(PeerProtocolError, match=r"rank 1 sent 1 bytes .* rank 0 awaited no more"):
        first.barrier(LIMIT_S)


def test_a_missing_message_is_a_lost_peer() -> None:
    """What a broken connection swallowed cannot be had again."""
    listener = Listener(LOOPBACK)
    first = listener.connect(0, [listener.address, LOOPBACK.replace(":0", ":9")], TOKEN)
    context = zmq.Context()
    peer = context.socket(zmq.PUSH)
    peer.connect(listener.address)
    peer.send_multipart([header(count=0, number=0), b"1234"])
    peer.send_multipart([header(count=2, number=1), b"1234"])
    first.broadcast([np.zeros(4, np.uint8)], root=1).wait(LIMIT_S)
    with pytest.raises(PeerLost, match=r"rank 1 is gone: .* messages of it are missing"):
        first.broadcast([np.zeros(4, np.uint8)], root=1).wait(LIMIT_S)
    context.destroy(linger=0)
    listener.close()


def test_what_a_peer_sends_ahead_of_time_is_kept(
    pair: tuple[ZeroMQCommunicator, ZeroMQCommunicator],
) -> None:
    first, second = pair
    sent = [np.full(100 + i, i, np.int32) for i in range(50)]
    for array in sent:
        second.broadcast([array], root=1).wait(LIMIT_S)
    for array in sent:
        buffer = np.zeros_like(array)
        first.broadcast([buffer], root=1).wait(LIMIT_S)
        np.testing.assert_array_equal(buffer, array)


def test_a_thousand_exchanges_in_flight_lose_nothing(
    pair: tuple[ZeroMQCommunicator, ZeroMQCommunicator],
) -> None:
    """More than libzmq's default queue of a thousand messages."""
    first, second = pair
    buffers = [np.zeros(10, np.int32) for _ in range(3000)]
    for i in range(len(buffers)):
        second.broadcast([np.full(10, i, np.int32)], root=1)
    works = [first.broadcast([buffer], root=1) for buffer in buffers]
    for work in works:
        work.wait(LIMIT_S)
    assert [buffer[9] for buffer in buffers] == list(range(3000))


def test_a_peer_that_closes_is_gone_at_once_but_what_it_sent_before_is_not_lost(
    pair: tuple[ZeroMQCommunicator, ZeroMQCommunicator],
) -> None:
    first, second = pair
    buffer = np.zeros(300_000, np.int32)
    second.broadcast([np.ones_like(buffer)], root=1).wait(LIMIT_S)
    second.close()
    first.broadcast([buffer], root=1).wait(LIMIT_S)
    np.testing.assert_array_equal(buffer, 1)
    with pytest.raises(PeerLost, match="rank 1 is gone: it closed its communicator"):
        first.broadcast([buffer], root=1).wait(LIMIT_S)
    first.broadcast([buffer], root=0).wait(LIMIT_S)  # sent into the void: the buffer is free


def test_buffers_are_free_again_when_the_peer_they_were_sent_to_is_gone() -> None:
    """A peer that takes in two messages and then dies; the rest of 64 MB is never sent."""
    context = zmq.Context()
    peer = context.socket(zmq.PULL)
    peer.setsockopt(zmq.RCVHWM, 1)
    peer.bind(LOOPBACK)
    listener = Listener(LOOPBACK)
    theirs = peer.getsockopt_string(zmq.LAST_ENDPOINT)
    first = listener.connect(0, [listener.address, theirs], TOKEN)
    work = first.broadcast([np.zeros(64 << 20, np.uint8)], root=0)
    with pytest.raises(CommTimeout, match=r"still awaits rank\(s\) 1 after"):
        work.wait(0.1)
    context.destroy(linger=0)
    work.wait(LIMIT_S)
    first.close()


def test_cancel_wakes_a_rank_that_waits(
    pair: tuple[ZeroMQCommunicator, ZeroMQCommunicator],
) -> None:
    first, _ = pair
    work = first.broadcast([np.zeros(4, np.uint8)], root=1)
    timer = threading.Timer(0.0, first.cancel, [CommError("stopped by the coordinator")])
    timer.start()
    with pytest.raises(CommError, match="stopped by the coordinator"):
        work.wait(LIMIT_S)
    assert work.done()
    timer.join()


def test_signal_handlers_run_during_a_wait(
    pair: tuple[ZeroMQCommunicator, ZeroMQCommunicator],
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    try:
        work = pair[0].broadcast([np.zeros(4, np.uint8)], root=1)
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(KeyboardInterrupt):
            work.wait(LIMIT_S)
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1", "carrier-pigeon://x", "tcp://192.0.2.1:0"])
def test_an_address_that_cannot_be_bound_is_named(address: str) -> None:
    with pytest.raises(CommError, match=f"cannot listen at {address}: "):
        Listener(address)


def test_a_port_in_use_is_named() -> None:
    first = Listener(LOOPBACK)
    with pytest.raises(
        CommError, match=f"cannot listen at {first.address}: Address already in use"
    ):
        Listener(first.address)
    first.close()


def test_a_peer_whose_address_is_none_is_named() -> None:
    listener = Listener(LOOPBACK)
    with pytest.raises(CommError, match="rank 0 cannot connect to rank 1 at nowhere"):
        listener.connect(0, [listener.address, "nowhere"], TOKEN)


def test_a_token_has_sixteen_bytes() -> None:
    listener = Listener(LOOPBACK)
    with pytest.raises(LocalProtocolError, match="16 bytes, got 4"):
        listener.connect(0, [listener.address], b"1234")
    listener.close()


def open_files() -> set[str]:
    """What the descriptors of this process point to; those of no name are counted by kind."""
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{descriptor}").split("[")[0])
        except FileNotFoundError:
            continue  # the listing itself
    return {f"{name} {found.count(name)}" for name in found}


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads /proc")
@pytest.mark.parametrize("address", [LOOPBACK, "ipc://@"])
def test_no_socket_thread_or_file_is_left(address: str, tmp_path: Path) -> None:
    run_ranks(mesh(2, address)[0], contract.each_rank_gets_what_was_sent_to_it)  # pyzmq's own
    gc.collect()
    before, threads, where = open_files(), threading.active_count(), Path.cwd()
    os.chdir(tmp_path)
    try:
        run_ranks(mesh(3, address)[0], contract.each_rank_gets_what_was_sent_to_it)
    finally:
        os.chdir(where)
    gc.collect()
    assert open_files() == before
    assert threading.active_count() == threads
    assert list(tmp_path.iterdir()) == []


def test_closing_does_not_wait_for_peers_that_are_gone() -> None:
    (first, second, third), _ = mesh(3)
    start_s = time.monotonic()
    for comm in (first, second, third):
        comm.close()
    assert time.monotonic() - start_s < 1.5  # the linger time is 2 s


# Ranks in processes of their own.


def start_ranks(size: int, address: str, victim: int | None) -> list[subprocess.Popen[str]]:
    """Start the ranks and tell them of each other, as the coordinator would."""
    ranks = [start([sys.executable, RANKS / "zeromq_contract.py", address]) for _ in range(size)]
    addresses = [rank.stdout.readline().strip() for rank in ranks if rank.stdout]
    orders = {"addresses": addresses, "victim": victim}
    for number, rank in enumerate(ranks):
        assert rank.stdin is not None
        rank.stdin.write(json.dumps(orders | {"rank": number}) + "\n")
        rank.stdin.flush()
    return ranks


def finish(ranks: Sequence[subprocess.Popen[str]]) -> list[str]:
    """What each rank still said, when all have ended; none outlives the test."""
    try:
        return ["".join(rank.communicate(timeout=LIMIT_S)) for rank in ranks]
    finally:
        for rank in ranks:
            kill_group(rank)


@pytest.mark.slow  # starts three interpreters
@pytest.mark.parametrize("address", [LOOPBACK, "ipc://@"])
def test_three_processes_keep_the_contract(address: str) -> None:
    ranks = start_ranks(3, address, victim=None)
    assert finish(ranks) == ["kept the contract\n"] * 3
    assert [rank.returncode for rank in ranks] == [0, 0, 0]


@pytest.mark.slow  # starts three interpreters
def test_a_killed_process_is_noticed_by_all_within_seconds() -> None:
    """No coordinator tells them: the operating system closes the connections of the dead."""
    ranks = start_ranks(3, LOOPBACK, victim=1)
    victim = ranks[1]
    for rank in ranks:
        assert rank.stdout is not None
        assert rank.stdout.readline() == "kept the contract\n"
    victim.kill()
    start_s = time.monotonic()
    first, _, third = finish(ranks)
    assert time.monotonic() - start_s < 5.0
    assert "rank 1 is gone: its connection broke\n" in (first, third)
    for last_words in (first, third):  # the other may see first that the first has closed
        assert last_words.count("is gone: ") == 1


def test_an_exchange_whose_last_piece_has_just_left_has_nothing_to_wait_for() -> None:
    work = ZeroMQWork(ZeroMQCommunicator.__new__(ZeroMQCommunicator), 0, {})
    work._pause(0.0)
