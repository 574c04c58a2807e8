"""Memory that neighbours share: who shares with whom, what a flag promises, how a wait ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ddp.comm import arena as arena_module
from ddp.comm import futex
from ddp.comm import segment as segment_module
from ddp.comm.arena import Arena, most_looks, open_arena
from ddp.comm.communicator import Communicator
from ddp.comm.segment import Home, Offer, Segment, find_home
from ddp.comm.solo import SoloCommunicator
from ddp.errors import CommError, CommTimeout, PeerLost
from tests.helpers.hosts import make_up_hosts
from tests.helpers.worlds import run_world

LIMIT_S = 20.0
CHANNELS = 3


def open_small(comm: Communicator) -> Arena:
    """64 bytes in common, 100 + r bytes of rank r."""
    return open_arena(comm, 64, [100 + r for r in range(comm.size)], CHANNELS, LIMIT_S)


def write_and_read(comm: Communicator) -> dict[str, object]:
    """Every rank writes into its memory, the lowest into the common part; all read everything."""
    arena = open_small(comm)
    arena.of[comm.rank][:] = comm.rank + 1
    if arena.leads:
        arena.common[:] = 77
    arena.barrier(0, 1, LIMIT_S)
    return {
        "hosts": arena.hosts,
        "neighbours": arena.neighbours,
        "seen": {rank: (part.size, set(part.tolist())) for rank, part in arena.of.items()},
        "common": set(arena.common.tolist()),
        "note": arena.note,
    }


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_ranks_of_one_host_see_what_the_others_wrote(size: int) -> None:
    for result in run_world(size, write_and_read):
        assert result["hosts"] == (tuple(range(size)),)
        assert result["seen"] == {r: (100 + r, {r + 1}) for r in range(size)}
        assert result["common"] == {77}
        assert result["note"] == ""


def test_ranks_of_two_hosts_share_with_their_own_host_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_up_hosts(monkeypatch, "abab")
    for rank, result in enumerate(run_world(4, write_and_read)):
        mine = (0, 2) if rank % 2 == 0 else (1, 3)
        assert result["hosts"] == ((0, 2), (1, 3))
        assert result["neighbours"] == mine
        assert result["seen"] == {r: (100 + r, {r + 1}) for r in mine}
        assert result["note"] == ""


def test_containers_of_one_machine_do_not_share_and_one_rank_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_up_hosts(monkeypatch, "abc", machine="xxy")
    results = run_world(3, write_and_read)
    assert all(result["hosts"] == ((0,), (1,), (2,)) for result in results)
    assert "ranks 0, 1 are on one machine" in str(results[0]["note"])
    assert [result["note"] for result in results[1:]] == ["", ""]


def refuse_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, start: int, length: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(segment_module.os, "posix_fallocate", refuse)


def test_refused_memory_is_told_once_and_everybody_goes_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refuse_memory(monkeypatch)
    descriptors = os.listdir("/proc/self/fd")
    results = run_world(3, write_and_read)
    assert all(result["hosts"] == ((0,), (1,), (2,)) for result in results)
    notes = [str(result["note"]) for result in results if result["note"]]
    assert len(notes) == 1
    assert "ranks 0, 1, 2 share no memory" in notes[0]
    assert "No space left on device" in notes[0]
    assert len(os.listdir("/proc/self/fd")) == len(descriptors)


def test_one_rank_that_cannot_open_the_memory_keeps_all_of_its_host_from_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    genuine = Segment.open.__func__  # type: ignore[attr-defined]

    def open_(cls: type[Segment], offer: Offer, nbytes: int) -> Segment:
        if threading.current_thread().name == "rank 2":
            raise PermissionError("not yours")
        segment: Segment = genuine(cls, offer, nbytes)
        return segment

    monkeypatch.setattr(Segment, "open", classmethod(open_))
    results = run_world(3, write_and_read)
    assert all(result["hosts"] == ((0,), (1,), (2,)) for result in results)
    assert [bool(result["note"]) for result in results] == [False, False, True]


def test_a_world_that_shall_not_share_exchanges_nothing() -> None:
    def one_rank(comm: Communicator) -> tuple[int, ...]:
        if comm.rank == 1:
            return ()  # would hang the other one, if it waited
        return open_arena(comm, 64, [1, 1], 1, LIMIT_S, share=False).neighbours

    assert run_world(2, one_rank)[0] == (0,)


def test_memory_begins_on_a_cache_line_and_as_zeros() -> None:
    def one_rank(comm: Communicator) -> bool:
        arena = open_small(comm)
        parts = [arena.common, *arena.of.values()]
        clean = not any(part.any() for part in parts)
        return clean and all(part.ctypes.data % 64 == 0 for part in parts)

    assert all(run_world(2, one_rank))
    assert one_rank(SoloCommunicator())


# -- flags --------------------------------------------------------------------------------------


def test_a_wait_ends_when_the_last_neighbour_has_published_on_that_channel() -> None:
    order: list[str] = []

    def one_rank(comm: Communicator) -> None:
        arena = open_small(comm)
        if comm.rank == 0:
            arena.wait(1, 5, LIMIT_S)
            order.append("waited")
        else:
            arena.publish(0, 9)
            arena.publish(1, 4)
            order.append("published")
            arena.publish(1, 4 + comm.rank)
        arena.barrier(2, 1, LIMIT_S)

    run_world(3, one_rank)
    assert order == ["published", "published", "waited"]


def test_a_wait_in_vain_ends_with_the_ranks_awaited() -> None:
    def one_rank(comm: Communicator) -> str:
        arena = open_small(comm)
        if comm.rank == 1:
            arena.publish(0, 1)
        if comm.rank == 0:
            with pytest.raises(CommTimeout) as caught:
                arena.wait(0, 1, 0.05)
        comm.barrier(LIMIT_S)
        return str(caught.value) if comm.rank == 0 else ""

    said = run_world(3, one_rank)[0]
    assert "rank 0 still awaits rank(s) 2 after 0.05 s" in said


def test_a_neighbour_that_leaves_ends_the_wait_for_it() -> None:
    def one_rank(comm: Communicator) -> None:
        arena = open_small(comm)
        if comm.rank == 0:
            arena.wait(0, 1, LIMIT_S)
        raise RuntimeError("the dog ate it")

    start = time.monotonic()
    with pytest.raises(RuntimeError, match="dog"):
        run_world(2, one_rank)
    assert time.monotonic() - start < LIMIT_S / 2


def test_a_neighbour_that_closes_ends_the_wait_for_it() -> None:
    def one_rank(comm: Communicator) -> None:
        arena = open_small(comm)
        if comm.rank == 0:
            with pytest.raises(PeerLost, match="rank 1"):
                arena.wait(0, 1, LIMIT_S)

    run_world(2, one_rank)


def test_a_cancelled_wait_raises_what_it_was_cancelled_with() -> None:
    def one_rank(comm: Communicator) -> None:
        arena = open_small(comm)
        if comm.rank == 1:
            arena.publish(0, 1)
            comm.barrier(LIMIT_S)
            return
        timer = threading.Timer(0.05, comm.cancel, [CommError("the run was ended")])
        timer.start()
        try:
            with pytest.raises(CommError, match="the run was ended"):
                arena.wait(0, 1, LIMIT_S) or arena.wait(1, 1, LIMIT_S)
        finally:
            timer.join()
            comm._cancelled = None
            comm.barrier(LIMIT_S)

    run_world(2, one_rank)


def test_without_the_order_of_x86_every_flag_is_fenced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arena_module, "_STRONGLY_ORDERED", False)
    run_world(2, write_and_read)


# -- segments -----------------------------------------------------------------------------------

CHILD = """
import sys
from ddp.comm.segment import Offer, Segment
pid, descriptor, token, nbytes = sys.argv[1:]
segment = Segment.open(Offer(int(pid), int(descriptor), bytes.fromhex(token)), int(nbytes))
segment.memory[:] += 1
print("here", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def segment() -> Iterator[Segment]:
    made = Segment.create(1000)
    yield made
    made.withdraw()


def test_another_process_finds_the_memory_and_its_death_leaves_it_as_it_was(
    segment: Segment,
) -> None:
    pid, descriptor, token = segment.offer
    argv = [sys.executable, "-c", CHILD, str(pid), str(descriptor), token.hex(), "1000"]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"here\n"
        child.send_signal(signal.SIGKILL)
    assert set(segment.memory.tolist()) == {1}


def test_memory_of_another_run_or_size_is_refused(segment: Segment) -> None:
    with pytest.raises(OSError, match="another run"):
        Segment.open(segment.offer._replace(token=bytes(16)), 1000)
    with pytest.raises(OSError, match="something else"):
        Segment.open(segment.offer, 2000)


def test_nothing_has_a_name() -> None:
    before = set(os.listdir("/dev/shm"))
    memory = Segment.create(1 << 20)
    assert set(os.listdir("/dev/shm")) == before
    memory.withdraw()


def test_more_memory_than_is_free_is_refused_before_anything_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(OSError, match="MiB are free"):
        Segment.create(1 << 62)
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    monkeypatch.setattr(segment_module, "_CONTAINER", tmp_path)
    assert segment_module.free_bytes() == 2_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert segment_module.free_bytes() > 2_000_000


def test_a_process_is_its_own_neighbour() -> None:
    assert find_home() == find_home()
    assert isinstance(find_home(), Home)


def test_where_a_process_lives_alone_when_it_cannot_be_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(segment_module, "_BOOT_ID", tmp_path / "none")
    assert find_home() != find_home()


# -- futex --------------------------------------------------------------------------------------


def test_only_ranks_with_a_core_each_look_for_long_before_they_sleep() -> None:
    long, short = most_looks(2, processes=2, cores=2), most_looks(2, processes=2, cores=1)
    assert long > 10 * short
    assert most_looks(5, processes=5, cores=8) == long // 4  # each look is at four
    assert most_looks(64, processes=64, cores=64) == short
    assert most_looks(2, processes=1, cores=8) == short  # threads: who looks has Python's lock
    assert all(arena._most_looks == short for arena in run_world(2, open_small))


@pytest.mark.skipif(not futex.available, reason="no futex on this system")
def test_a_sleeper_is_woken_and_one_that_comes_too_late_does_not_sleep(segment: Segment) -> None:
    word = segment.memory[:4].view(np.uint32)
    address = segment.memory.ctypes.data
    futex.wait(address, 7, 0.9)  # the word is 0: nothing to wait for
    started = threading.Event()
    slept_s: list[float] = []

    def sleep() -> None:
        start = time.monotonic()
        started.set()
        while word[0] == 0:
            futex.wait(address, 0, 0.9)
        slept_s.append(time.monotonic() - start)

    sleeper = threading.Thread(target=sleep)
    sleeper.start()
    started.wait()
    word[0] = 1
    futex.wake(address)
    sleeper.join()
    assert len(slept_s) == 1


def test_where_there_is_no_futex_a_wait_looks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(futex, "available", False)
    for result in run_world(3, write_and_read):
        assert result["common"] == {77}
