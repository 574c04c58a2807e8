"""Lines come out whole and signed; explanations are held back until it is known whose they are."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from launcher.output import LINE_BYTES, ProcessOutput, show

TRACE = b'Traceback (most recent call last):\n  File "x.py", line 1\nValueError: boom\n'


def test_a_line_is_shown_when_it_is_whole() -> None:
    output = ProcessOutput("[worker 1] ")
    assert output.feed(b"one\ntw") == ["[worker 1] one"]
    assert output.feed(b"o\n") == ["[worker 1] two"]
    assert output.feed(b"no newline") == []
    assert output.end() == ["[worker 1] no newline"]
    assert output.end() == []


@given(st.lists(st.binary(max_size=20), max_size=20))
def test_how_the_bytes_are_cut_makes_no_difference(pieces: list[bytes]) -> None:
    whole, cut = ProcessOutput("> "), ProcessOutput("> ")
    lines = [line for piece in pieces for line in cut.feed(piece)] + cut.end()
    assert lines == whole.feed(b"".join(pieces)) + whole.end()


def test_a_line_without_end_is_shown_in_pieces() -> None:
    output = ProcessOutput("")
    assert output.feed(b"x" * (LINE_BYTES + 1)) == ["x" * (LINE_BYTES + 1)]


def test_a_traceback_is_held_back_with_all_that_follows() -> None:
    output = ProcessOutput("[worker 1] ")
    assert output.feed(b"step 1\n" + TRACE) == ["[worker 1] step 1"]
    assert output.last_words == "ValueError: boom"
    assert output.explanation()[-1] == "[worker 1] ValueError: boom"


def test_a_sentence_is_worth_more_than_a_traceback() -> None:
    output = ProcessOutput("")
    output.feed(TRACE + b"ddp: rank 1 failed\n")
    assert output.last_words == "ddp: rank 1 failed"
    assert output.explanation()


def test_a_sentence_alone_needs_no_explanation() -> None:
    output = ProcessOutput("")
    assert output.feed(b"ddp: data/x.npz: no such file\n") == []
    assert output.last_words == "ddp: data/x.npz: no such file"
    assert output.explanation() == []


def test_bytes_that_are_no_text_are_shown_as_well_as_can_be() -> None:
    assert ProcessOutput("").feed(b"\xff\r\n") == ["\N{REPLACEMENT CHARACTER}"]


def test_a_terminal_has_its_live_line_cleared_first_and_a_file_does_not() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal, file = Terminal(), io.StringIO()
    show(["a", "b"], terminal)
    show(["a", "b"], file)
    assert terminal.getvalue() == "\r\x1b[Ka\n\r\x1b[Kb\n"
    assert file.getvalue() == "a\nb\n"
