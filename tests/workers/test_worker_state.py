"""A worker's part of the protocol: every order in every phase is carried out or refused."""

from __future__ import annotations

import numpy as np
import pytest

from ddp.errors import PeerProtocolError
from workers import messages as m
from workers.worker_state import (
    BecomeReady,
    BuildReplica,
    CommitStep,
    ComputeStep,
    EvaluateShare,
    Instruction,
    Leave,
    Parting,
    Phase,
    SendShare,
    TakeState,
    WorkerState,
)

ARRAY = np.zeros(3, np.float32)


def setup(resumed: bool = False) -> m.Setup:
    return m.Setup(rank=0, size=1, config={}, addresses=("",), token="00", resumed=resumed)


def commit(step: int = 5, go_on: bool = False) -> m.Commit:
    return m.Commit(step=step, apply=True, lr=0.1, clip=1.0, unused=(), go_on=go_on)


PART = m.StatePart(kind="model", name="w", shape=(3,), start=0)
FRESH, RESUMED = setup(), setup(resumed=True)
ORDERS: dict[str, m.FromCoordinator] = {
    "Setup": FRESH,
    "Setup, resumed": RESUMED,
    "StatePart": PART,
    "StateSent": m.StateSent(),
    "RunStep": m.RunStep(step=6),
    "Commit": commit(),
    "Commit, go on": commit(go_on=True),
    "Commit of another step": commit(step=4),
    "Pause": m.Pause(),
    "Evaluate": m.Evaluate(),
    "SendState": m.SendState(),
    "Finish": m.Finish(code=143),
    "Refused": m.Refused(reason="full"),
    "Abort": m.Abort(reason="disk full", code=2),
    "Beat": m.Beat(),
}
FINISHED = Leave(143)
ENDED = Leave(2, Parting.ENDED, "the run was ended: disk full")
REFUSED = Leave(2, Parting.ENDED, "the coordinator refused this worker: full")
# In each phase: what an order makes the worker do, and the phase it is in then. All else is wrong.
ALWAYS: dict[str, tuple[list[Instruction], Phase | None]] = {
    "Abort": ([ENDED], Phase.LEFT),
    "Beat": ([], None),
    "Pause": ([], None),
}
ACCEPTED: dict[Phase, dict[str, tuple[list[Instruction], Phase | None]]] = {
    Phase.JOINING: {
        **ALWAYS,
        "Setup": ([BuildReplica(FRESH), BecomeReady(resumed=False)], Phase.WAITING),
        "Setup, resumed": ([BuildReplica(RESUMED)], Phase.PREPARING),
        "Refused": ([REFUSED], Phase.LEFT),
        "Finish": ([FINISHED], Phase.LEFT),
    },
    Phase.PREPARING: {
        **ALWAYS,
        "StatePart": ([TakeState(PART, ARRAY)], None),
        "StateSent": ([BecomeReady(resumed=True)], Phase.WAITING),
        "Finish": ([FINISHED], Phase.LEFT),
    },
    Phase.WAITING: {
        **ALWAYS,
        "RunStep": ([ComputeStep(6)], Phase.COMPUTING),
        "Evaluate": ([EvaluateShare()], None),
        "SendState": ([SendShare()], None),
        "Finish": ([FINISHED], Phase.LEFT),
    },
    Phase.COMPUTING: {
        **ALWAYS,
        "Commit": ([CommitStep(commit())], Phase.WAITING),
        "Commit, go on": ([CommitStep(commit(go_on=True)), ComputeStep(6)], None),
    },
    Phase.LEFT: ALWAYS,
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("phase", Phase)
def test_every_order_in_every_phase(phase: Phase, order: str) -> None:
    state = WorkerState(phase, step=5)
    arrays = [ARRAY] if order == "StatePart" else []
    if order in ACCEPTED[phase]:
        instructions, after = ACCEPTED[phase][order]
        assert state.handle(ORDERS[order], arrays) == instructions
        assert state.phase is (after or phase)
    else:
        name = type(ORDERS[order]).__name__
        with pytest.raises(
            PeerProtocolError, match=rf"sent {name} to a worker that is {phase.value}"
        ):
            state.handle(ORDERS[order], arrays)
        assert (state.phase, state.step) == (phase, 5)


def test_the_table_has_every_kind_of_order() -> None:
    assert {type(order) for order in ORDERS.values()} == set(m.FromCoordinator.__args__)


@pytest.mark.parametrize("arrays", [[], [ARRAY, ARRAY]])
def test_a_part_of_the_state_carries_one_array(arrays: list[np.ndarray]) -> None:
    with pytest.raises(PeerProtocolError, match="sent StatePart"):
        WorkerState(Phase.PREPARING).handle(PART, arrays)


def test_steps_go_on_without_a_word_until_the_coordinator_says_halt() -> None:
    state = WorkerState(Phase.WAITING)
    state.handle(m.RunStep(step=0))
    for step in range(3):
        assert state.handle(commit(step, go_on=True))[-1] == ComputeStep(step + 1)
    assert state.handle(commit(3)) == [CommitStep(commit(3))]
    assert state.phase is Phase.WAITING


def test_a_commit_is_never_carried_out_twice() -> None:
    state = WorkerState(Phase.COMPUTING, step=5)
    state.handle(commit(go_on=True))
    with pytest.raises(PeerProtocolError):
        state.handle(commit())
