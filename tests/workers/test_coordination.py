"""The coordinator's shell with a puppet for a worker, a clock of its own and a real directory."""

from __future__ import annotations

import io
import json
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ddp import checkpoint
from ddp import metrics as metrics_module
from ddp.checkpoint import fingerprint
from ddp.checkpoint.store import DiskStore
from ddp.comm.communicator import Array
from ddp.config import Config, from_dict
from ddp.errors import CheckpointError
from ddp.results import BatchResult, Seconds, ShardResult
from ddp.version import VERSION
from tests.helpers.tasks import tables
from workers import messages as m
from workers import records, threads
from workers.coordination import Coordination
from workers.events import Received

Arrays = dict[str, Array]


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def config(**changes: dict[str, Any]) -> Config:
    """Two steps and one evaluation of 24 samples, one epoch."""
    changes["train"] = {"steps": 2} | changes.get("train", {})
    return from_dict({"name": "puppets", **tables(**changes)})


class Play:
    """A coordination whose `size` workers are puppets: they answer every order, computing nothing.

    Their state is one array, the number of steps they have taken part in, and one of Adam's.
    """

    kernel = "k"

    def __init__(
        self, out: Path, conf: Config | None = None, size: int = 1, resume: bool = False
    ) -> None:
        self.clock, self.stream = Clock(), io.StringIO()
        self.coordination = Coordination(
            conf or config(), size, out, resume, "mpi", self.stream, self.clock
        )
        self.coordination.post = self._post
        self.size = size
        self.orders: list[m.FromCoordinator] = []  # to worker 0
        self.loaded: list[tuple[m.StatePart, Array]] = []
        self._inbox: deque[tuple[str, m.FromCoordinator, Sequence[Array]]] = deque()
        self._weights = np.zeros(4, np.float32)

    def _post(self, member: str, order: m.FromCoordinator, arrays: Sequence[Array] = ()) -> None:
        self._inbox.append((member, order, arrays))

    def hear(self, member: str, message: m.FromWorker, *arrays: Array) -> None:
        self.clock.now_s += 0.125
        self.coordination.handle(Received(member, message, arrays))

    def run(self) -> None:
        """From the first Hello to the end, or to where the coordinator has nothing to say."""
        for rank in range(self.size):
            hello = m.Hello(version=VERSION, host="h", pid=rank, kernel=self.kernel, rank=rank)
            self.hear(str(rank), hello)
        while self._inbox and not self.coordination.is_over:
            member, order, arrays = self._inbox.popleft()
            if member == "0":
                self.orders.append(order)
            self.answer(member, order, arrays)

    def answer(self, member: str, order: m.FromCoordinator, arrays: Sequence[Array]) -> None:
        match order:
            case m.Setup(resumed=False) | m.StateSent():
                self.hear(
                    member,
                    m.Ready(kernels="numpy", plan="p", state="s", train_samples=24, test_samples=9),
                )
            case m.StatePart():
                self.loaded.append((order, arrays[0].copy()))
            case m.RunStep(step=step):
                self.report(member, step)
            case m.Commit(step=step, go_on=go_on):
                if member == "0":
                    self._weights += 1
                self.hear(member, m.Committed(step=step, optimizer_s=0.0))
                if go_on:
                    self.report(member, step + 1)
            case m.Evaluate():
                batch = BatchResult(loss=0.5, correct=6, samples=8)
                self.hear(member, m.EvaluationReport(batches=(batch,)))
            case m.SendState():
                self.send_state(member)
                self.hear(member, m.StateSent())
            case m.Finish():
                self.hear(member, m.Goodbye())

    def report(self, member: str, step: int) -> None:
        shards = tuple(
            ShardResult(shard=shard, loss=1.0, correct=1, samples=3)
            for shard in range(int(member) * 4 // self.size, (int(member) + 1) * 4 // self.size)
        )
        seconds = Seconds(forward=0.0, backward=0.0, waiting=0.0)
        message = m.StepReport(
            step=step, shards=shards, unused=(), non_finite=None, seconds=seconds
        )
        self.hear(member, message, np.ones(1))

    def send_state(self, member: str) -> None:
        if member == "0":
            self.hear(member, part("model", "w", (4,)), self._weights.copy())
            self.hear(member, part("optimizer", "w/momentum_buffer", (2, 2)), np.ones(4))


def part(kind: str, name: str, shape: tuple[int, ...], start: int = 0) -> m.StatePart:
    return m.StatePart(kind=kind, name=name, shape=shape, start=start)


def finished(out: Path, conf: Config | None = None, size: int = 1) -> Play:
    """A run that has gone to its end."""
    play = Play(out, conf, size)
    play.run()
    play.coordination.close()
    assert play.coordination.ended_well
    return play


def metrics(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


# -- a run --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3])
def test_a_run_leaves_a_checkpoint_a_line_per_step_and_a_summary(tmp_path: Path, size: int) -> None:
    play = finished(tmp_path / "out", size=size)
    assert play.coordination.ending.code == 0
    snapshot = checkpoint.load(tmp_path / "out" / "step-00000002")
    np.testing.assert_array_equal(snapshot.model["w"], np.full(4, 2, np.float32))
    assert snapshot.optimizer["w/momentum_buffer"].shape == (2, 2)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["fingerprint"] == fingerprint(snapshot.model, snapshot.optimizer)
    assert (summary["steps"], summary["workers"], summary["shards"]) == (2, size, 4)
    assert (summary["train_loss"], summary["test_accuracy"]) == (1.0, 0.75)
    assert [(row["step"], row["samples"], row["applied"]) for row in metrics(tmp_path / "out")] == [
        (1, 12, True),
        (2, 12, True),
    ]
    assert summary["fingerprint"] in play.stream.getvalue()


def test_the_orders_of_a_short_run(tmp_path: Path) -> None:
    kinds = [type(order).__name__ for order in finished(tmp_path / "out").orders]
    expected = ["Setup", "RunStep", "Commit", "Commit", "Evaluate", "SendState", "Finish"]
    assert kinds == expected


def test_nothing_of_a_run_is_written_before_all_workers_are_ready(tmp_path: Path) -> None:
    play = Play(tmp_path / "out", size=2)
    play.hear("0", m.Hello(version=VERSION, host="h", pid=1, kernel="k"))
    assert not [p for p in (tmp_path / "out").iterdir() if not p.name.startswith(".")]
    play.coordination.close()


def test_the_clock_that_is_handed_in_ends_a_wait_that_lasts_too_long(tmp_path: Path) -> None:
    play = Play(tmp_path / "out")
    play.coordination.tick()
    play.clock.now_s += 59.0
    play.coordination.tick()
    assert not play.coordination.is_over
    play.clock.now_s += 1.5
    play.coordination.tick()
    ending = play.coordination.ending
    assert ending is not None
    assert "0 of 1 workers joined within 60 s" in ending.problem
    assert not play.coordination.ended_well
    play.coordination.close()


def test_an_old_checkpoint_makes_room_for_a_new_one(tmp_path: Path) -> None:
    conf = config(train={"steps": 6}, checkpoint={"every_steps": 1, "keep": 2})
    finished(tmp_path / "out", conf)
    names = sorted(path.name for path in (tmp_path / "out").glob("step-*"))
    assert names == ["step-00000005", "step-00000006"]


# -- the run directory --------------------------------------------------------------------------


def test_two_coordinators_cannot_have_the_same_directory(tmp_path: Path) -> None:
    play = Play(tmp_path / "out")
    with pytest.raises(CheckpointError, match="is in use by process"):
        Play(tmp_path / "out")
    play.coordination.close()
    Play(tmp_path / "out").coordination.close()


def test_a_directory_with_a_run_is_not_begun_anew(tmp_path: Path) -> None:
    finished(tmp_path / "out")
    with pytest.raises(CheckpointError, match="--resume goes on with the run in it"):
        Play(tmp_path / "out")


def test_a_directory_that_was_refused_is_free_again(tmp_path: Path) -> None:
    finished(tmp_path / "out")
    other = config(optimizer={"name": "SGD", "lr": 0.2})
    for _ in range(2):  # the second would find it in use
        with pytest.raises(CheckpointError, match=r"'optimizer\.lr' is .*, the checkpoint has"):
            Play(tmp_path / "out", other, resume=True)
    Play(tmp_path / "out", resume=True).coordination.close()


# -- going on -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        (r"train\.global_batch", {"train": {"global_batch": 8}}),
        (r"train\.shards", {"train": {"shards": 2}}),
        (r"train\.clip_norm", {"train": {"clip_norm": 2.0}}),
        (r"model\.args", {"model": {"args": {"hidden": 8}}}),
        (r"data\.args", {"data": {"args": {"samples": 30}}}),
        (r"schedule", {"schedule": {"name": "cosine"}}),
    ],
)
def test_a_run_is_not_resumed_with_another_configuration(
    tmp_path: Path, key: str, changes: dict[str, Any]
) -> None:
    finished(tmp_path / "out")
    with pytest.raises(CheckpointError, match=rf"'{key}.*' is .*, the checkpoint has "):
        Play(tmp_path / "out", config(**changes), resume=True)


def test_a_run_may_be_made_longer_and_its_cluster_changed(tmp_path: Path) -> None:
    finished(tmp_path / "out")
    longer = config(train={"steps": 4}, cluster={"bucket_bytes": 77})
    play = Play(tmp_path / "out", longer, size=2, resume=True)
    play.run()
    play.coordination.close()
    assert play.coordination.ending.code == 0
    assert [row["step"] for row in metrics(tmp_path / "out")] == [1, 2, 3, 4]
    assert "going on after step 2" in play.stream.getvalue()


def test_a_resumed_worker_is_sent_the_state_of_the_checkpoint(tmp_path: Path) -> None:
    finished(tmp_path / "out")
    play = Play(tmp_path / "out", config(train={"steps": 3}), resume=True)
    play.run()
    play.coordination.close()
    kinds = [type(order).__name__ for order in play.orders]
    assert kinds[:5] == ["Setup", "StatePart", "StatePart", "StateSent", "RunStep"]
    loaded = {(p.kind, p.name): array.reshape(p.shape) for p, array in play.loaded}
    np.testing.assert_array_equal(loaded["model", "w"], np.full(4, 2, np.float32))
    np.testing.assert_array_equal(loaded["optimizer", "w/momentum_buffer"], np.ones((2, 2)))
    assert play.orders[4] == m.RunStep(step=2)


def test_shards_left_to_the_first_launch_stay_what_they_were(tmp_path: Path) -> None:
    unset = config(train={"shards": None})
    first = Play(tmp_path / "out", unset, size=4)
    first.run()
    first.coordination.close()
    resumed = Play(tmp_path / "out", unset, size=2, resume=True)
    assert resumed.coordination.config.train.shards == 4
    resumed.coordination.close()


def test_resuming_where_nothing_was_saved_yet_begins_at_the_beginning(tmp_path: Path) -> None:
    play = Play(tmp_path / "out", resume=True)
    play.run()
    play.coordination.close()
    assert "no checkpoint" in play.stream.getvalue()
    assert play.coordination.ending.code == 0


def test_a_torn_checkpoint_is_passed_over_and_named(tmp_path: Path) -> None:
    finished(tmp_path / "out", config(checkpoint={"every_steps": 1}))
    (tmp_path / "out" / "step-00000002" / "model.safetensors").write_bytes(b"torn")
    play = Play(tmp_path / "out", config(train={"steps": 3}), resume=True)
    assert "passed over: " in play.stream.getvalue()
    assert "step-00000002" in play.stream.getvalue()
    assert play.coordination.state.step == 1
    play.coordination.close()


def test_a_checkpoint_tells_the_kernel_of_the_workers_not_of_the_coordinator(
    tmp_path: Path,
) -> None:
    finished(tmp_path / "out")
    snapshot, _ = checkpoint.newest(tmp_path / "out")
    assert snapshot is not None
    assert snapshot.state["blas_kernel"] == Play.kernel != checkpoint.blas_kernel()


def test_a_worker_with_another_kernel_than_the_checkpoints_is_refused_unless_that_is_allowed(
    tmp_path: Path,
) -> None:
    finished(tmp_path / "out", config(train={"steps": 1}))
    longer = {"train": {"steps": 2}}
    play = Play(tmp_path / "out", config(**longer), resume=True)
    play.kernel = "another"
    play.run()
    play.coordination.close()
    assert play.coordination.ending.code == 2
    assert "its BLAS kernel is another, the checkpoint was computed by k, " in (
        play.coordination.ending.problem
    )
    assert "OPENBLAS_CORETYPE" in play.coordination.ending.problem

    allowed = config(**longer, cluster={"allow_other_kernel": True})
    play = Play(tmp_path / "out", allowed, resume=True)
    play.kernel = "another"
    play.run()
    play.coordination.close()
    assert play.coordination.ending.code == 0


def test_a_run_of_which_no_checkpoint_is_whole_is_not_begun_anew_in_its_place(
    tmp_path: Path,
) -> None:
    finished(tmp_path / "out")
    for path in (tmp_path / "out").glob("step-*/state.json"):
        path.write_text("torn")
    before = (tmp_path / "out" / "metrics.jsonl").read_text()
    with pytest.raises(CheckpointError, match=r"no checkpoint in .* is whole \(.*state\.json"):
        Play(tmp_path / "out", resume=True)
    assert (tmp_path / "out" / "metrics.jsonl").read_text() == before


def test_resuming_a_complete_run_leaves_its_summary_as_it_is(tmp_path: Path) -> None:
    finished(tmp_path / "out")
    before = (tmp_path / "out" / "summary.json").read_text()
    play = Play(tmp_path / "out", resume=True)
    play.run()
    play.coordination.close()
    assert play.coordination.ending.code == 0
    assert "this run was complete already" in play.stream.getvalue()
    assert (tmp_path / "out" / "summary.json").read_text() == before


def test_a_config_that_ends_before_the_checkpoint_is_refused(tmp_path: Path) -> None:
    finished(tmp_path / "out", config(train={"steps": 3}))
    play = Play(tmp_path / "out", config(train={"steps": 2}), resume=True)
    play.run()
    play.coordination.close()
    assert play.coordination.ending.code == 2
    assert "stands at step 3, past the end of this config, 2 steps" in (
        play.coordination.ending.problem
    )


# -- what goes wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "arrays"),
    [
        (part("model", "w", (4,), start=2), [np.ones(4)]),
        (part("model", "w", (4,)), []),
        (part("model", "w", (4,)), [np.ones(2), np.ones(2)]),
    ],
    ids=["past the end", "no array", "two arrays"],
)
def test_a_part_of_the_state_that_does_not_fit_ends_the_run_and_names_its_sender(
    tmp_path: Path, wrong: m.StatePart, arrays: list[Array]
) -> None:
    play = Play(tmp_path / "out")
    play.send_state = lambda member: play.hear(member, wrong, *arrays)  # type: ignore[method-assign]
    play.run()
    play.coordination.close()
    ending = play.coordination.ending
    assert ending.code == 1
    assert ending.problem.startswith("rank 0 (h, pid 0): ")
    assert not list((tmp_path / "out").glob("step-*"))


def test_a_stranger_adds_nothing_to_a_checkpoint(tmp_path: Path) -> None:
    play = Play(tmp_path / "out")
    play.hear("stranger", part("model", "w", (4,)), np.full(4, 666, np.float32))
    play.hear("stranger", part("model", "evil", (4,)), np.full(4, 666, np.float32))
    play.run()
    play.coordination.close()
    assert play.coordination.ending.code == 0
    assert list(checkpoint.load(tmp_path / "out" / "step-00000002").model) == ["w"]


def full_disk(*arguments: object, **options: object) -> None:
    raise OSError(28, "No space left on device")


DISK = {
    "metrics at the start": (metrics_module.MetricsLog, "__init__"),
    "metrics of a step": (metrics_module.MetricsLog, "write"),
    "a checkpoint": (DiskStore, "write"),
    "the summary": (records, "write_summary"),
}


@pytest.mark.parametrize("what", DISK)
@pytest.mark.parametrize("size", [1, 3])
def test_a_full_disk_ends_the_run_with_a_sentence_and_no_worker_waits_for_ever(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    what: str,
    size: int,
) -> None:
    monkeypatch.setattr(*DISK[what], full_disk)
    code = threads.run(config(), size, tmp_path / "out", False, io.StringIO())
    assert code == 2  # the user can mend it
    errors = capsys.readouterr().err
    assert errors.startswith("ddp: ")
    assert str(tmp_path / "out") in errors
    assert "No space left on device" in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "out" / "summary.json").exists()
