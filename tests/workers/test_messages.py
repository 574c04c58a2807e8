"""The vocabulary on the wire: what is sent arrives as it was, and nothing else is believed."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from ddp import wire
from ddp.errors import PeerProtocolError
from ddp.results import BatchResult, Seconds, ShardResult
from workers import messages as m

SHARD = ShardResult(shard=1, loss=0.5, correct=None, samples=3)
BATCH = BatchResult(loss=0.5, correct=2, samples=3)
TIMES = Seconds(forward=1.0, backward=2.0, waiting=0.0)
PART = m.StatePart(kind="model", name="fc.weight", shape=(2, 3), start=4)
FROM_WORKER: list[m.FromWorker] = [
    m.Hello(version="1", host="h", pid=7, kernel="k", address="tcp://h:1", rank=None),
    m.Ready(kernels="numpy", plan="p", state="s", train_samples=10, test_samples=0),
    m.StepReport(step=3, shards=(SHARD,), unused=(1, 2), non_finite=(1, "w"), seconds=TIMES),
    m.Committed(step=3, optimizer_s=0.25),
    m.Decided(
        reports=(m.StepReport(step=4, shards=(), unused=(), non_finite=None, seconds=TIMES),),
        optimizer_s=(0.5,),
    ),
    m.EvaluationReport(batches=(BATCH,)),
    PART,
    m.StateSent(),
    m.Stopping(signal="SIGTERM"),
    m.Failed(cause="c", by_user=True, blames=2),
    m.Goodbye(),
    m.Beat(),
]
FROM_COORDINATOR: list[m.FromCoordinator] = [
    m.Refused(reason="full"),
    m.Setup(
        rank=1, size=2, config={"a": [1, 2.5, None]}, addresses=("x", "y"), token="t", resumed=True
    ),
    PART,
    m.StateSent(),
    m.RunStep(step=0),
    m.Commit(
        step=0, apply=False, lr=0.1, clip=1 / 3, unused=(3,), go_on=True, until=9, total_steps=9
    ),
    m.Pause(),
    m.Evaluate(),
    m.SendState(),
    m.Finish(code=143),
    m.Abort(reason="r", code=2),
    m.Beat(),
]


def name(value: object) -> str:
    return type(value).__name__


def frames(message: m.Message, *arrays: np.ndarray) -> list[bytes]:
    return [bytes(frame) for frame in m.to_frames(message, arrays)]


@pytest.mark.parametrize("message", FROM_WORKER, ids=name)
def test_what_a_worker_says_arrives_as_it_was_said(message: m.FromWorker) -> None:
    values = np.linspace(0, 1, 5)
    heard, arrays = m.worker_message(frames(message, values))
    assert heard == message
    np.testing.assert_array_equal(arrays[0], values)


@pytest.mark.parametrize("message", FROM_COORDINATOR, ids=name)
def test_what_the_coordinator_says_arrives_as_it_was_said(message: m.FromCoordinator) -> None:
    assert m.coordinator_message(frames(message)) == (message, [])


def test_these_are_all_the_messages_there_are() -> None:
    assert {type(message) for message in FROM_WORKER} == set(m.FromWorker.__args__)
    assert {type(message) for message in FROM_COORDINATOR} == set(m.FromCoordinator.__args__)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_not_finite_can_be_reported(value: float) -> None:
    shard = ShardResult(shard=0, loss=value, correct=0, samples=1)
    report = m.StepReport(
        step=0, shards=(shard,), unused=(), non_finite=(0, "the loss"), seconds=TIMES
    )
    heard, _ = m.worker_message(frames(report))
    assert isinstance(heard, m.StepReport)
    np.testing.assert_equal(heard.shards[0].loss, value)


@pytest.mark.parametrize("message", FROM_COORDINATOR, ids=name)
def test_a_worker_cannot_give_orders(message: m.FromCoordinator) -> None:
    if type(message) in m.FromWorker.__args__:
        assert m.worker_message(frames(message))[0] == message
        return
    with pytest.raises(PeerProtocolError, match="none of the protocol's"):
        m.worker_message(frames(message))


@pytest.mark.parametrize(
    "change",
    [
        {"type": "Hallo"},
        {"pid": "7"},
        {"pid": None},
        {"rank": 1.5},
        {"more": 1},
    ],
    ids=["kind", "text for a number", "nothing for a number", "fraction", "unknown field"],
)
def test_a_message_with_a_wrong_field_is_refused(change: dict[str, Any]) -> None:
    fields = msgspec.to_builtins(FROM_WORKER[0]) | change
    with pytest.raises(PeerProtocolError, match="none of the protocol's"):
        m.worker_message([bytes(frame) for frame in wire.pack(fields, [])])


def test_a_message_with_a_field_missing_is_refused() -> None:
    fields = msgspec.to_builtins(FROM_WORKER[0])
    del fields["kernel"]
    with pytest.raises(PeerProtocolError, match="kernel"):
        m.worker_message([bytes(frame) for frame in wire.pack(fields, [])])
