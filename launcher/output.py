"""What the processes of a run say, put together so that a person can read it.

A worker's lines come out whole, signed `[rank 1]`. From the line on which a process begins to
explain its end (a traceback, or a sentence that starts with `ddp: `) its output is held back: the
explanation of the culprit is shown once, those of the processes that fell with it never.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TextIO

SENTENCE = "ddp: "
TRACEBACK = "Traceback (most recent call last):"
LINE_BYTES = 64 * 1024  # a line longer than this is shown in pieces: memory has a limit
HELD_LINES = 2_000
CLEAR_LINE = "\r\x1b[K"


@dataclass(slots=True)
class ProcessOutput:
    """The output of one process: bytes in, whole lines out, last words held back."""

    prefix: str
    held: list[str] = field(default_factory=list)
    _partial: bytes = b""

    def feed(self, data: bytes) -> list[str]:
        """Take in what was read; return the lines to show now, signed."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        if len(self._partial) > LINE_BYTES:
            lines, self._partial = [*lines, self._partial], b""
        return [self._signed(line) for line in map(_text, lines) if not self._hold(line)]

    def end(self) -> list[str]:
        """The process is gone: its last, unfinished line, if there is one to show."""
        return self.feed(b"\n") if self._partial else []

    @property
    def last_words(self) -> str:
        """The last sentence held back ("ddp: …"), or else the last line; "" if there is none."""
        spoken = [line.strip() for line in self.held if line.strip()]
        sentences = [line for line in spoken if line.startswith(SENTENCE)]
        return (sentences or spoken or [""])[-1]

    def explanation(self) -> list[str]:
        """The traceback that was held back, signed; empty when one sentence was all."""
        is_sentence = all(line.startswith(SENTENCE) for line in self.held)
        return [] if is_sentence else [self._signed(line) for line in self.held]

    def _hold(self, line: str) -> bool:
        if not self.held and not line.startswith((SENTENCE, TRACEBACK)):
            return False
        if len(self.held) < HELD_LINES:
            self.held.append(line)
        return True

    def _signed(self, line: str) -> str:
        return f"{self.prefix}{line}"


def show(lines: list[str], stream: TextIO) -> None:
    """Write whole lines; on a terminal, clear the live progress line below first."""
    if not lines:
        return
    clear = CLEAR_LINE if stream.isatty() else ""
    stream.write("".join(f"{clear}{line}\n" for line in lines))
    stream.flush()


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\r")
