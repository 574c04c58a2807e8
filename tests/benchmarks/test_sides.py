"""Our processes of a comparison, really started: they compute the same as one another."""

from __future__ import annotations

import pytest

from benchmarks.baton import Failure, Participant
from benchmarks.steps import REDUCER, SCRIPT, SERVICE
from benchmarks.turns import Measured, Who, compare, require_agreement
from benchmarks.workloads import BY_NAME, WORKLOADS, batches

BLOCK_S = 0.01


@pytest.mark.slow  # two processes start
def test_script_and_reducer_compute_the_same_and_are_timed() -> None:
    found = compare(BY_NAME["digits-mlp"], 1, [SCRIPT, REDUCER], rounds=2, block_s=BLOCK_S)
    for result in found.values():
        assert len(result.wall_ms) == 2
        assert min(result.wall_ms) > 0
        assert result.peak_mb > 10


@pytest.mark.slow  # two processes start
def test_two_ranks_have_losses_of_their_own_and_share_the_updates() -> None:
    found = compare(BY_NAME["digits-mlp"], 2, [SERVICE], rounds=1, block_s=BLOCK_S)
    first, second = found["ddp"].losses
    assert len(first) == len(second) == 5
    assert first != second


def test_sides_that_compute_something_else_are_told_apart() -> None:
    workload = BY_NAME["digits-mlp"]
    results = {"a": Measured(losses=[[1.0, 2.0]]), "b": Measured(losses=[[1.0, 2.001]])}
    with pytest.raises(Failure, match="losses of rank 0 differ"):
        require_agreement(workload, results)


def test_a_process_that_ends_is_a_failure_with_its_exit_code() -> None:
    broken = Who("broken", "benchmarks.baton")  # no program: it ends at once
    with pytest.raises(Failure, match="ended with exit code 0"):
        Participant(broken.name, broken.module, {}, 1)


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_inputs_are_the_same_for_everybody_who_asks_and_differ_by_rank(workload) -> None:
    first, again, other = batches(workload, 0), batches(workload, 0), batches(workload, 1)
    for (x, y), (x2, y2) in zip(first, again, strict=True):
        assert (x == x2).all()
        assert (y == y2).all()
    assert (first[0][0] != other[0][0]).any()
    assert first[0][0].shape == (workload.batch, *workload.shape)
