"""What people see of a run: one live line on a terminal, few plain lines elsewhere."""

from __future__ import annotations

import io

import pytest

from workers.progress import REDRAW, LinesAbove, Progress, Standing, clock_text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def standing(step: int, loss: float = 0.5, accuracy: float | None = None) -> Standing:
    """Ten epochs of ten steps, 64 samples each."""
    return Standing(
        step=step,
        total_steps=100,
        epoch=(step - 1) // 10 + 1,
        epochs=10,
        loss=loss,
        accuracy=accuracy,
        samples=64 * step,
    )


def run(stream: io.StringIO, step_s: float, last: int = 100, columns: int = 200) -> Progress:
    """Steps 1 … last, `step_s` seconds each."""
    clock = Clock()
    progress = Progress(stream, clock, lambda: columns)
    for step in range(1, last + 1):
        clock.now_s += step_s
        progress.update(standing(step))
    return progress


def test_a_line_says_where_the_run_stands() -> None:
    clock, stream = Clock(), io.StringIO()
    progress = Progress(stream, clock)
    clock.now_s += 2
    progress.update(standing(20, 0.12345, accuracy=0.9375))
    assert stream.getvalue().startswith(
        "epoch 2/10 | step 20/100 | loss 0.1235 | accuracy 93.8 % | 640 samples/s | "
    )


def test_the_time_left_is_told_from_the_steps_of_this_process() -> None:
    """Resumed at step 60: ten steps in ten seconds leave thirty seconds for the other thirty."""
    clock, stream = Clock(), io.StringIO()
    progress = Progress(stream, clock)
    for step in range(61, 71):
        clock.now_s += 1
        progress.update(standing(step))
    progress.close()
    assert stream.getvalue().endswith(" | 0:30 left\n")


def test_a_terminal_has_one_line_that_is_drawn_over_itself() -> None:
    stream = Terminal()
    run(stream, step_s=0.5, last=3).close()
    before, *drawn = stream.getvalue().split(REDRAW)
    assert before == ""
    assert [line.split(" | ")[1] for line in drawn] == ["step 1/100", "step 2/100", "step 3/100"]
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().endswith("\n")


def test_a_terminal_is_redrawn_ten_times_a_second_at_most() -> None:
    stream = Terminal()
    run(stream, step_s=0.001)  # a tenth of a second in all
    assert stream.getvalue().count(REDRAW) <= 2


def test_a_live_line_never_wraps() -> None:
    stream = Terminal()
    run(stream, step_s=0.5, last=3, columns=30)
    assert {len(line) for line in stream.getvalue().split(REDRAW)[1:]} == {29}


def test_elsewhere_a_fast_run_prints_about_one_line_a_second() -> None:
    stream = io.StringIO()
    run(stream, step_s=0.03).close()  # three seconds, ten epochs
    lines = stream.getvalue().splitlines()
    assert 3 <= len(lines) <= 5
    assert lines[-1].startswith("epoch 10/10 | step 100/100")
    assert REDRAW[1:] not in stream.getvalue()


def test_elsewhere_a_slow_run_prints_a_line_per_epoch_and_every_ten_seconds() -> None:
    stream = io.StringIO()
    run(stream, step_s=2.0, last=20).close()  # an epoch takes twenty seconds
    steps = [line.split(" | ")[1] for line in stream.getvalue().splitlines()]
    assert steps == [f"step {n}/100" for n in (1, 6, 11, 16, 20)]


def test_the_end_is_shown_once() -> None:
    stream = io.StringIO()
    progress = run(stream, step_s=20.0, last=3)
    progress.close()
    progress.close()
    assert stream.getvalue().count("step 3/100") == 1


def test_an_announcement_stands_above_the_live_line() -> None:
    stream = Terminal()
    progress = run(stream, step_s=0.5, last=1)
    live = stream.getvalue().removeprefix(REDRAW)
    progress.announce("checkpoint at step 1")
    assert stream.getvalue() == f"{REDRAW}{live}{REDRAW}checkpoint at step 1\n{live}"


@pytest.mark.parametrize("kind", [Terminal, io.StringIO])
def test_an_announcement_without_a_live_line_is_plain(kind: type[io.StringIO]) -> None:
    stream = kind()
    Progress(stream, Clock()).announce("2 workers joined")
    assert stream.getvalue() == "2 workers joined\n"


def test_a_run_without_a_step_says_nothing() -> None:
    for stream in (Terminal(), io.StringIO()):
        Progress(stream, Clock()).close()
        assert stream.getvalue() == ""


def test_a_loss_that_is_no_number_is_shown_as_it_is() -> None:
    stream = io.StringIO()
    Progress(stream, Clock()).update(standing(1, float("nan")))
    assert "loss nan" in stream.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (6.6, "0:07"), (750, "12:30"), (3723, "1:02:03")]
)
def test_times_are_written_as_people_read_them(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text


def test_what_the_users_code_prints_comes_in_whole_lines_above_the_live_one() -> None:
    lines: list[str] = []
    above = LinesAbove(lines.append)
    print("half a line,", end=" ", file=above)
    assert lines == []
    print("the rest\nand another", file=above)
    assert lines == ["half a line, the rest", "and another"]
