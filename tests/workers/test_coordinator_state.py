"""The coordinator's decisions without a socket or a clock: events in, instructions out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ddp.config import Config, from_dict
from ddp.results import BatchResult, Seconds, ShardResult
from ddp.version import VERSION
from workers import messages as m
from workers.coordinator_state import CoordinatorState, Phase
from workers.events import (
    Announce,
    Begin,
    CheckpointWritten,
    End,
    Event,
    HostFailed,
    Instruction,
    Lost,
    Received,
    RecordEvaluation,
    RecordStep,
    Send,
    SendCheckpoint,
    StopRequested,
    Tick,
    Totals,
    WriteCheckpoint,
)
from workers.verdict import clip_coefficient

SAMPLES = 20  # two steps an epoch


def config(**changes: dict[str, object]) -> Config:
    tables: dict[str, dict[str, object]] = {
        "model": {"factory": "ddp.models:digits_cnn"},
        "data": {"factory": "ddp.data.digits:digits"},
        "optimizer": {"name": "SGD", "lr": 0.5},
        "train": {"steps": 4, "global_batch": 10, "shards": 4, "clip_norm": 1.0},
        "checkpoint": {"every_epochs": 1},
    }
    for table, keys in changes.items():
        tables[table] = tables.get(table, {}) | keys
    return from_dict(tables)


def hello(rank: int | None = None, **changes: object) -> m.Hello:
    fields = {"version": VERSION, "host": "h", "pid": 7, "kernel": "k", "rank": rank}
    return m.Hello(**{**fields, **changes})  # type: ignore[arg-type]


def ready(**changes: object) -> m.Ready:
    samples = {"train_samples": SAMPLES, "test_samples": 10}
    fields = {"kernels": "numpy", "plan": "p", "state": "s", **samples}
    return m.Ready(**{**fields, **changes})  # type: ignore[arg-type]


class Run:
    """A coordinator with `size` workers called "0", "1", …; remembers all instructions."""

    def __init__(self, size: int = 2, start: Config | None = None, **state: object) -> None:
        self.state = CoordinatorState(start or config(), size, "token", **state)  # type: ignore[arg-type]
        self.size = size
        self.said: list[Instruction] = []

    def tell(self, event: Event) -> list[Instruction]:
        instructions = self.state.handle(event)
        self.said += instructions
        return instructions

    def hear(self, rank: int, message: m.FromWorker, *arrays: object) -> list[Instruction]:
        return self.tell(Received(str(rank), message, arrays))  # type: ignore[arg-type]

    def all_hear(self, message: m.FromWorker) -> list[Instruction]:
        return [i for rank in range(self.size) for i in self.hear(rank, message)]

    def begin(self, test_samples: int = 10) -> list[Instruction]:
        self.tell(Tick(0.0))
        for rank in range(self.size):
            self.hear(rank, hello(rank, pid=100 + rank))
        return self.all_hear(ready(test_samples=test_samples))

    def report(self, step: int, squares: float = 0.25, **changes: object) -> list[Instruction]:
        said: list[Instruction] = []
        for rank in range(self.size):
            said += self.hear(rank, report(rank, step, **changes), np.full(2, squares))
        return said

    def commit(self, step: int) -> list[Instruction]:
        return self.all_hear(m.Committed(step=step, optimizer_s=0.25))

    def finish_border(self) -> list[Instruction]:
        """Answer the orders of a border until the next step is ordered or the run is over."""
        said: list[Instruction] = []
        for _ in range(10):
            orders = [i.message for i in self.said[-2 * self.size - 2 :] if isinstance(i, Send)]
            if isinstance(orders[-1], m.Evaluate):
                batch = BatchResult(loss=0.5, correct=9, samples=10)
                said += self.all_hear(m.EvaluationReport(batches=(batch,)))
            elif isinstance(orders[-1], m.SendState):
                said += self.all_hear(m.StateSent())
                said += self.tell(CheckpointWritten())
            else:
                break
        return said


def report(rank: int, step: int, **changes: object) -> m.StepReport:
    shards = (ShardResult(2 * rank, 2.0, 1, 3), ShardResult(2 * rank + 1, 1.0, 2, 2))
    fields = {"shards": shards, "unused": (), "non_finite": None, "seconds": Seconds(1, 2, 3)}
    return m.StepReport(step=step, **{**fields, **changes})  # type: ignore[arg-type]


def sent(instructions: list[Instruction]) -> list[m.FromCoordinator]:
    return [i.message for i in instructions if isinstance(i, Send)]


def only(instructions: list[Instruction], kind: type) -> list[Instruction]:
    return [i for i in instructions if isinstance(i, kind)]


# -- joining ----------------------------------------------------------------------------------


def test_nobody_is_set_up_before_all_have_joined() -> None:
    run = Run()
    assert run.hear(0, hello()) == []
    setups = sent(run.hear(1, hello()))
    assert [(s.rank, s.size) for s in setups if isinstance(s, m.Setup)] == [(0, 2), (1, 2)]


def test_a_worker_gets_the_rank_it_asks_for_and_the_others_fill_the_gaps() -> None:
    run = Run(3)
    run.hear(0, hello(None))
    run.hear(1, hello(0))
    run.hear(2, hello(None))
    assert [run.state.workers[str(n)].rank for n in range(3)] == [1, 0, 2]


@pytest.mark.parametrize(
    ("stranger", "reason"),
    [
        (hello(version="0.0.1"), "it runs ddp 0.0.1"),
        (hello(rank=0), "rank 0 is taken"),
        (hello(rank=5), "outside 0 … 1"),
        (hello(kernel="other"), "its BLAS kernel is other"),
    ],
)
def test_a_worker_that_does_not_fit_is_refused_and_the_run_goes_on(
    stranger: m.Hello, reason: str
) -> None:
    run = Run()
    run.hear(0, hello(0))
    refused, told = run.hear(9, stranger)
    assert isinstance(refused, Send)
    assert isinstance(refused.message, m.Refused)
    assert reason in refused.message.reason
    assert isinstance(told, Announce)
    assert len(sent(run.hear(1, hello(1)))) == 2


def test_another_kernel_is_let_in_when_the_config_allows_it() -> None:
    run = Run(start=config(cluster={"allow_other_kernel": True}))
    run.hear(0, hello())
    assert len(sent(run.hear(1, hello(kernel="other")))) == 2


def test_a_late_worker_is_refused() -> None:
    run = Run()
    run.begin()
    (refused, _) = run.hear(9, hello())
    assert isinstance(refused, Send)
    assert isinstance(refused.message, m.Refused)


def test_a_worker_that_leaves_before_the_start_may_be_replaced() -> None:
    run = Run()
    run.hear(0, hello())
    run.tell(Lost("0", "its connection closed"))
    run.hear(8, hello())
    assert len(sent(run.hear(1, hello()))) == 2


def test_a_worker_that_is_stopped_before_the_start_may_be_replaced() -> None:
    run = Run()
    run.hear(0, hello())
    (told,) = run.hear(0, m.Goodbye(signal="SIGINT"))
    assert told == Announce(
        "a worker (h, pid 7) left before the run began: it was stopped by SIGINT"
    )
    run.hear(8, hello())
    assert len(sent(run.hear(1, hello()))) == 2


def test_a_worker_that_is_stopped_while_the_run_is_prepared_ends_it_with_its_signal() -> None:
    run = Run()
    run.hear(0, hello(0, pid=100))
    run.hear(1, hello(1, pid=101))
    *finishes, end = run.hear(1, m.Goodbye(signal="SIGTERM"))
    assert sent(finishes) == [m.Finish(code=143)] * 2
    assert isinstance(end, End)
    assert end.problem.startswith("rank 1 (h, pid 101) was asked to stop by SIGTERM")


def test_waiting_for_workers_ends_with_a_sentence_that_counts_them() -> None:
    run = Run()
    run.tell(Tick(100.0))
    run.hear(0, hello())
    assert run.tell(Tick(159.0)) == []
    (abort, end) = run.tell(Tick(160.0))
    assert isinstance(end, End)
    assert end.code == 1
    assert end.problem.startswith("1 of 2 workers joined within 60 s")
    assert isinstance(abort, Send)


def test_a_worker_that_others_on_other_hosts_cannot_reach_is_named() -> None:
    run = Run()
    run.hear(0, hello(0, pid=100, address="tcp://10.0.0.3:4000"))
    *_, end = run.hear(1, hello(1, pid=101, address="tcp://127.0.0.1:4001"))
    assert isinstance(end, End)
    assert end.problem.startswith("rank 1 (h, pid 101): it listens at tcp://127.0.0.1:4001, where")


# -- preparing --------------------------------------------------------------------------------


def test_training_begins_when_all_are_ready_and_alike() -> None:
    instructions = Run().begin()
    workers = ("rank 0 (h, pid 100)", "rank 1 (h, pid 101)")
    assert instructions[0] == Begin(step=0, total_steps=4, epoch_steps=2, workers=workers)
    assert sent(instructions) == [m.RunStep(step=0)] * 2


@pytest.mark.parametrize(
    ("field", "what"),
    [
        ("plan", "model"),
        ("state", "initial state"),
        ("train_samples", "training data"),
        ("test_samples", "test data"),
    ],
)
def test_a_worker_that_built_something_else_is_named(field: str, what: str) -> None:
    run = Run()
    run.tell(Tick(0.0))
    run.hear(0, hello(0, pid=100))
    run.hear(1, hello(1, pid=101))
    run.hear(0, ready())
    *_, end = run.hear(1, ready(**{field: 21 if field.endswith("samples") else "x"}))
    assert isinstance(end, End)
    assert end.problem.startswith("rank 1 (h, pid 101): its ")
    assert what in end.problem


def test_a_worker_whose_kernels_give_other_bits_is_refused_unless_that_is_allowed() -> None:
    for allowed in (False, True):
        run = Run(start=config(cluster={"allow_other_kernel": allowed}))
        run.tell(Tick(0.0))
        run.hear(0, hello(0, pid=100))
        run.hear(1, hello(1, pid=101))
        run.hear(0, ready())
        *_, last = run.hear(1, ready(kernels="numba 1 for a"))
        assert isinstance(last, Send if allowed else End)
        if isinstance(last, End):
            assert last.code == 2
            told = "rank 1 (h, pid 101) cannot take part: its kernels are numba 1 for a, "
            assert told in last.problem


def test_other_kernels_than_the_checkpoints_are_refused() -> None:
    *_, last = Run(step=3, resumed=True, kernels="numba 1 for a").begin()
    assert isinstance(last, End)
    assert "the checkpoint was computed by numba 1 for a, which gives other bits" in last.problem


def test_a_resumed_run_sends_the_checkpoint_and_begins_at_its_step() -> None:
    run = Run(step=3, totals=Totals(1.0, 2, 5), resumed=True)
    begin = run.begin()
    assert [i.member for i in run.said if isinstance(i, SendCheckpoint)] == ["0", "1"]
    assert sent(begin) == [m.RunStep(step=3)] * 2


def test_a_run_that_was_complete_evaluates_and_ends() -> None:
    run = Run(step=4, resumed=True)
    assert sent(run.begin()) == [m.Evaluate()] * 2
    assert sent(run.finish_border())[-1] == m.Finish(code=0)


# -- a step -----------------------------------------------------------------------------------


def test_a_step_is_committed_when_all_have_reported() -> None:
    run = Run()
    run.begin()
    assert run.hear(1, report(1, 0), np.full(2, 0.25)) == []
    commits = sent(run.hear(0, report(0, 0), np.full(2, 0.25)))
    expected = m.Commit(
        step=0,
        apply=True,
        lr=0.5,
        clip=clip_coefficient(1.0, 1.0),
        unused=(),
        go_on=True,
        until=1,  # behind step 1 there is a border
        total_steps=4,
    )
    assert commits == [expected] * 2


def test_the_ledger_records_a_step_when_all_have_applied_it() -> None:
    run = Run()
    run.begin()
    run.report(0, squares=1.0)
    assert only(run.hear(0, m.Committed(step=0, optimizer_s=0.25)), RecordStep) == []
    (row,) = only(run.hear(1, m.Committed(step=0, optimizer_s=0.5)), RecordStep)
    assert isinstance(row, RecordStep)
    assert (row.step, row.epoch, row.samples, row.correct, row.norm) == (0, 0, 10, 6, 2.0)
    assert row.loss == pytest.approx((3 * 2.0 + 2 * 1.0) * 2 / 10)
    assert [s["optimizer"] for s in row.seconds] == [0.25, 0.5]


def test_the_clip_coefficient_is_that_of_clip_grad_norm() -> None:
    assert clip_coefficient(13.0, 1.0) == 1.0 / (13.0 + 1e-6)
    assert clip_coefficient(0.5, 1.0) == 1.0
    assert clip_coefficient(0.0, 1.0) == 1.0


def test_without_clip_norm_gradients_are_left_alone() -> None:
    run = Run(start=config(train={"clip_norm": None}))
    run.begin()
    (commit, _) = sent(run.report(0, squares=1e6))
    assert isinstance(commit, m.Commit)
    assert commit.clip == 1.0


def test_the_global_norm_does_not_depend_on_who_summed_what() -> None:
    values = np.random.default_rng(0).normal(size=12) ** 2 * 1e6
    norms = set()
    for size in (1, 2, 3, 4):
        run = Run(size)
        run.begin()
        for rank, part in enumerate(np.array_split(values, size)):
            run.hear(rank, report(rank, 0), part)
        assert run.state.ledger is not None
        norms.add(run.state.ledger.norm)
    assert len(norms) == 1


def test_a_step_that_is_not_finite_is_skipped_everywhere_and_the_first_culprit_is_named() -> None:
    run = Run()
    run.begin()
    run.hear(1, report(1, 0, non_finite=(3, "fc.weight")), np.full(2, math.nan))
    said = run.hear(0, report(0, 0, non_finite=(1, "the loss")), np.full(2, math.inf))
    assert all(isinstance(c, m.Commit) and not c.apply for c in sent(said))
    (told,) = only(said, Announce)
    assert isinstance(told, Announce)
    assert told.text == (
        "step 0 is skipped on every worker: the loss of shard 1 on rank 0 (h, pid 100) is not "
        "finite"
    )


@pytest.mark.parametrize("square", [math.inf, math.nan])
def test_a_sum_that_overflows_though_each_gradient_is_finite_is_skipped_too(square: float) -> None:
    run = Run()
    run.begin()
    said = run.report(0, squares=square)
    assert all(isinstance(c, m.Commit) and not c.apply for c in sent(said))
    (told,) = only(said, Announce)
    assert isinstance(told, Announce)
    assert told.text.startswith("step 0 is skipped on every worker: the sum of the grad")


def test_a_parameter_is_unused_only_when_no_worker_used_it() -> None:
    run = Run()
    run.begin()
    run.hear(0, report(0, 0, unused=(1, 2)), np.ones(1))
    (commit, _) = sent(run.hear(1, report(1, 0, unused=(2, 3)), np.ones(1)))
    assert isinstance(commit, m.Commit)
    assert commit.unused == (2,)


def test_a_step_that_takes_too_long_names_those_awaited() -> None:
    run = Run()
    run.begin()
    run.hear(0, report(0, 0), np.ones(1))
    *_, end = run.tell(Tick(600.0))
    assert isinstance(end, End)
    assert "nothing from rank 1 (h, pid 101) within 600 s" in end.problem


@pytest.mark.parametrize(
    "message",
    [
        report(0, 1),
        ready(),
        m.Committed(step=0, optimizer_s=0.0),
        m.EvaluationReport(batches=()),
        m.StateSent(),
        m.Goodbye(),
    ],
)
def test_a_message_out_of_turn_ends_the_run_and_names_the_sender(message: m.FromWorker) -> None:
    run = Run()
    run.begin()
    *_, end = run.tell(Received("0", message, (np.ones(1),)))
    assert isinstance(end, End)
    assert end.code == 1
    assert end.problem.startswith("rank 0 (h, pid 100): ")


# -- borders and the end ----------------------------------------------------------------------


def test_at_the_end_of_an_epoch_the_test_set_is_evaluated_and_a_checkpoint_written() -> None:
    run = Run()
    run.begin()
    run.report(0)
    run.commit(0)
    commits = sent(run.report(1))
    assert all(isinstance(c, m.Commit) and not c.go_on for c in commits)
    assert sent(run.commit(1)) == [m.Evaluate()] * 2
    said = run.finish_border()
    assert only(said, RecordEvaluation) == [RecordEvaluation(2, 0.5, 0.9)]
    assert only(said, WriteCheckpoint) == [WriteCheckpoint(2, run.state.totals, "k", "numpy", 0)]
    assert sent(said)[-1] == m.RunStep(step=2)


def test_without_a_test_set_the_end_of_an_epoch_is_no_border() -> None:
    run = Run(start=config(checkpoint={"every_epochs": 100}))
    run.begin(test_samples=0)
    for step in range(4):
        run.report(step)
        run.commit(step)
    orders = sent(run.said)
    assert [o.go_on for o in orders if isinstance(o, m.Commit)] == [True] * 6 + [False] * 2
    assert m.Evaluate() not in orders


def test_checkpoints_by_steps_do_not_wait_for_an_epoch() -> None:
    run = Run(start=config(checkpoint={"every_steps": 3, "every_epochs": None}))
    run.begin()
    for step in range(2):
        run.report(step)
        run.commit(step)
        run.finish_border()
    run.report(2)
    assert sent(run.commit(2)) == [m.SendState()] * 2


def test_the_totals_of_an_epoch_start_anew_with_it() -> None:
    run = Run()
    run.begin()
    for step in range(3):
        run.report(step)
        run.commit(step)
        run.finish_border()
    assert run.state.totals.samples == 10


def test_a_whole_run_ends_with_code_0_after_every_goodbye() -> None:
    run = Run()
    run.begin()
    for step in range(4):
        run.report(step)
        run.commit(step)
        run.finish_border()
    assert sent(run.said)[-1] == m.Finish(code=0)
    assert run.hear(0, m.Goodbye()) == []
    assert run.hear(1, m.Goodbye()) == [End(0)]
    assert [i.step for i in run.said if isinstance(i, RecordStep)] == [0, 1, 2, 3]


def test_a_run_ends_although_a_goodbye_never_comes() -> None:
    run = Run(step=4, resumed=True)
    run.begin()
    run.finish_border()
    run.hear(0, m.Goodbye())
    assert run.tell(Tick(6.0)) == [End(0)]


def test_a_stop_signal_ends_the_run_at_the_step_border_with_a_checkpoint() -> None:
    run = Run()
    run.begin()
    (note,) = run.hear(1, m.Stopping(signal="SIGTERM"))
    assert note == Announce(
        "rank 1 (h, pid 101) was asked to stop by SIGTERM: stopping at the next step border (a "
        "second signal: at once)"
    )
    run.report(0)
    assert sent(run.commit(0)) == [m.SendState()] * 2
    assert sent(run.finish_border())[-1] == m.Finish(code=143)
    run.hear(0, m.Goodbye())
    (end,) = run.hear(1, m.Goodbye())
    assert end == End(
        143,
        "rank 1 (h, pid 101) was asked to stop by SIGTERM: stopped after step 1, --resume goes on "
        "from there",
    )


def test_a_stop_in_the_middle_of_a_checkpoint_does_not_write_it_twice() -> None:
    run = Run()
    run.begin()
    for step in range(2):
        run.report(step)
        run.commit(step)
    run.tell(StopRequested("SIGINT"))
    said = run.finish_border()
    assert len(only(said, WriteCheckpoint)) == 1
    assert sent(said)[-1] == m.Finish(code=130)


def test_a_stop_before_all_have_joined_ends_at_once() -> None:
    run = Run()
    run.hear(0, hello())
    finish, end = run.tell(StopRequested("SIGINT"))
    assert finish == Send("0", m.Finish(code=130))
    assert isinstance(end, End)
    assert end.code == 130


def test_a_lost_worker_ends_the_run_and_the_others_are_told_who() -> None:
    run = Run(3)
    run.begin()
    *aborts, end = run.tell(Lost("1", "no heartbeat for 10 s"))
    assert end == End(1, "rank 1 (h, pid 101): no heartbeat for 10 s")
    assert [(i.member, type(i.message)) for i in aborts if isinstance(i, Send)] == [
        ("0", m.Abort),
        ("2", m.Abort),
    ]
    assert run.state.phase is Phase.OVER
    assert run.tell(Lost("0", "its connection closed")) == []


def test_the_users_mistake_is_told_without_a_culprit_and_with_code_2() -> None:
    run = Run()
    run.begin()
    *_, end = run.hear(0, m.Failed(cause="'data.train': no such file", by_user=True))
    assert end == End(2, "'data.train': no such file")


def test_a_witness_of_a_loss_waits_for_the_last_words_of_the_lost() -> None:
    run = Run()
    run.begin()
    assert run.hear(0, m.Failed(cause="rank 1 is gone", blames=1)) == []
    *_, end = run.hear(1, m.Failed(cause="ValueError: boom"))
    assert end == End(1, "rank 1 (h, pid 101): ValueError: boom")


def test_a_witness_is_believed_when_the_lost_worker_stays_silent() -> None:
    run = Run()
    run.begin()
    run.hear(0, m.Failed(cause="rank 1 is gone", blames=1))
    *_, end = run.tell(Tick(1.0))
    assert isinstance(end, End)
    assert end.problem == (
        "rank 1 (h, pid 101): it vanished in the middle of an exchange, as rank 0 (h, pid 100) "
        "noticed"
    )


def test_a_failure_of_the_coordinators_own_process_ends_the_run() -> None:
    run = Run()
    run.begin()
    *aborts, end = run.tell(HostFailed("OSError: disk full"))
    assert end == End(1, "OSError: disk full")
    assert len(aborts) == 2


def test_strangers_and_late_words_are_passed_over() -> None:
    run = Run()
    run.begin()
    assert run.hear(9, m.Committed(step=0, optimizer_s=0.0)) == []
    run.tell(Lost("1", "gone"))
    assert run.hear(0, m.Goodbye()) == []


def test_a_thousand_workers_take_a_step() -> None:
    run = Run(1000, start=config(train={"global_batch": 5000, "shards": 2000}))
    run.begin()
    commits = sent(run.report(0))
    assert len(commits) == 1000
    assert all(isinstance(commit, m.Commit) for commit in commits)


def test_skipped_steps_have_no_part_in_the_mean_loss_of_the_epoch() -> None:
    run = Run()
    run.begin()
    bad = (ShardResult(0, math.nan, 0, 3),)
    run.report(0, squares=math.nan, shards=bad, non_finite=(0, "the loss"))
    assert run.state.totals == Totals()
    assert run.state.totals.mean_loss is None
    assert run.state.ledger is not None
    assert math.isnan(run.state.ledger.loss)


def test_a_run_that_skips_too_many_steps_in_a_row_has_diverged() -> None:
    run = Run(start=config(train={"steps": 9, "skip_limit": 1}, checkpoint={"every_epochs": 9}))
    run.begin()
    run.report(0, squares=math.nan, non_finite=(0, "the loss"))
    run.commit(0)
    *_, end = run.report(1, squares=math.nan, non_finite=(0, "the loss"))
    assert isinstance(end, End)
    assert end.code == 1
    assert end.problem.startswith("training has diverged: 2 steps in a row were skipped")
