"""The workers of a run as the coordinator knows them, and who may be one. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ddp.comm.communicator import Array
from ddp.results import BatchResult
from ddp.version import VERSION
from workers import messages as m
from workers.events import Member

ACCEPT = "accept it with --set cluster.allow_other_kernel=true"
PIN = f", which gives other bits: pin one with OPENBLAS_CORETYPE on every host, or {ACCEPT}"
SAME = f", which gives other bits: have the same numba and processor on every host, or {ACCEPT}"
LOCAL_ADDRESSES = ("tcp://127.", "tcp://localhost:", "ipc://")


class DecidedStep(NamedTuple):
    """What a worker told of one step of a stretch."""

    report: m.StepReport
    sums_of_squares: Array
    optimizer_s: float


@dataclass(slots=True)
class Worker:
    """What is known of one worker."""

    member: Member
    hello: m.Hello
    rank: int = -1
    ready: m.Ready | None = None
    report: m.StepReport | None = None
    sums_of_squares: Array | None = None
    optimizer_s: float | None = None  # of the step last ordered; None: not committed yet
    # Steps it decided with the others and told of, but others have not told of yet; and its report
    # on the step behind them.
    decided: deque[DecidedStep] = field(default_factory=deque)
    early: tuple[m.StepReport, Array] | None = None
    batches: tuple[BatchResult, ...] | None = None
    state_sent: bool = False
    left: bool = False

    def __str__(self) -> str:
        name = f"rank {self.rank}" if self.rank >= 0 else "a worker"
        return f"{name} ({self.hello.host}, pid {self.hello.pid})"


def reason_to_refuse(
    hello: m.Hello, joined: Collection[Worker], size: int, kernel: str, any_kernel: bool
) -> str:
    """Why a worker cannot join those `joined` in a run of `size`; empty if it can.

    `kernel` is the BLAS kernel of the checkpoint the run goes on from, or empty; `any_kernel`
    lets in one that differs from it or from the others'.
    """
    if hello.version != VERSION:
        return (
            f"it runs ddp {hello.version}, the coordinator {VERSION}: "
            "install the same version on both"
        )
    if len(joined) == size:
        return f"the run needs no more than {size}"
    taken = {worker.hello.rank for worker in joined}
    if hello.rank is not None and (hello.rank in taken or not 0 <= hello.rank < size):
        return f"rank {hello.rank} is taken or outside 0 … {size - 1}"
    if not any_kernel and kernel not in ("", hello.kernel):
        return f"its BLAS kernel is {hello.kernel}, the checkpoint was computed by {kernel}{PIN}"
    kernels = {worker.hello.kernel for worker in joined}
    if not any_kernel and kernels - {hello.kernel}:
        return f"its BLAS kernel is {hello.kernel}, the others run {min(kernels)}{PIN}"
    return ""


def kernel_of(workers: Collection[Worker]) -> str:
    """The BLAS kernel of all workers; several, if that is allowed, are all named."""
    return ", ".join(sorted({worker.hello.kernel for worker in workers}))


def reason_to_mistrust(worker: Worker, first: Worker, kernels: str) -> str:
    """Why the kernels of a worker that is ready would give other bits; empty if they would not.

    `first` is rank 0; `kernels` are those of the checkpoint the run goes on from, or empty.
    """
    assert worker.ready is not None
    assert first.ready is not None
    ours = worker.ready.kernels
    if ours != first.ready.kernels:
        return f"its kernels are {ours}, those of {first} {first.ready.kernels}{SAME}"
    if kernels not in ("", ours):
        return f"its kernels are {ours}, the checkpoint was computed by {kernels}{SAME}"
    return ""


def assign_ranks(workers: Collection[Worker]) -> None:
    """Those that asked for a rank have it; the others fill the gaps as they came."""
    asked = {worker.hello.rank for worker in workers}
    free = iter(rank for rank in range(len(workers)) if rank not in asked)
    for worker in workers:
        worker.rank = next(free) if worker.hello.rank is None else worker.hello.rank


def unreachable(workers: Collection[Worker]) -> tuple[Worker, str] | None:
    """A worker that others on other hosts could not connect to, and why; None: all is well."""
    local = [worker for worker in workers if worker.hello.address.startswith(LOCAL_ADDRESSES)]
    if not local or len(local) == len(workers):
        return None
    return local[0], (
        f"it listens at {local[0].hello.address}, where workers on other hosts cannot reach it: "
        "start it with the coordinator's network address instead of a local one"
    )


def first_difference(workers: Sequence[Worker]) -> tuple[Worker, str] | None:
    """The first worker that built something else than rank 0, and what; None: all are alike."""
    first = workers[0]
    for other in workers[1:]:
        assert first.ready is not None
        assert other.ready is not None
        for name, ours, theirs in (
            ("model", first.ready.plan, other.ready.plan),
            ("initial state", first.ready.state, other.ready.state),
            ("training data", first.ready.train_samples, other.ready.train_samples),
            ("test data", first.ready.test_samples, other.ready.test_samples),
        ):
            if ours != theirs:
                return other, f"its {name} differs from that of {first}: {theirs} against {ours}"
    return None
