"""Every transport that lives in one process keeps the contract, in worlds of one to four ranks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest

from ddp.comm.communicator import Communicator
from ddp.comm.solo import SoloCommunicator
from ddp.comm.threads import make_world
from ddp.comm.zeromq import Listener
from tests.comm import contract
from tests.helpers.worlds import run_ranks

MakeRanks = Callable[[int], Sequence[Communicator]]


def solo(size: int) -> Sequence[Communicator]:
    return [SoloCommunicator()]


def threads(size: int) -> Sequence[Communicator]:
    return [communicator for communicator, _ in make_world(size)]


def zeromq_over(address: str) -> MakeRanks:
    def make_ranks(size: int) -> Sequence[Communicator]:
        listeners = [Listener(address) for _ in range(size)]
        addresses = [listener.address for listener in listeners]
        return [listener.connect(r, addresses, bytes(16)) for r, listener in enumerate(listeners)]

    return make_ranks


tcp, ipc = zeromq_over("tcp://127.0.0.1:0"), zeromq_over("ipc://@")

WORLDS = [
    pytest.param(solo, 1, id="solo-1"),
    *[pytest.param(threads, n, id=f"threads-{n}") for n in (1, 2, 3, 4)],
    *[pytest.param(tcp, n, id=f"tcp-{n}") for n in (1, 2, 4)],
    pytest.param(ipc, 3, id="ipc-3"),
]


@pytest.mark.parametrize("check", contract.GENTLE + contract.FINAL, ids=lambda f: f.__name__)
@pytest.mark.parametrize(("make_ranks", "size"), WORLDS)
def test_contract(make_ranks: MakeRanks, size: int, check: Callable[[Communicator], None]) -> None:
    def check_when_all_are_there(comm: Communicator) -> None:
        comm.barrier(contract.LIMIT_S)
        check(comm)

    run_ranks(make_ranks(size), check_when_all_are_there)


@pytest.mark.parametrize(("make_ranks", "size"), WORLDS)
def test_a_barrier_holds_until_all_ranks_have_come(make_ranks: MakeRanks, size: int) -> None:
    entered: list[int] = []
    lock = threading.Lock()

    def come_and_count(comm: Communicator) -> None:
        for turn in range(1, 20):
            with lock:
                entered.append(comm.rank)
            comm.barrier(contract.LIMIT_S)
            assert len(entered) >= turn * size

    run_ranks(make_ranks(size), come_and_count)


@pytest.mark.parametrize(("make_ranks", "size"), WORLDS)
def test_closing_twice_does_nothing_more(make_ranks: MakeRanks, size: int) -> None:
    def close_twice(comm: Communicator) -> None:
        comm.barrier(contract.LIMIT_S)
        comm.close()
        comm.close()

    run_ranks(make_ranks(size), close_twice)
