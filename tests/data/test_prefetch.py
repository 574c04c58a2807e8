"""Reading ahead: in a thread that ends with the read, only where it helps, with the same bits."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ddp.build import Task, build_model
from ddp.comm.solo import SoloCommunicator
from ddp.config import from_dict
from ddp.data import prefetch
from ddp.data.order import batch_indices
from ddp.data.prefetch import ReadAhead
from ddp.nn.loss_layers import CrossEntropyLoss
from ddp.nn.module import Module
from ddp.train import Replica
from tests.helpers.tasks import blobs, network, tables
from tests.helpers.tasks import train as train_on_threads

PATIENCE_S = 10.0
HELPER = "reading ahead"


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every data set counts as slow."""
    monkeypatch.setattr(prefetch, "SLOW_S", -1.0)


class Recorded:
    """The samples of `blobs`; which were read, by which thread, and what `before` does first."""

    def __init__(self, before: Callable[[list[int]], Any] = lambda indices: None) -> None:
        self._blobs = blobs()[0]
        self._before = before
        self.reads: list[tuple[list[int], str]] = []

    def __len__(self) -> int:
        return len(self._blobs)

    def fetch(self, indices: Any) -> Any:
        self.reads.append((indices.tolist(), threading.current_thread().name))
        self._before(indices.tolist())
        return self._blobs.fetch(indices)

    @property
    def readers(self) -> list[str]:
        return [reader for _, reader in self.reads]


FIRST, SECOND = np.array([3, 1]), np.array([7, 4, 2])
ME = threading.current_thread().name


# -- the reader alone -----------------------------------------------------------------------------


@pytest.mark.usefixtures("slow")
def test_what_was_announced_is_read_once_by_a_helper_and_is_what_a_plain_read_gives() -> None:
    data = Recorded()
    ahead = ReadAhead(data)
    ahead.fetch(FIRST)
    ahead.begin(SECOND)
    inputs, targets = ahead.fetch(SECOND)
    np.testing.assert_array_equal(inputs, blobs()[0].inputs[SECOND])
    assert targets.tolist() == [1, 1, 2]
    assert data.reads == [([3, 1], ME), ([7, 4, 2], HELPER)]


def test_data_that_come_quickly_are_read_without_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "SLOW_S", PATIENCE_S)
    data = Recorded()
    ahead = ReadAhead(data)
    for _ in range(3):
        ahead.fetch(FIRST)
        ahead.begin(FIRST)
    assert data.readers == [ME] * 3


@pytest.mark.usefixtures("slow")
def test_other_samples_than_the_announced_ones_are_read_when_they_are_asked_for() -> None:
    ahead = ReadAhead(blobs()[0])
    ahead.fetch(FIRST)
    ahead.begin(SECOND)
    np.testing.assert_array_equal(ahead.fetch(FIRST)[0], blobs()[0].inputs[FIRST])


@pytest.mark.usefixtures("slow")
def test_nothing_is_read_where_nothing_is_needed() -> None:
    data = Recorded()
    ahead = ReadAhead(data)
    ahead.fetch(FIRST)
    ahead.begin(SECOND[:0])
    ahead.settle()
    assert len(data.reads) == 1


@pytest.mark.usefixtures("slow")
def test_after_settling_nobody_reads() -> None:
    go = threading.Event()
    data = Recorded(lambda indices: indices == [7, 4, 2] and go.wait(PATIENCE_S))
    ahead = ReadAhead(data)
    ahead.fetch(FIRST)
    ahead.begin(SECOND)
    assert HELPER in [thread.name for thread in threading.enumerate()]
    go.set()
    ahead.settle()
    assert HELPER not in [thread.name for thread in threading.enumerate()]


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("kind", [KeyError, SystemExit])
def test_a_failure_comes_up_where_the_samples_are_needed_with_its_own_traceback(
    kind: type[BaseException],
) -> None:
    def fail_at_seven(indices: list[int]) -> None:
        if 7 in indices:
            raise kind("sample 7 is damaged")

    ahead = ReadAhead(Recorded(fail_at_seven))
    ahead.fetch(FIRST)
    ahead.begin(SECOND)
    ahead.settle()
    with pytest.raises(kind, match="sample 7 is damaged") as failure:
        ahead.fetch(SECOND)
    assert "fail_at_seven" in [frame.name for frame in traceback.extract_tb(failure.tb)]


@pytest.mark.usefixtures("slow")
def test_data_that_only_one_thread_can_read_are_read_by_it() -> None:
    def only_here(indices: list[int]) -> None:
        if threading.current_thread().name == HELPER:
            raise RuntimeError("objects created in a thread can only be used in that same thread")

    data = Recorded(only_here)
    ahead = ReadAhead(data)
    for _ in range(4):
        ahead.fetch(FIRST)
        ahead.begin(FIRST)
    assert data.readers == [ME, HELPER, ME, ME, ME]


@pytest.mark.usefixtures("slow")
def test_a_helper_reads_under_the_error_state_of_its_caller() -> None:
    states: list[Any] = []
    ahead = ReadAhead(Recorded(lambda indices: states.append(np.geterr()["over"])))
    with np.errstate(over="ignore"):
        ahead.fetch(FIRST)
        ahead.begin(SECOND)
        ahead.settle()
    assert states == ["ignore", "ignore"]


# -- in the training step -------------------------------------------------------------------------


def replica(data: Any, model: Module | None = None, steps: int = 4) -> Replica:
    conf = from_dict({"seed": 5, **tables(train={"steps": steps, "shards": 2})})
    task = Task(model or build_model(conf), CrossEntropyLoss(), data, None)
    return Replica(conf, task, SoloCommunicator())


def run(trained: Replica, steps: int) -> None:
    for step in range(steps):
        result = trained.compute(step)
        trained.commit(True, 0.1, 1.0, result.unused)


@pytest.mark.usefixtures("slow")
def test_every_sample_of_a_run_is_read_once_and_nothing_after_its_end() -> None:
    data = Recorded()
    trained = replica(data)
    data.reads.clear()  # of the probe before the first step
    run(trained, 4)
    needed = [batch_indices(24, 12, 5, step).tolist() for step in range(4)]
    shards = [half for batch in needed for half in (batch[:6], batch[6:])]
    assert [indices for indices, _ in data.reads] == shards
    assert data.readers == [ME] + [HELPER] * 7


@pytest.mark.usefixtures("slow")
def test_the_next_samples_are_read_while_the_model_computes() -> None:
    computing, both = threading.Event(), []

    class Signalling(Module):
        """Tells that its forward pass has begun."""

        def __init__(self) -> None:
            super().__init__()
            self.layers = network()

        def forward(self, x: Any) -> Any:
            computing.set()
            return self.layers(x)

    def wait_for_the_model(indices: list[int]) -> None:
        if threading.current_thread().name == HELPER:
            both.append(computing.wait(PATIENCE_S))

    trained = replica(Recorded(wait_for_the_model), Signalling())
    computing.clear()
    run(trained, 1)
    assert both == [True, True]  # of this step's second shard, and of the next step's first


@pytest.mark.usefixtures("slow")
def test_a_read_ends_with_the_step_in_which_it_began() -> None:
    trained = replica(Recorded())
    run(trained, 2)
    assert HELPER not in [thread.name for thread in threading.enumerate()]


@pytest.mark.usefixtures("slow")
def test_damaged_data_stop_the_run_at_the_step_that_needs_them() -> None:
    damaged = batch_indices(24, 12, 5, 1)[0]

    def check(indices: list[int]) -> None:
        if damaged in indices and armed:
            raise ValueError(f"sample {damaged} is damaged")

    armed: list[bool] = []
    trained = replica(Recorded(check))
    armed.append(True)
    run(trained, 1)
    with pytest.raises(ValueError, match=f"sample {damaged} is damaged"):
        trained.compute(1)


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("workers", [1, 3])
def test_reading_ahead_changes_no_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    changes: dict[str, Any] = {"train": {"steps": 5, "global_batch": 14}}  # 24 samples: ragged
    ahead = train_on_threads(tmp_path / "ahead", workers, **changes)
    monkeypatch.setattr(prefetch, "SLOW_S", PATIENCE_S)
    plain = train_on_threads(tmp_path / "plain", workers, **changes)
    assert ahead["fingerprint"] == plain["fingerprint"]
