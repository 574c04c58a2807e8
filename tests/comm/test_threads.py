"""The world of threads: who fails takes his peers out of their waits, and letters keep order."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from ddp.comm.communicator import Arrays, Communicator
from ddp.comm.threads import make_world
from ddp.errors import CommError, LocalProtocolError, PeerLost, PeerProtocolError
from tests.helpers.worlds import run_ranks, run_world

LIMIT_S = 20.0


def test_a_failing_rank_ends_the_waits_of_its_peers_and_its_error_is_the_one_raised() -> None:
    seen: dict[int, PeerLost] = {}

    def rank_1_fails(comm: Communicator) -> None:
        if comm.rank == 1:
            raise ZeroDivisionError("the culprit")
        with pytest.raises(PeerLost) as lost:
            comm.barrier(LIMIT_S)
        seen[comm.rank] = lost.value

    with pytest.raises(ZeroDivisionError, match="the culprit"):
        run_world(3, rank_1_fails)
    assert {0, 2} == seen.keys()
    assert 1 in {lost.rank for lost in seen.values()}


def test_a_lost_peer_is_named_with_what_it_died_of() -> None:
    (first, _), (second, _) = make_world(2)
    work = first.broadcast([np.zeros(3, np.float32)], root=1)
    second.leave("ValueError: label 10 is out of range")
    with pytest.raises(PeerLost, match="rank 1 is gone: ValueError: label 10 is out of range"):
        work.wait(LIMIT_S)


def test_what_a_rank_sent_before_it_left_is_not_lost() -> None:
    (first, _), (second, _) = make_world(2)
    buffer = np.zeros(3, np.float32)
    work = first.broadcast([buffer], root=1)
    second.broadcast([np.ones(3, np.float32)], root=1).wait(LIMIT_S)
    second.close()
    work.wait(LIMIT_S)
    np.testing.assert_array_equal(buffer, 1)


def test_bytes_are_not_taken_from_a_rank_that_has_left() -> None:
    """Its buffers may be used for other things by then."""
    (first, _), (second, _) = make_world(2)
    second.broadcast([np.ones(3, np.float32)], root=1)
    second.close()
    with pytest.raises(PeerLost):
        first.broadcast([np.zeros(3, np.float32)], root=1).wait(LIMIT_S)


@pytest.mark.parametrize("other", [np.zeros(4, np.float32), np.zeros(3, np.int32)])
def test_ranks_that_disagree_on_an_array_are_both_told(other: np.ndarray) -> None:
    (first, _), (second, _) = make_world(2)
    works = [
        first.broadcast([np.zeros(3, np.float32)], root=0),
        second.broadcast([other], root=0),
    ]
    for work in works:
        with pytest.raises(PeerProtocolError, match=r"rank 0 sent .*float32.* which awaited"):
            work.wait(LIMIT_S)


def test_cancel_wakes_a_rank_that_waits() -> None:
    (first, _), _ = make_world(2)
    work = first.broadcast([np.zeros(3, np.float32)], root=1)
    timer = threading.Timer(0.0, first.cancel, [CommError("stopped")])
    timer.start()
    with pytest.raises(CommError, match="stopped"):
        work.wait(LIMIT_S)
    timer.join()


def test_an_exchange_of_four_ranks_takes_milliseconds() -> None:
    """A generous bound for a loaded machine; usually a hundred such exchanges take 30 ms."""

    def exchange(comm: Communicator) -> None:
        for _ in range(100):
            comm.barrier(LIMIT_S)

    start = time.perf_counter()
    run_world(4, exchange)
    assert time.perf_counter() - start < 2.0


def test_a_rank_that_hangs_is_named_and_cancelled() -> None:
    def rank_1_waits_in_vain(comm: Communicator) -> None:
        nothing: list[Arrays] = [()] * 2
        if comm.rank == 1:
            comm.all_to_all(nothing, [[np.zeros(1, np.uint8)], ()]).wait(LIMIT_S)
        else:
            hold.wait(LIMIT_S)

    hold = threading.Event()
    threading.Timer(0.1, hold.set).start()
    with pytest.raises(CommError, match="the time of the test is up"):
        run_world(2, rank_1_waits_in_vain, timeout_s=0.02)


def test_letters_of_one_rank_keep_their_order_and_their_frames() -> None:
    (_, first), (_, second) = make_world(2)
    first.post(1, [b"one", memoryview(b"two"), np.arange(3, dtype=np.uint8)])
    first.post(1, [])
    second.post(1, [b"to myself"])
    assert second.poll(LIMIT_S) == (0, [b"one", b"two", b"\x00\x01\x02"])
    assert second.poll(LIMIT_S) == (0, [])
    assert second.poll(LIMIT_S) == (1, [b"to myself"])
    assert second.poll(0.0) is None
    assert first.poll(0.01) is None


def test_letters_may_be_changed_after_they_are_posted() -> None:
    (_, only), *_ = make_world(1)
    content = np.zeros(3, np.uint8)
    only.post(0, [content])
    content[:] = 9
    assert only.poll(LIMIT_S) == (0, [bytes(3)])


def test_no_thread_is_left_behind() -> None:
    before = set(threading.enumerate())
    run_ranks([comm for comm, _ in make_world(4)], lambda comm: comm.barrier(LIMIT_S))
    assert set(threading.enumerate()) == before


def test_a_world_without_ranks_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="at least one rank, got 0"):
        make_world(0)
