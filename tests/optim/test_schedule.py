"""Learning-rate schedules against the golden values of PyTorch's schedulers."""

from __future__ import annotations

from typing import Any

import pytest

from ddp.schedule import learning_rate


def rates(name: str, steps: int, total_steps: int, **arguments: Any) -> list[float]:
    return [learning_rate(name, 1.0, step, total_steps, **arguments) for step in range(steps)]


def test_step_decays_as_step_lr() -> None:
    assert rates("step", 5, 100, step_size=2, gamma=0.1) == pytest.approx([1, 1, 0.1, 0.1, 0.01])


def test_cosine_is_cosine_annealing_lr() -> None:
    assert rates("cosine", 5, 4) == pytest.approx([1, 0.853553, 0.5, 0.146447, 0], abs=1e-6)


def test_cosine_ends_and_stays_at_its_final_rate() -> None:
    assert rates("cosine", 7, 4, final_lr=0.25)[4:] == [0.25, 0.25, 0.25]


def test_linear_is_linear_lr() -> None:
    assert rates("linear", 6, 5, final_lr=0.5) == pytest.approx([1, 0.9, 0.8, 0.7, 0.6, 0.5])


def test_warmup_is_sequential_lr_of_linear_lr_and_the_schedule() -> None:
    expected = [0.1, 0.4, 0.7, 1, 0.853553, 0.5, 0.146447]
    got = rates("cosine", 7, 7, warmup_steps=3, warmup_factor=0.1)
    assert got == pytest.approx(expected, abs=1e-6)


def test_warmup_starts_at_a_third_as_linear_lr_does() -> None:
    expected = [1 / 3, 7 / 15, 0.6, 11 / 15, 13 / 15, 1]
    assert rates("constant", 6, 9, warmup_steps=5) == pytest.approx(expected)


def test_an_unknown_schedule_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="unknown schedule 'cosin': expected one of constant"):
        learning_rate("cosin", 0.1, 0, 10)


def test_an_argument_of_another_schedule_is_refused() -> None:
    with pytest.raises(ValueError, match="schedule 'constant' does not fit gamma"):
        learning_rate("constant", 0.1, 0, 10, gamma=0.5)
