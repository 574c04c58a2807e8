"""How long an exchange between two ranks takes, by transport, operation and size.

    python benchmarks/bench_exchange.py                      # all transports, about 20 s
    python benchmarks/bench_exchange.py threads mpi          # some

Prints a JSON line per case: `bytes` is what each rank sends, `median_us` the time from the start of
the exchange to the end of `wait` on rank 0, and `gb_per_s` the bytes that reach it in that time.
Both ranks meet at a barrier before each turn. mpi is left out where there is no mpiexec.
"""

from __future__ import annotations

import json
import multiprocessing
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ddp.comm.communicator import Arrays, Communicator, Work
from ddp.comm.mpi import open_world
from ddp.comm.threads import make_world
from ddp.comm.zeromq import TOKEN_BYTES, Listener

SIZES = [1 << 10, 1 << 14, 1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26]
SECONDS_PER_CASE = 0.4
LIMIT_S = 60.0
TOKEN = bytes(TOKEN_BYTES)


def all_to_all(comm: Communicator, send: Arrays, receive: Arrays) -> Work:
    other = 1 - comm.rank
    return comm.all_to_all(
        [send if r == other else () for r in (0, 1)],
        [receive if r == other else () for r in (0, 1)],
    )


def all_gather(comm: Communicator, send: Arrays, receive: Arrays) -> Work:
    return comm.all_gather(send, [receive if r != comm.rank else () for r in (0, 1)])


def measure(comm: Communicator, transport: str) -> None:
    """Time every case together with the other rank; rank 0 prints."""
    for operation in (all_to_all, all_gather):
        for size in SIZES:
            seconds = time_case(comm, operation, size)
            if comm.rank == 0:
                report(transport, operation.__name__, size, seconds)


def time_case(
    comm: Communicator, operation: Callable[[Communicator, Arrays, Arrays], Work], size: int
) -> list[float]:
    send, receive = [np.ones(size, np.uint8)], [np.zeros(size, np.uint8)]
    seconds: list[float] = []
    go_on = np.ones(1, np.uint8)
    while go_on[0]:
        comm.barrier(LIMIT_S)
        start = time.perf_counter()
        operation(comm, send, receive).wait(LIMIT_S)
        seconds.append(time.perf_counter() - start)
        go_on[0] = sum(seconds) < SECONDS_PER_CASE and len(seconds) < 2000
        comm.broadcast([go_on], root=0).wait(LIMIT_S)
    return seconds[1:] or seconds  # the first touches memory for the first time


def report(transport: str, operation: str, size: int, seconds: list[float]) -> None:
    median = statistics.median(seconds)
    line = {
        "transport": transport,
        "operation": operation,
        "ranks": 2,
        "bytes": size,
        "turns": len(seconds),
        "best_us": round(min(seconds) * 1e6, 1),
        "median_us": round(median * 1e6, 1),
        "gb_per_s": round(size / median / 1e9, 3),
    }
    print(json.dumps(line), flush=True)


def over_threads() -> None:
    (first, _), (second, _) = make_world(2)
    other = threading.Thread(target=measure, args=[second, "threads"])
    other.start()
    measure(first, "threads")
    other.join()


def over_zeromq(transport: str, address: str) -> None:
    processes = multiprocessing.get_context("spawn")
    here, there = processes.Pipe()
    other = processes.Process(target=second_rank, args=[there, transport, address])
    other.start()
    listener = Listener(address)
    addresses = [listener.address, here.recv()]
    here.send(addresses)
    comm = listener.connect(0, addresses, TOKEN)
    measure(comm, transport)
    comm.close()
    other.join()


def second_rank(pipe: multiprocessing.connection.Connection, transport: str, address: str) -> None:
    listener = Listener(address)
    pipe.send(listener.address)
    comm = listener.connect(1, pipe.recv(), TOKEN)
    measure(comm, transport)
    comm.close()


def over_mpi() -> None:
    mpiexec = shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which(
        "mpiexec"
    )
    if mpiexec is not None:
        argv = [mpiexec, "-n", "2", sys.executable, "-m", "mpi4py", __file__, "--rank"]
        subprocess.run(argv, check=True)


def mpi_rank() -> None:
    world = open_world()
    measure(world.communicator, "mpi")
    world.close()


TRANSPORTS: dict[str, Callable[[], None]] = {
    "threads": over_threads,
    "zeromq-ipc": lambda: over_zeromq("zeromq-ipc", "ipc://@"),
    "zeromq-tcp": lambda: over_zeromq("zeromq-tcp", "tcp://127.0.0.1:0"),
    "mpi": over_mpi,
}

if __name__ == "__main__":
    if sys.argv[1:] == ["--rank"]:
        mpi_rank()
    else:
        for name in sys.argv[1:] or TRANSPORTS:
            TRANSPORTS[name]()
