"""The contract of a communicator, as functions that every rank of a world runs.

Each takes the communicator of its rank, and asserts. They are run on every transport: in threads
(test_contract.py), between processes, and under mpiexec (tests/ranks/comm_contract.py).
"""

from __future__ import annotations

import numpy as np
import pytest

from ddp.comm.communicator import Array, Arrays, Communicator
from ddp.errors import CommError, CommTimeout, LocalProtocolError

LIMIT_S = 20.0
# Larger than the pieces (4 MiB) in which transports send, and no multiple of them.
LARGE = (4 << 20) // 8 * 2 + 12345


def sample(source: int, destination: int, length: int, dtype: str = "float32") -> Array:
    """What `source` sends to `destination`: bytes that no other pair of ranks has."""
    generator = np.random.default_rng([source, destination, length])
    return generator.integers(0, 2 if dtype == "bool" else 100, length).astype(dtype)


def to_each(comm: Communicator, length: int, dtype: str = "float32") -> list[Arrays]:
    return [
        () if r == comm.rank else (sample(comm.rank, r, length, dtype),) for r in range(comm.size)
    ]


def from_each(comm: Communicator, length: int, dtype: str = "float32") -> list[Arrays]:
    return [() if r == comm.rank else (np.zeros(length, dtype),) for r in range(comm.size)]


def assert_came(
    comm: Communicator, receive: list[Arrays], length: int, dtype: str = "float32"
) -> None:
    for source, arrays in enumerate(receive):
        for array in arrays:
            np.testing.assert_array_equal(array, sample(source, comm.rank, length, dtype))


def each_rank_gets_what_was_sent_to_it(comm: Communicator) -> None:
    for length in (1, 2, 1000, LARGE):
        receive = from_each(comm, length)
        comm.all_to_all(to_each(comm, length), receive).wait(LIMIT_S)
        assert_came(comm, receive, length)


def every_dtype_crosses(comm: Communicator) -> None:
    for dtype in ("float32", "float64", "int8", "int64", "uint8", "uint64", "bool"):
        receive = from_each(comm, 33, dtype)
        comm.all_to_all(to_each(comm, 33, dtype), receive).wait(LIMIT_S)
        assert_came(comm, receive, 33, dtype)


def entries_hold_several_arrays_also_empty_ones(comm: Communicator) -> None:
    lengths = (0, 3, 0, 1, 700, 0)
    here, ranks = comm.rank, range(comm.size)
    send = [[sample(here, r, n) for n in lengths] if r != here else [] for r in ranks]
    receive = [[np.zeros(n, np.float32) for n in lengths] if r != here else [] for r in ranks]
    comm.all_to_all(send, receive).wait(LIMIT_S)
    for source in set(ranks) - {here}:
        for length, array in zip(lengths, receive[source], strict=True):
            np.testing.assert_array_equal(array, sample(source, comm.rank, length))


def lengths_may_differ_between_pairs(comm: Communicator) -> None:
    def length(source: int, destination: int) -> int:
        return 1 + 10 * source + 100 * destination if source != destination else 0

    here, ranks = comm.rank, range(comm.size)
    send = [[sample(here, r, length(here, r))] if r != here else [] for r in ranks]
    receive = [[np.zeros(length(r, here), np.float32)] if r != here else [] for r in ranks]
    comm.all_to_all(send, receive).wait(LIMIT_S)
    for source in ranks:
        for array in receive[source]:
            np.testing.assert_array_equal(array, sample(source, here, length(source, here)))


def nothing_is_complete_at_once(comm: Communicator) -> None:
    nothing: list[Arrays] = [()] * comm.size
    comm.all_to_all(nothing, nothing).wait(LIMIT_S)
    empty = [() if r == comm.rank else (np.zeros(0, np.float32),) for r in range(comm.size)]
    comm.all_to_all(empty, [tuple(a.copy() for a in arrays) for arrays in empty]).wait(LIMIT_S)


def arrays_of_more_axes_keep_their_order(comm: Communicator) -> None:
    def block(rank: int) -> Array:
        return np.arange(24, dtype=np.float32).reshape(2, 3, 4) + rank

    receive: list[Arrays] = [(np.zeros((2, 3, 4), np.float32),) for _ in range(comm.size)]
    receive[comm.rank] = ()
    comm.all_gather([block(comm.rank)], receive).wait(LIMIT_S)
    for source, arrays in enumerate(receive):
        for array in arrays:
            np.testing.assert_array_equal(array, block(source))


def broadcast_copies_the_roots_arrays_to_all(comm: Communicator) -> None:
    for root in range(comm.size):
        buffers = [np.full(n, float(comm.rank), np.float32) for n in (1, 0, 5000)]
        comm.broadcast(buffers, root).wait(LIMIT_S)
        for buffer in buffers:
            np.testing.assert_array_equal(buffer, np.float32(root))


def exchanges_in_flight_complete_in_any_order(comm: Communicator) -> None:
    lengths = [1 + (i * 7919) % 3000 for i in range(24)]
    receives = [from_each(comm, n) for n in lengths]
    works = [
        comm.all_to_all(to_each(comm, n), receive)
        for n, receive in zip(lengths, receives, strict=True)
    ]
    # Each rank in an order of its own.
    for i in np.random.default_rng(comm.rank).permutation(len(works)):
        works[i].wait(LIMIT_S)
        assert_came(comm, receives[i], lengths[i])


def buffers_may_be_reused_after_wait(comm: Communicator) -> None:
    """Ranks go on at their own pace: what is written after `wait` must not reach the others."""
    send, expected = np.empty(200_000, np.float32), np.empty(200_000, np.float32)
    receive = from_each(comm, 200_000)
    for turn in range(5):
        send[:] = 10 * turn + comm.rank
        comm.all_gather([send], receive).wait(LIMIT_S)
        send[:] = -1
        for source, arrays in enumerate(receive):
            expected[:] = 10 * turn + source
            for array in arrays:
                np.testing.assert_array_equal(array, expected)


def done_makes_progress_until_it_is_true(comm: Communicator) -> None:
    receive = from_each(comm, LARGE)
    work = comm.all_to_all(to_each(comm, LARGE), receive)
    for _ in range(1_000_000):
        if work.done():
            break
    else:
        work.wait(LIMIT_S)  # a loaded machine: at least it must not be stuck
    work.wait(0.0)
    assert_came(comm, receive, LARGE)
    comm.barrier(LIMIT_S)


def wrong_arguments_are_refused(comm: Communicator) -> None:
    nothing: list[Arrays] = [()] * comm.size
    one = (np.zeros(4, np.float32),)
    with pytest.raises(LocalProtocolError, match="one entry for each"):
        comm.all_to_all([*nothing, ()], nothing)
    with pytest.raises(LocalProtocolError, match="that rank itself"):
        comm.all_to_all([one if r == comm.rank else () for r in range(comm.size)], nothing)
    if comm.size > 1:
        peer = (comm.rank + 1) % comm.size
        frozen, strided = np.zeros(4, np.float32), np.zeros((4, 2), np.float32)[:, 0]
        frozen.flags.writeable = False
        with pytest.raises(LocalProtocolError, match="read-only"):
            comm.all_to_all(nothing, [(frozen,) if r == peer else () for r in range(comm.size)])
        with pytest.raises(LocalProtocolError, match="C-contiguous"):
            comm.all_to_all([(strided,) if r == peer else () for r in range(comm.size)], nothing)


def a_wait_in_vain_names_the_ranks_awaited(comm: Communicator) -> None:
    """Rank 0 awaits bytes that no rank sends; the others stay until its time is up."""
    if comm.size == 1:
        return
    nothing: list[Arrays] = [()] * comm.size
    work = comm.all_to_all(nothing, from_each(comm, 5) if comm.rank == 0 else nothing)
    if comm.rank == 0:
        awaited = ", ".join(map(str, range(1, comm.size)))
        with pytest.raises(CommTimeout, match=rf"rank 0 still awaits rank\(s\) {awaited} after"):
            work.wait(0.02)
        assert not work.done()
    comm.broadcast([np.zeros(1, np.uint8)], root=0).wait(LIMIT_S)


def cancel_ends_every_wait_with_its_error(comm: Communicator) -> None:
    comm.cancel(CommError("the run was stopped"))
    comm.cancel(CommError("a later error does not hide the first"))
    with pytest.raises(CommError, match="the run was stopped"):
        comm.barrier(LIMIT_S)


# In an order in which one world can run them all ...
GENTLE = (
    each_rank_gets_what_was_sent_to_it,
    every_dtype_crosses,
    entries_hold_several_arrays_also_empty_ones,
    lengths_may_differ_between_pairs,
    nothing_is_complete_at_once,
    arrays_of_more_axes_keep_their_order,
    broadcast_copies_the_roots_arrays_to_all,
    exchanges_in_flight_complete_in_any_order,
    buffers_may_be_reused_after_wait,
    done_makes_progress_until_it_is_true,
    wrong_arguments_are_refused,
)
# ... and those after which a communicator can only be closed.
FINAL = (a_wait_in_vain_names_the_ranks_awaited, cancel_ends_every_wait_with_its_error)
