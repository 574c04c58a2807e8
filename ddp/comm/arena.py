"""Memory shared by the ranks of one host, whatever the transport between hosts: how it comes to be.

    arena = open_arena(comm, common_bytes, own_bytes, channels, timeout_s)    # every rank calls it

What an arena is stands in `ddp.comm.neighbours`. Opening is collective over the communicator. Ranks
that could share memory and do not (it is refused, or they are in containers that do not see each
other) are strangers to each other: each has itself as only neighbour and private memory, `note`
says why on one of them, and their data takes the transport.

Flags. One cache line for each rank and channel, with an ascending number that only its owner
writes, and a word by which a waiter asks to be woken. An aligned store of eight bytes is never seen
in halves. x86 processors make stores visible in their order, so whoever sees a number sees what was
written before it; others may not, hence `_fence`. A wait looks for a while, then sleeps until it
is woken, and every now and then asks the communicator whether the awaited rank is gone or the wait
was cancelled. Its request may cross with the publication, hence the limit of each sleep.

How long to look. Waking a sleeper takes the publisher longer than a small exchange (36 us on a
virtual machine), so ranks that are processes with a core each look for nearly half a millisecond.
Ranks that share cores, or one Python as threads, hinder each other by looking (with every core
busy, one that keeps looking or yields takes three times as long to get its turn): they look for
some microseconds. Looks that were in vain make the next ones fewer either way.
"""

from __future__ import annotations

import os
import platform
import struct
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

from ddp.comm import futex
from ddp.comm.communicator import Communicator, exchange_timeout
from ddp.comm.neighbours import LINE_BYTES, Arena, Memory, PrivateArena, Ranks
from ddp.comm.segment import Home, Offer, Segment, find_home
from ddp.cores import usable_cores

PAGE_BYTES = 4096
_WORDS = LINE_BYTES // 8

_FEWEST_LOOKS, _SOME_LOOKS, _MANY_LOOKS = 20, 200, 5000  # about 2 us, 18 us, 440 us
_LONGEST_SLEEP_S = 0.002
_GLANCE_S = 0.02  # how often a wait asks for losses

_OFFER = struct.Struct("<qq16s")
_NO_OFFER = Offer(0, -1, bytes(16))


def open_arena(
    comm: Communicator,
    common_bytes: int,
    own_bytes: Sequence[int],
    channels: int,
    timeout_s: float,
    *,
    share: bool = True,
) -> Arena:
    """Share memory with the ranks of this host: a common part, and `own_bytes[r]` of each rank r.

    Every rank of `comm` calls it with equal arguments. Raises CommError when a rank is lost
    meanwhile or `timeout_s` passes; that memory cannot be shared is no error. With `share` false
    nobody shares, and nothing is exchanged.
    """
    if comm.size == 1 or not share:
        return PrivateArena(comm, common_bytes, own_bytes)
    return _Opening(comm, common_bytes, own_bytes, channels, timeout_s).run(find_home())


def most_looks(ranks: int, processes: int, cores: int) -> int:
    """How often a wait of so many neighbours looks before it sleeps, at most.

    A look goes through the flags of all others: the more they are, the fewer looks.
    """
    if ranks == processes <= cores:
        return max(_MANY_LOOKS // (ranks - 1), _SOME_LOOKS)
    return _SOME_LOOKS


class SharedArena(Arena):
    """An arena over shared memory."""

    def __init__(
        self,
        comm: Communicator,
        hosts: Sequence[Ranks],
        memory: Memory,
        plan: _Plan,
        most_looks: int,
        note: str,
    ) -> None:
        self.rank = comm.rank
        self.hosts = tuple(hosts)
        self.neighbours = plan.neighbours
        self.note = note
        self.common = memory[plan.common]
        self.of = {rank: memory[part] for rank, part in plan.own.items()}
        self._comm = comm
        self._flags = memoryview(memory[plan.flags].data).cast("Q")
        lines = {r: i * plan.channels * _WORDS for i, r in enumerate(self.neighbours)}
        self._mine = lines.pop(comm.rank)
        self._theirs = tuple(lines.items())
        self._line = lines
        self._address = memory[plan.flags].ctypes.data
        self._looks = self._most_looks = most_looks

    def publish(self, channel: int, number: int) -> None:
        _fence()
        word = self._mine + channel * _WORDS
        self._flags[word] = number
        if self._flags[word + 1]:
            self._flags[word + 1] = 0
            futex.wake(self._address + 8 * word)

    def wait(self, channel: int, number: int, timeout_s: float) -> None:
        if not self.has(channel, number):
            self._wait_for(channel, number, timeout_s)
            _fence()

    def has(self, channel: int, number: int) -> bool:
        word = channel * _WORDS
        for _, line in self._theirs:
            if self._flags[line + word] < number:
                return False
        _fence()
        return True

    def _behind(self, channel: int, number: int) -> list[int]:
        word = channel * _WORDS
        return [rank for rank, line in self._theirs if self._flags[line + word] < number]

    def _wait_for(self, channel: int, number: int, timeout_s: float) -> None:
        for _ in range(self._looks):
            if self.has(channel, number):
                self._looks = min(2 * self._looks, self._most_looks)
                return
        self._looks = max(self._looks // 2, _FEWEST_LOOKS)
        start_s = time.monotonic()
        glance_s = _GLANCE_S
        while behind := self._behind(channel, number):
            waited_s = time.monotonic() - start_s
            if waited_s > glance_s:
                self._raise_loss(behind)
                glance_s = waited_s + _GLANCE_S
            if waited_s > timeout_s:
                raise exchange_timeout(self._comm.rank, number, timeout_s, behind)
            self._sleep(behind[0], channel, number)

    def _sleep(self, rank: int, channel: int, number: int) -> None:
        """Sleep until `rank` publishes on the channel, or a little."""
        word = self._line[rank] + channel * _WORDS
        if not futex.available:
            time.sleep(_LONGEST_SLEEP_S)
            return
        self._flags[word + 1] = 1
        seen = self._flags[word]
        if seen < number:
            futex.wait(self._address + 8 * word, seen & 0xFFFFFFFF, _LONGEST_SLEEP_S)

    def _raise_loss(self, behind: Sequence[int]) -> None:
        error = self._comm.failure(behind)
        if error is not None:
            raise error


class _Plan:
    """Where everything lies in the memory of one host; equal on all its ranks."""

    def __init__(
        self, neighbours: Ranks, common_bytes: int, own_bytes: Sequence[int], channels: int
    ) -> None:
        self.neighbours = neighbours
        self.channels = channels
        self.nbytes = 0
        self.flags = self._place(len(neighbours) * channels * LINE_BYTES)
        self.common = self._place(common_bytes)
        self.own = {rank: self._place(own_bytes[rank]) for rank in neighbours}

    def _place(self, nbytes: int) -> slice:
        place = slice(self.nbytes, self.nbytes + nbytes)
        self.nbytes += -(-nbytes // PAGE_BYTES) * PAGE_BYTES
        return place


class _Opening:
    """The three rounds in which ranks find each other, offer memory, and agree."""

    def __init__(
        self,
        comm: Communicator,
        common_bytes: int,
        own_bytes: Sequence[int],
        channels: int,
        timeout_s: float,
    ) -> None:
        self._comm = comm
        self._sizes = common_bytes, own_bytes, channels
        self._timeout_s = timeout_s

    def run(self, mine: Home) -> Arena:
        cards = self._gather(mine.machine + mine.neighbours + os.getpid().to_bytes(8, "little"))
        homes = [Home(card[:16], card[16:32]) for card in cards]
        hosts = _groups([h.neighbours for h in homes])
        note = self._apart_note(homes, hosts)
        if all(len(ranks) == 1 for ranks in hosts):
            return self._private(hosts, note)
        neighbours = next(ranks for ranks in hosts if self._comm.rank in ranks)
        plan = _Plan(neighbours, *self._sizes)
        segment, problem = self._share(neighbours, plan)
        answers = [bool(answer[0]) for answer in self._gather(bytes([segment is not None]))]
        if segment is not None and self._is_first(neighbours):
            segment.withdraw()
        hosts = [
            part
            for ranks in hosts
            for part in ([ranks] if all(answers[r] for r in ranks) else [(r,) for r in ranks])
        ]
        hosts.sort()
        note = problem or note
        if segment is None or neighbours not in hosts:
            return self._private(hosts, note)
        processes = len({cards[rank] for rank in neighbours})
        looks = most_looks(len(neighbours), processes, usable_cores())
        return SharedArena(self._comm, hosts, segment.memory, plan, looks, note)

    def _private(self, hosts: Sequence[Ranks], note: str) -> Arena:
        common_bytes, own_bytes, _ = self._sizes
        return PrivateArena(self._comm, common_bytes, own_bytes, hosts, note)

    def _share(self, neighbours: Ranks, plan: _Plan) -> tuple[Segment | None, str]:
        """The segment of this host, or None and why there is none."""
        segment, problem, offer = None, "", _NO_OFFER
        if len(neighbours) > 1 and self._is_first(neighbours):
            segment, problem = self._attempt(lambda: Segment.create(plan.nbytes), plan)
            offer = segment.offer if segment is not None else offer
        offers = [Offer(*_OFFER.unpack(raw)) for raw in self._gather(_OFFER.pack(*offer))]
        theirs = offers[neighbours[0]]
        if theirs.descriptor >= 0 and not self._is_first(neighbours):
            segment, problem = self._attempt(lambda: Segment.open(theirs, plan.nbytes), plan)
        return segment, problem

    def _attempt(self, make: Callable[[], Segment], plan: _Plan) -> tuple[Segment | None, str]:
        try:
            return make(), ""
        except (OSError, ValueError) as error:
            ranks = ", ".join(map(str, plan.neighbours))
            return None, (
                f"ranks {ranks} share no memory, their data goes through the transport: "
                f"{plan.nbytes / 2**20:.0f} MiB are not to be had ({error})"
            )

    def _is_first(self, neighbours: Ranks) -> bool:
        return self._comm.rank == neighbours[0]

    def _apart_note(self, homes: Sequence[Home], hosts: Sequence[Ranks]) -> str:
        """What the lowest rank of a machine says when its ranks cannot see each other."""
        machines = _groups([h.machine for h in homes])
        mine = next(ranks for ranks in machines if self._comm.rank in ranks)
        if mine in hosts or self._comm.rank != mine[0]:
            return ""
        return (
            f"ranks {', '.join(map(str, mine))} are on one machine, but in containers or of users "
            "that share no memory: their data goes through the transport"
        )

    def _gather(self, record: bytes) -> list[bytes]:
        """The records of all ranks, equally long."""
        cards = np.zeros((self._comm.size, len(record)), np.uint8)
        cards[self._comm.rank] = np.frombuffer(record, np.uint8)
        receive = [() if r == self._comm.rank else (cards[r],) for r in range(self._comm.size)]
        self._comm.all_gather([cards[self._comm.rank]], receive).wait(self._timeout_s)
        return [card.tobytes() for card in cards]


def _groups(keys: Sequence[bytes]) -> list[Ranks]:
    """The ranks with equal keys, in the order of their lowest."""
    groups: dict[bytes, list[int]] = {}
    for rank, key in enumerate(keys):
        groups.setdefault(key, []).append(rank)
    return [tuple(ranks) for ranks in groups.values()]


_lock = threading.Lock()


def _fence() -> None:
    """Keep reads and writes of memory on their side of this call.

    x86 needs nothing. Elsewhere, a release followed by an acquire orders what is before the one and
    after the other; Python has no other way to say it.
    """
    if not _STRONGLY_ORDERED:
        with _lock:
            pass
        with _lock:
            pass


_STRONGLY_ORDERED = platform.machine().lower() in ("x86_64", "amd64", "i386", "i686")
