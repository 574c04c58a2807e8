"""Who is to blame, and when does the run end? Stories told in events; no process, no clock."""

from __future__ import annotations

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.local_state import (
    DRAIN_S,
    GRACE_S,
    LEAVE_S,
    SETTLE_S,
    Ended,
    Send,
    StopAsked,
    SupervisorState,
    Tick,
)
from launcher.plan import COORDINATOR, WORKER

C, W0, W1, W2 = 0, 1, 2, 3  # indices into the plan


def run_of_three() -> SupervisorState:
    return SupervisorState([COORDINATOR, WORKER, WORKER, WORKER])


def killed(*indices: int) -> list[Send]:
    return [Send(i, signal.SIGKILL) for i in indices]


def ended(index: int, returncode: int, now_s: float = 0.0, words: str = "") -> Ended:
    return Ended(index, returncode, words, now_s)


def test_a_run_that_ends_well_has_nobody_to_blame() -> None:
    state = run_of_three()
    for index in (W1, W0, W2, C):
        assert state.handle(ended(index, 0)) == []
    assert state.running == set()
    assert (state.blame, state.exit_code) == (None, 0)


def test_a_worker_killed_by_a_signal_takes_the_others_with_it_at_once() -> None:
    state = run_of_three()
    assert state.handle(ended(W1, -signal.SIGKILL, now_s=7.0)) == killed(W0, W2)
    assert state.blame is not None
    assert (state.blame.index, state.blame.cause) == (W1, "was killed by SIGKILL")
    assert state.exit_code == 1


def test_a_coordinator_that_does_not_end_by_itself_is_killed() -> None:
    state = run_of_three()
    state.handle(ended(W1, -signal.SIGSEGV, now_s=7.0))
    for index in (W0, W2):
        state.handle(ended(index, -signal.SIGKILL, now_s=7.1))
    assert state.handle(Tick(7.0 + GRACE_S - 0.01)) == []
    assert state.handle(Tick(7.0 + GRACE_S)) == killed(C)
    state.handle(ended(C, -signal.SIGKILL))
    assert state.blame is not None
    assert state.blame.index == W1, "those that fell with it are not to blame"


def test_everybody_is_gone_within_five_seconds_of_a_failure() -> None:
    assert max(SETTLE_S, LEAVE_S) + GRACE_S < 5.0


def test_an_exit_code_waits_for_the_coordinators_sentence() -> None:
    state = run_of_three()
    assert state.handle(ended(W0, 1, now_s=1.0, words="PeerLost: rank 1 is gone")) == []
    state.handle(ended(C, 1, now_s=1.1, words="ddp: rank 1 (host h, pid 42) failed: boom"))
    assert state.handle(Tick(1.0 + SETTLE_S)) == killed(W1, W2)
    assert state.blame is not None
    assert state.blame.is_verdict
    assert state.blame.cause == "rank 1 (host h, pid 42) failed: boom"


def test_without_a_sentence_of_the_coordinator_the_earliest_exit_code_is_to_blame() -> None:
    state = run_of_three()
    state.handle(ended(W2, 3, now_s=1.0, words="ValueError: boom"))
    state.handle(ended(W0, 1, now_s=1.1))
    assert state.handle(Tick(1.0 + SETTLE_S)) == killed(W1)
    assert state.blame is not None
    assert state.blame.index == W2
    assert state.blame.cause == "failed with exit code 3: ValueError: boom"


def test_a_death_by_signal_is_blamed_even_when_an_exit_code_came_first() -> None:
    state = run_of_three()
    state.handle(ended(W0, 1, now_s=1.0, words="PeerLost: rank 1 is gone"))
    assert state.handle(ended(W1, -signal.SIGKILL, now_s=1.1)) == killed(W2)
    assert state.blame is not None
    assert state.blame.index == W1


def test_when_all_are_gone_the_blame_needs_no_more_waiting() -> None:
    state = run_of_three()
    state.handle(ended(W0, 1, words="ValueError: boom"))
    for index in (W1, W2, C):
        state.handle(ended(index, 0))
    assert state.blame is not None
    assert state.blame.index == W0
    assert state.exit_code == 1


def test_wrong_input_is_exit_code_two() -> None:
    state = SupervisorState([COORDINATOR, WORKER])
    state.handle(ended(C, 2, words="ddp: configs/x.toml: no such file"))
    state.handle(Tick(SETTLE_S))
    state.handle(ended(W0, -signal.SIGTERM))
    assert state.exit_code == 2


def test_a_worker_that_leaves_alone_has_left_early() -> None:
    state = run_of_three()
    state.handle(ended(W1, 0, now_s=1.0))
    assert state.handle(Tick(1.0 + LEAVE_S - 0.01)) == []
    assert state.handle(Tick(1.0 + LEAVE_S)) == killed(W0, W2)
    assert state.blame is not None
    assert state.blame.index == W1
    assert "left before the run was over" in state.blame.cause
    assert state.exit_code == 1


def test_workers_that_leave_together_wait_for_the_coordinator_without_limit() -> None:
    state = run_of_three()
    for index in (W0, W1, W2):
        state.handle(ended(index, 0, now_s=1.0))
    assert state.deadline_s is None
    assert state.handle(Tick(1000.0)) == []


def test_a_worker_that_stays_after_the_end_is_ended_and_blamed() -> None:
    state = run_of_three()
    for index in (C, W0, W1):
        state.handle(ended(index, 0, now_s=1.0))
    assert state.handle(Tick(1.0 + DRAIN_S)) == killed(W2)
    assert state.blame is not None
    assert (state.blame.index, state.exit_code) == (W2, 1)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_goes_to_the_coordinator_and_is_no_failure(signum: int, code: int) -> None:
    state = run_of_three()
    assert state.handle(StopAsked(signum, 1.0)) == [Send(C, signum)]
    assert state.handle(Tick(1000.0)) == [], "a checkpoint may take its time"
    for index in (W0, W1, W2):
        state.handle(ended(index, 0))
    state.handle(ended(C, code))
    assert (state.blame, state.exit_code) == (None, code)


def test_the_second_stop_kills() -> None:
    state = run_of_three()
    state.handle(StopAsked(signal.SIGINT, 1.0))
    assert state.handle(StopAsked(signal.SIGINT, 2.0)) == killed(C, W0, W1, W2)
    for index in (C, W0, W1, W2):
        state.handle(ended(index, -signal.SIGKILL))
    assert (state.blame, state.exit_code) == (None, 130)


def test_a_crash_while_stopping_is_a_failure() -> None:
    state = run_of_three()
    state.handle(StopAsked(signal.SIGTERM, 1.0))
    state.handle(ended(W0, -signal.SIGSEGV, now_s=1.5))
    assert state.blame is not None
    assert state.exit_code == 1


def test_a_signal_to_all_processes_at_once_is_a_stop_in_whatever_order_it_arrives() -> None:
    state = run_of_three()
    state.handle(ended(W0, 143, now_s=1.0))  # the worker was quicker than the launcher
    assert state.handle(StopAsked(signal.SIGTERM, 1.01)) == [Send(C, signal.SIGTERM)]
    assert state.handle(Tick(1000.0)) == []
    for index in (W1, W2, C):
        state.handle(ended(index, 143))
    assert (state.blame, state.exit_code) == (None, 143)


def test_a_worker_that_stops_alone_is_to_blame() -> None:
    state = run_of_three()
    state.handle(ended(W0, 143, now_s=1.0))
    assert state.handle(Tick(1.0 + LEAVE_S)) == killed(W1, W2)
    assert state.blame is not None
    assert state.blame.index == W0


def test_a_run_that_stops_because_a_worker_was_asked_to_is_stopped_not_failed() -> None:
    state = run_of_three()
    for index in (W2, W0, W1, C):
        state.handle(ended(index, 143))
    assert (state.blame, state.exit_code) == (None, 143)


def test_nobody_is_late_when_all_have_left() -> None:
    state = run_of_three()
    for index in (C, W0, W1, W2):
        state.handle(ended(index, 0))
    assert state.handle(Tick(1000.0)) == []
    assert (state.blame, state.exit_code) == (None, 0)


def test_an_unknown_signal_has_a_number() -> None:
    state = run_of_three()
    state.handle(ended(W0, -40))
    assert state.blame is not None
    assert state.blame.cause == "was killed by signal 40"


ENDS = st.tuples(
    st.sampled_from([C, W0, W1, W2]),
    st.sampled_from([0, 1, 2, 3, 130, 143, -signal.SIGKILL, -signal.SIGSEGV]),
    st.floats(0.0, 4.0),  # seconds since the one before
)


@given(st.lists(ENDS, max_size=8))
def test_however_they_end_a_failure_ends_everybody_and_one_is_to_blame(
    story: list[tuple[int, int, float]],
) -> None:
    state, now_s, blamed, failures = run_of_three(), 0.0, None, 0

    def carry_out(orders: list[Send]) -> None:
        for order in orders:
            assert order.signum == signal.SIGKILL, "nobody has asked for a stop"
            state.handle(ended(order.index, -order.signum, now_s))

    for index, code, pause_s in story:
        now_s += pause_s
        carry_out(state.handle(Tick(now_s)))
        if index in state.running:
            failures += code not in (0, 130, 143)
            carry_out(state.handle(ended(index, code, now_s)))
        blamed = blamed or state.blame
        assert state.blame == blamed, "the earliest cause stays the cause"
    while state.running and state.deadline_s is not None:  # nobody ends unless killed
        now_s = state.deadline_s
        carry_out(state.handle(Tick(now_s)))
    if failures:
        assert state.running == set()
        assert state.blame is not None
        assert state.exit_code in (1, 2)


def test_a_worker_that_finds_the_coordinator_silent_is_not_the_one_to_blame() -> None:
    state = run_of_three()
    said = "the coordinator at ipc://@x has been silent for 10 s"
    state.handle(ended(W0, 1, now_s=0.0, words=f"ddp: {said}"))
    state.handle(Tick(SETTLE_S))
    assert state.blame is not None
    assert (state.blame.cause, state.blame.is_verdict) == (said, True)
