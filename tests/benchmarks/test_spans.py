"""Where the time of a step goes, on paper and in a real process."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.baton import Participant
from benchmarks.spans import PHASES, Span, Step, by_phase, medians_ms
from benchmarks.timeline import as_step, summarize
from benchmarks.turns import write_weights
from benchmarks.workloads import BY_NAME


def test_what_no_span_covers_is_python() -> None:
    seconds = by_phase(Step(0.0, 10.0, [Span("forward", 1.0, 4.0), Span("optimizer", 6.0, 8.0)]))
    assert seconds["Python"] == 5.0
    assert sum(seconds.values()) == 10.0


def test_a_span_inside_another_is_taken_out_of_it_and_of_no_third() -> None:
    spans = [Span("wait", 2.0, 3.0), Span("exchange", 1.5, 4.0), Span("backward", 1.0, 9.0)]
    seconds = by_phase(Step(0.0, 10.0, spans))
    assert seconds == {
        "forward": 0.0,
        "backward": 5.5,
        "exchange": 1.5,
        "wait": 1.0,
        "optimizer": 0.0,
        "Python": 2.0,
    }


@pytest.mark.slow  # a process starts
def test_the_phases_of_a_real_step_add_up_to_it(tmp_path: Path) -> None:
    workload = BY_NAME["digits-mlp"]
    write_weights(workload, tmp_path / "weights.npz")
    spec = {"workload": workload.name, "weights": str(tmp_path / "weights.npz")}
    side = Participant("ours", "benchmarks.ours_traced", spec, 1)
    try:
        side.ask("losses", 1)
        side.ask("watch")
        (answer,) = side.ask("trace", 3)
    finally:
        side.close()
    steps = [as_step(value) for value in answer["steps"]]
    for step in steps:
        seconds = by_phase(step)
        assert sum(seconds.values()) == pytest.approx(step.stop_s - step.start_s)
        assert min(seconds[phase] for phase in PHASES) > 0
    found = summarize([steps], [steps], workload.batch)
    assert found["phases_ms"] == medians_ms(steps)
    assert [name for name, *_ in found["ranks"][0]].count("backward") == 1
