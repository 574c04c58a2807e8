"""A worker's shell on a fake link: what it is told, what it answers, and how it ends."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from ddp.checkpoint import blas_kernel, fingerprint
from ddp.comm.communicator import Array
from ddp.comm.solo import SoloCommunicator
from ddp.config import from_dict, to_dict
from ddp.errors import (
    CheckpointError,
    CommError,
    CommTimeout,
    ConfigError,
    DataError,
    LocalProtocolError,
    PeerLost,
    PeerProtocolError,
)
from ddp.version import VERSION
from tests.helpers.tasks import blobs, tables
from workers import messages as m
from workers.link import Order, RunEnded
from workers.session import STOP_SIGNALS, Session, StopFlag, describe_failure
from workers.worker_state import Leave, Parting

Reaction = Callable[[], None]


class FakeLink:
    """Gives out orders, one after another, and keeps what is sent. An order may be an action."""

    def __init__(self, *orders: m.FromCoordinator | Order | Reaction | None) -> None:
        self._orders = deque(orders)
        self.sent: list[m.FromWorker] = []
        self.arrays: list[Sequence[Array]] = []
        self.closed = False

    def send(self, message: m.FromWorker, arrays: Sequence[Array] = ()) -> None:
        self.sent.append(message)
        self.arrays.append([array.copy() for array in arrays])

    def receive(self, timeout_s: float) -> Order | None:
        assert self._orders, f"the worker waits for ever; it said {self.kinds}"
        order = self._orders.popleft()
        if callable(order):
            order()
            return None
        return order if order is None or isinstance(order, tuple) else (order, [])

    def close(self) -> None:
        self.closed = True

    @property
    def kinds(self) -> list[str]:
        return [type(message).__name__ for message in self.sent]


def setup(resumed: bool = False, **changes: dict[str, Any]) -> m.Setup:
    config = to_dict(from_dict({"seed": 1, **tables(**changes)}))
    return m.Setup(rank=0, size=1, config=config, addresses=("",), token="00", resumed=resumed)


def commit(step: int, go_on: bool) -> m.Commit:
    return m.Commit(step=step, apply=True, lr=0.1, clip=1.0, unused=(), go_on=go_on)


def run(link: FakeLink, stop: StopFlag | None = None) -> Leave:
    session = Session(link, lambda setup: SoloCommunicator(), stop)
    leave = session.run("tcp://here:1", rank=0)
    session.close()
    return leave


# -- a run --------------------------------------------------------------------------------------


def test_a_worker_introduces_itself_first() -> None:
    link = FakeLink(m.Finish(code=0))
    run(link)
    hello = link.sent[0]
    assert isinstance(hello, m.Hello)
    assert (hello.version, hello.pid, hello.kernel) == (VERSION, os.getpid(), blas_kernel())
    assert (hello.address, hello.rank) == ("tcp://here:1", 0)


def test_every_order_is_carried_out_and_answered() -> None:
    link = FakeLink(
        setup(),
        m.RunStep(step=0),
        commit(0, go_on=True),
        None,
        commit(1, go_on=False),
        m.Evaluate(),
        m.SendState(),
        m.Finish(code=0),
    )
    assert run(link) == Leave(0)
    parts = link.kinds.count("StatePart")
    assert link.kinds == [
        "Hello",
        "Ready",
        "StepReport",
        "Committed",
        "StepReport",
        "Committed",
        "EvaluationReport",
        *["StatePart"] * parts,
        "StateSent",
        "Goodbye",
    ]
    assert parts > 4
    assert [r.step for r in link.sent if isinstance(r, m.StepReport | m.Committed)] == [0, 0, 1, 1]
    assert [len(a) for a, k in zip(link.arrays, link.kinds, strict=True) if k == "StepReport"] == [
        1,
        1,
    ]
    assert link.closed


def test_a_worker_says_what_must_be_equal_on_all() -> None:
    links = [FakeLink(setup(), m.Finish(code=0)) for _ in range(2)]
    for link in links:
        run(link)
    first, second = (link.sent[1] for link in links)
    assert first == second
    assert isinstance(first, m.Ready)
    assert first.train_samples == len(blobs()[0])


def test_a_resumed_worker_has_the_state_it_was_sent() -> None:
    source = FakeLink(
        setup(), m.RunStep(step=0), commit(0, go_on=False), m.SendState(), m.Finish(code=0)
    )
    run(source)
    parts = [
        (message, arrays)
        for message, arrays in zip(source.sent, source.arrays, strict=True)
        if isinstance(message, m.StatePart)
    ]
    resumed = FakeLink(setup(resumed=True), *parts, m.StateSent(), m.SendState(), m.Finish(code=0))
    run(resumed)
    model = {p.name: arrays[0].reshape(p.shape) for p, arrays in parts if p.kind == "model"}
    ready = resumed.sent[1]
    assert isinstance(ready, m.Ready)
    assert ready.state == fingerprint(model, {})
    again = [(p, a) for p, a in zip(resumed.sent, resumed.arrays, strict=True) if a]
    assert [p for p, _ in again] == [p for p, _ in parts]
    for (_, (ours,)), (_, (theirs,)) in zip(again, parts, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def without_a_test_set() -> tuple[Any, None]:
    return blobs()[0], None


def test_without_a_test_set_an_evaluation_is_empty() -> None:
    data = {"factory": "tests.workers.test_session:without_a_test_set"}
    link = FakeLink(setup(data=data), m.Evaluate(), m.Finish(code=0))
    run(link)
    assert link.sent[2] == m.EvaluationReport(batches=())


def test_a_worker_leaves_with_the_code_it_is_given() -> None:
    assert run(FakeLink(m.Finish(code=143))) == Leave(143)


# -- failures -----------------------------------------------------------------------------------


def test_wrong_input_found_while_building_is_told_in_one_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    link = FakeLink(setup(model={"factory": "tests.helpers.tasks:netwrok"}))
    leave = run(link)
    failed = link.sent[-1]
    assert isinstance(failed, m.Failed)
    assert failed.by_user
    assert "model.factory" in failed.cause
    assert leave == Leave(2, Parting.FAILED, failed.cause)
    assert capsys.readouterr().err == ""


def test_data_that_do_not_fit_are_told_as_the_users(capsys: pytest.CaptureFixture[str]) -> None:
    link = FakeLink(setup(model={"args": {"features": 6}}))
    assert run(link).code == 2
    assert link.sent[-1].by_user
    assert "do not fit the model" in link.sent[-1].cause
    assert capsys.readouterr().err == ""


def broken() -> None:
    raise ZeroDivisionError("by nothing")


def test_a_failure_of_ours_or_of_the_users_code_is_told_and_its_traceback_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    link = FakeLink(setup(), broken)
    leave = run(link)
    assert link.sent[-1] == m.Failed(cause="ZeroDivisionError: by nothing")
    assert leave == Leave(1, Parting.FAILED, "ZeroDivisionError: by nothing")
    assert "in broken" in capsys.readouterr().err


def test_an_order_out_of_place_is_told_and_is_not_the_users_mistake() -> None:
    link = FakeLink(m.RunStep(step=0))
    assert run(link).code == 1
    failed = link.sent[-1]
    assert isinstance(failed, m.Failed)
    assert not failed.by_user
    assert "sent RunStep to a worker that is joining" in failed.cause


def test_the_end_of_the_run_is_not_told_to_the_coordinator_that_ended_it() -> None:
    def ended() -> None:
        raise RunEnded("the coordinator has ended")

    link = FakeLink(setup(), ended)
    assert run(link) == Leave(1, Parting.ENDED, "the coordinator has ended")
    assert link.kinds == ["Hello", "Ready"]


@pytest.mark.parametrize(
    ("order", "leave"),
    [
        (
            m.Abort(reason="rank 1 is gone", code=1),
            Leave(1, Parting.ENDED, "the run was ended: rank 1 is gone"),
        ),
        (
            m.Refused(reason="the run is full"),
            Leave(2, Parting.ENDED, "the coordinator refused this worker: the run is full"),
        ),
    ],
)
def test_a_worker_that_is_sent_away_goes_without_a_word(
    order: m.FromCoordinator, leave: Leave
) -> None:
    link = FakeLink(order)
    assert run(link) == leave
    assert link.kinds == ["Hello"]


def test_a_failure_that_cannot_be_told_is_handed_to_whoever_started_the_worker() -> None:
    class Cut(FakeLink):
        def send(self, message: m.FromWorker, arrays: Sequence[Array] = ()) -> None:
            if isinstance(message, m.Failed):
                raise OSError("no route to host")

    link = Cut(setup(model={"factory": "tests.helpers.tasks:netwrok"}))
    leave = run(link)
    assert (leave.code, leave.parting) == (2, Parting.ENDED)
    assert "model.factory" in leave.reason


def test_a_failed_worker_gives_back_its_communicator_and_its_link() -> None:
    closed = []

    class Comm(SoloCommunicator):
        def close(self) -> None:
            closed.append(self)

    link = FakeLink(setup(), broken)
    session = Session(link, lambda setup: Comm())
    session.run()
    session.close()
    assert link.closed
    assert len(closed) == 1


@pytest.mark.parametrize(
    ("error", "failed"),
    [
        (ConfigError("c"), m.Failed(cause="c", by_user=True)),
        (DataError("d"), m.Failed(cause="d", by_user=True)),
        (CheckpointError("k"), m.Failed(cause="k", by_user=True)),
        (CommTimeout("t"), m.Failed(cause="t")),
        (CommError("e"), m.Failed(cause="e")),
        (PeerLost(3, "it died"), m.Failed(cause="rank 3 is gone: it died", blames=3)),
        (LocalProtocolError("twice"), m.Failed(cause="twice")),
        (PeerProtocolError("what?"), m.Failed(cause="what?")),
        (SystemExit(0), m.Failed(cause="the program called exit(0) in the middle of the run")),
        (ValueError("v"), m.Failed(cause="ValueError: v")),
        (KeyboardInterrupt(), m.Failed(cause="KeyboardInterrupt")),
        (MemoryError(), m.Failed(cause="MemoryError")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_who_is_to_blame_for_a_failure(error: BaseException, failed: m.Failed) -> None:
    assert describe_failure(error) == failed


# -- signals ------------------------------------------------------------------------------------


def test_a_stop_signal_is_told_once_and_the_run_goes_on_until_the_coordinator_says() -> None:
    stop = StopFlag()
    link = FakeLink(
        setup(),
        lambda: setattr(stop, "name", "SIGTERM"),
        None,
        m.RunStep(step=0),
        commit(0, go_on=False),
        m.Finish(code=143),
    )
    assert run(link, stop) == Leave(143)
    assert link.sent.count(m.Stopping(signal="SIGTERM")) == 1
    assert link.kinds == ["Hello", "Ready", "Stopping", "StepReport", "Committed", "Goodbye"]


def test_a_signal_that_comes_while_a_step_is_computed_is_told_before_its_report() -> None:
    """So that the coordinator can stop at this border already."""
    stop = StopFlag()

    class Interrupted(SoloCommunicator):
        def all_to_all(self, send: Any, receive: Any) -> Any:
            stop.name = "SIGINT"
            return super().all_to_all(send, receive)

    link = FakeLink(setup(), m.RunStep(step=0), commit(0, go_on=False), m.Finish(code=130))
    Session(link, lambda setup: Interrupted(), stop).run()
    assert link.kinds[:4] == ["Hello", "Ready", "Stopping", "StepReport"]


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_the_first_signal_is_remembered_and_the_second_acts(number: signal.Signals) -> None:
    before = [signal.getsignal(n) for n in STOP_SIGNALS]
    with StopFlag().listening() as stop:
        assert stop.name == ""
        signal.raise_signal(number)
        assert stop.name == number.name
        assert signal.getsignal(number) is signal.SIG_DFL
    assert [signal.getsignal(n) for n in STOP_SIGNALS] == before


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    before = [signal.getsignal(n) for n in STOP_SIGNALS]
    seen: list[list[Any]] = []

    def listen() -> None:
        with StopFlag().listening():
            seen.append([signal.getsignal(n) for n in STOP_SIGNALS])

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert seen == [before]
