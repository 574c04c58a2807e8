"""Steps that workers decide by themselves: the same decisions, told in batches, noted in order.

Whole runs over threads take stretches too (test_same_bits, test_non_finite, test_coordination).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from ddp.comm.arena import open_arena
from ddp.comm.communicator import Communicator
from ddp.config import Config
from ddp.parallel.council import Council, Vote, record_size
from tests.helpers.hosts import make_up_hosts
from tests.helpers.tasks import train
from tests.helpers.worlds import run_world
from tests.workers.test_coordinator_state import Run, config, only, report, sent
from workers import messages as m
from workers.coordinator_state import STRETCH, Phase
from workers.events import Announce, End, Instruction, RecordStep, StopRequested
from workers.session import Session
from workers.stretch import BATCH_S, Stretch

LIMIT_S = 10.0
STEPS = 8


def long(**changes: object) -> Config:
    """Eight steps without a border before the last."""
    return config(
        train={"steps": STEPS, "evaluate_every_epochs": 10**6, **changes},
        checkpoint={"every_epochs": 10**6},
    )


def decided(rank: int, *steps: int, **changes: object) -> m.Decided:
    reports = tuple(report(rank, step, **changes) for step in steps)
    return m.Decided(reports=reports, optimizer_s=(0.25,) * len(steps))


def squares(steps: int, value: float = 0.25) -> np.ndarray:
    return np.full((steps, 2), value)


class Allowed(Run):
    """A run of two workers whose first step is committed, with a stretch up to the last."""

    def __init__(self, start: Config | None = None) -> None:
        super().__init__(start=start or long())
        self.begin()
        self.orders = sent(self.report(0))
        self.commit(0)

    def tell_decided(self, rank: int, *steps: int, **changes: object) -> list[Instruction]:
        return self.hear(rank, decided(rank, *steps, **changes), squares(len(steps)))


# -- the coordinator ----------------------------------------------------------------------------


def test_workers_are_allowed_to_decide_up_to_the_next_border() -> None:
    run = Allowed()
    assert [order.until for order in run.orders] == [STEPS - 1] * 2  # type: ignore[union-attr]
    assert all(order.total_steps == STEPS for order in run.orders)  # type: ignore[union-attr]


def test_nobody_goes_on_alone_for_ever() -> None:
    run = Allowed(long(steps=10 * STRETCH))
    assert run.orders[0].until == 1 + STRETCH  # type: ignore[union-attr]


def test_a_step_is_taken_down_when_all_have_told_of_it_and_nothing_is_ordered() -> None:
    run = Allowed()
    assert run.tell_decided(0, 1, 2, 3) == []
    said = run.tell_decided(1, 1, 2)
    assert [entry.step for entry in only(said, RecordStep)] == [1, 2]  # type: ignore[attr-defined]
    assert len(said) == 2
    assert run.state.step == 3
    said = run.tell_decided(1, 3, 4)
    assert [entry.step for entry in only(said, RecordStep)] == [3]  # type: ignore[attr-defined]


def test_the_ledger_of_a_stretch_is_that_of_a_run_that_asks() -> None:
    asks, decides = Run(start=long()), Allowed()
    asks.begin()
    for step in range(STEPS):
        asks.report(step, squares=0.25 + 0.5 * step)
        asks.commit(step)
    values = np.stack([squares(1, 0.25 + 0.5 * step)[0] for step in range(1, STEPS - 1)])
    for rank in range(2):
        decides.hear(rank, decided(rank, *range(1, STEPS - 1)), values)
    decides.report(STEPS - 1, squares=0.25 + 0.5 * (STEPS - 1))
    decides.commit(STEPS - 1)
    assert only(decides.said, RecordStep) == only(asks.said, RecordStep)


def test_a_report_behind_the_stretch_waits_until_all_have_told_of_it() -> None:
    run = Allowed()
    run.tell_decided(0, *range(1, STEPS - 1))
    assert run.hear(0, report(0, STEPS - 1), np.full(2, 0.25)) == []
    run.tell_decided(1, *range(1, STEPS - 1))
    said = run.hear(1, report(1, STEPS - 1), np.full(2, 0.25))
    assert [order.step for order in sent(said)] == [STEPS - 1] * 2  # type: ignore[union-attr]
    assert run.state.phase is Phase.BORDER


def test_what_is_told_before_the_commit_of_the_first_step_is_everywhere_waits_too() -> None:
    run = Run(start=long())
    run.begin()
    run.report(0)
    run.hear(0, m.Committed(step=0, optimizer_s=0.5))
    run.hear(0, decided(0, 1), squares(1))
    said = run.hear(1, m.Committed(step=0, optimizer_s=0.5))
    said += run.hear(1, decided(1, 1), squares(1))
    assert [entry.step for entry in only(said, RecordStep)] == [0, 1]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("message", "array"),
    [
        (decided(0, 2), squares(1)),  # a step left out
        (decided(0, 1, 1), squares(2)),
        (decided(0, *range(1, STEPS)), squares(STEPS - 1)),  # further than allowed
        (decided(0, 1, 2), squares(1)),  # squares of one step only
        (m.Decided(reports=(report(0, 1),), optimizer_s=()), squares(1)),
    ],
)
def test_a_worker_that_tells_what_cannot_be_ends_the_run(message: m.Decided, array: Any) -> None:
    run = Allowed()
    said = run.hear(0, message, array)
    assert "it sent a Decided while the run was" in only(said, End)[0].problem  # type: ignore[attr-defined]


def test_a_stop_makes_the_workers_pause_and_ends_the_run_at_the_step_they_ask_about() -> None:
    run = Allowed()
    assert sent(run.tell(StopRequested("SIGTERM"))) == [m.Pause(), m.Pause()]
    for rank in range(2):
        run.tell_decided(rank, 1, 2)
    orders = sent(run.report(3))
    assert [(order.step, order.go_on, order.until) for order in orders] == [(3, False, 0)] * 2  # type: ignore[union-attr]
    assert isinstance(sent(run.commit(3))[0], m.SendState)


def test_steps_that_are_not_finite_are_told_and_too_many_end_the_run() -> None:
    run = Allowed(long(skip_limit=2))
    run.tell_decided(0, 1, 2, 3, non_finite=(0, "the loss"))
    said = run.tell_decided(1, 1, 2, 3)
    told = [announce.text for announce in only(said, Announce)]  # type: ignore[attr-defined]
    assert [text.split(":")[0] for text in told] == [
        "step 1 is skipped on every worker",
        "step 2 is skipped on every worker",
    ]
    assert "3 steps in a row were skipped" in only(said, End)[0].problem  # type: ignore[attr-defined]


def test_who_has_told_of_nothing_is_the_one_that_is_awaited() -> None:
    run = Allowed()
    run.tell_decided(0, 1)
    assert [worker.rank for worker in run.state._awaited()] == [1]


# -- a worker -----------------------------------------------------------------------------------


def vote(**changes: Any) -> Vote:
    return Vote(**{"pauses": False, "is_finite": True, "used": [True, False]} | changes)


def allowed(start: Config | None = None) -> Stretch:
    stretch = Stretch(start or long())
    stretch.allow(
        m.Commit(
            step=0, apply=True, lr=0.1, clip=1.0, unused=(), go_on=True, until=5, total_steps=STEPS
        )
    )
    return stretch


def test_a_worker_decides_as_the_coordinator_would() -> None:
    votes = [vote(squares=[0.25, 2.0]), vote(squares=[0.5], used=[False, False])]
    commit = allowed().decide(3, votes)
    run = Run(start=long())
    run.begin()
    for step in range(3):
        run.report(step)
        run.commit(step)
    run.hear(0, report(0, 3, unused=(1,)), np.array([0.25, 2.0]))
    wanted = sent(run.hear(1, report(1, 3, unused=(0, 1)), np.array([0.5])))[0]
    assert commit is not None
    assert isinstance(wanted, m.Commit)
    for field in ("step", "apply", "lr", "clip", "unused", "go_on"):
        assert getattr(commit, field) == getattr(wanted, field), field


@pytest.mark.parametrize(
    "other", [vote(squares=[1.0], is_finite=False), vote(squares=[np.nan]), vote(squares=[np.inf])]
)
def test_a_step_that_is_not_finite_somewhere_is_skipped(other: Vote) -> None:
    commit = allowed().decide(3, [vote(squares=[1.0]), other])
    assert commit is not None
    assert not commit.apply


def test_one_that_wants_to_pause_makes_all_ask() -> None:
    votes = [vote(squares=[1.0]), vote(squares=[1.0], pauses=True)]
    assert allowed().decide(3, votes) is None


def test_a_stretch_covers_what_was_allowed_and_a_commit_without_one_ends_it() -> None:
    stretch = allowed()
    stretch.pausing = True
    assert stretch.covers(4)
    assert not stretch.covers(5)
    stretch.allow(m.Commit(step=5, apply=True, lr=0.1, clip=1.0, unused=(), go_on=True))
    assert not stretch.covers(0)
    assert not stretch.pausing


def test_steps_are_told_of_at_intervals_and_once() -> None:
    stretch = allowed()
    assert stretch.is_due(0.0)
    assert stretch.batch(0.0) is None
    stretch.note(report(0, 1), np.array([1.0, 2.0]), 0.5)
    stretch.note(report(0, 2), np.array([3.0, 4.0]), 0.25)
    assert not stretch.is_due(0.9 * BATCH_S)
    assert stretch.is_due(1.1 * BATCH_S)
    batch = stretch.batch(1.0)
    assert batch is not None
    message, (array,) = batch
    assert [r.step for r in message.reports] == [1, 2]
    assert message.optimizer_s == (0.5, 0.25)
    np.testing.assert_array_equal(array, [[1, 2], [3, 4]])
    assert stretch.batch(2.0) is None


# -- the council --------------------------------------------------------------------------------


@pytest.mark.parametrize("hosts", ["aaa", "aba", "abc"])
def test_every_rank_hears_the_votes_of_all_in_every_round(
    hosts: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_up_hosts(monkeypatch, hosts)
    blocks = [2, 0, 3]

    def said(rank: int, number: int) -> Vote:
        used = [number % 2 == 0, rank == 1]
        return Vote(rank == number, rank != 2, used, [rank + 0.1 * i for i in range(blocks[rank])])

    def one_rank(comm: Communicator) -> list[list[Vote]]:
        own_bytes = [64 + 8 * record_size(2, n) for n in blocks]
        arena = open_arena(comm, 64, own_bytes, 1, LIMIT_S)
        council = Council(arena, comm, 2, blocks, channel=0)
        rounds = []
        for number in range(4):
            rounds.append(council.hold(said(comm.rank, number), LIMIT_S))
            comm.barrier(LIMIT_S)
        return rounds

    for rounds in run_world(3, one_rank):
        assert rounds == [[said(rank, number) for rank in range(3)] for number in range(4)]


# -- whole runs ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("workers", "sharing"), [(1, "auto"), (3, "auto"), (3, "off")])
def test_most_steps_of_a_run_are_decided_by_the_workers_and_the_metrics_have_them_all(
    tmp_path: Path, workers: int, sharing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: dict[str, Any] = {
        "train": {"steps": 40, "evaluate_every_epochs": 100},
        "checkpoint": {"every_epochs": 100},
        "cluster": {"shared_memory": sharing},
    }
    decided = train_counting(tmp_path / "decided", workers, monkeypatch, **changes)
    monkeypatch.setattr(Stretch, "covers", lambda stretch, step: False)
    asked = train_counting(tmp_path / "asked", workers, monkeypatch, **changes)
    assert asked.times == 40 * workers
    assert decided.times < 40 * workers / 2
    assert decided.fingerprint == asked.fingerprint
    assert decided.rows == asked.rows
    assert [row["step"] for row in decided.rows] == list(range(1, 41))


class Counted(NamedTuple):
    """A run, with how often its workers asked about a step or told of some."""

    times: int
    fingerprint: str
    rows: list[dict[str, Any]]  # of the metrics, without the times


def train_counting(
    out: Path, workers: int, monkeypatch: pytest.MonkeyPatch, **changes: Any
) -> Counted:
    told: list[int] = []
    genuine = Session._tell_decided

    def counted(self: Session) -> None:
        told.append(0)
        genuine(self)

    with monkeypatch.context() as patch:
        patch.setattr(Session, "_tell_decided", counted)
        summary = train(out, workers, **changes)
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        assert all("optimizer" in seconds for seconds in row.pop("seconds"))
    return Counted(len(told), summary["fingerprint"], rows)
