"""One live line on a terminal that says how the run stands; plain lines anywhere else.

On a terminal the line is drawn over itself, at most ten times a second. Elsewhere (a pipe, a
log, a container) a line is printed when an epoch begins, but not within a second of the line
before, and every ten seconds within a long epoch. The stream and the clock are given, so tests
need neither a terminal nor time.

    epoch 3/15 | step 45/225 | loss 0.2410 | accuracy 93.8 % | 21,400 samples/s | 0:12 left
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

REDRAW_S = 0.1
PLAIN_EPOCH_S = 1.0
PLAIN_S = 10.0
# Back to the first column, and clear what was there (ECMA-48: CR, EL).
REDRAW = "\r\x1b[K"


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How a run stands after a committed step."""

    step: int  # optimizer steps committed
    total_steps: int
    epoch: int  # the epoch of that step, from 1
    epochs: int
    loss: float
    accuracy: float | None = None  # 0 … 1; of the last evaluation
    samples: int  # samples trained on since this process began


class Progress:
    """The progress of one run on one stream. Not for use from several threads."""

    def __init__(
        self,
        stream: TextIO,
        clock: Callable[[], float] = time.monotonic,
        columns: Callable[[], int] = lambda: shutil.get_terminal_size().columns,
        live: bool | None = None,
    ) -> None:
        """`live`: draw one line over itself; unset: if the stream is a terminal."""
        self._stream, self._clock, self._columns = stream, clock, columns
        self._live = stream.isatty() if live is None else live
        self._started_s = clock()
        self._first_step: int | None = None  # a resumed run does not begin at 0
        self._printed_s = -float("inf")
        self._printed_epoch = 0
        self._line = ""  # on the terminal now
        self._latest: Standing | None = None
        self._shown: Standing | None = None

    def update(self, standing: Standing) -> None:
        """Take note of a committed step; draw or print when it is time to."""
        if self._first_step is None:
            self._first_step = standing.step - 1
        self._latest = standing
        if self._clock() - self._printed_s >= self._pause_s(standing.epoch):
            self._show(standing)

    def announce(self, text: str) -> None:
        """Print a line of its own, above the live one."""
        clear = REDRAW if self._line else ""
        self._write(f"{clear}{text}\n{self._line}")

    def close(self) -> None:
        """Show how the run stands at the end and leave the cursor on a fresh line."""
        if self._latest is not None and self._latest is not self._shown:
            self._show(self._latest)
        if self._line:
            self._write("\n")
            self._line = ""

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:  # nobody reads any more (`| head`, a full disk): training goes on
            silence(self._stream)

    def _pause_s(self, epoch: int) -> float:
        """How long after the last line this epoch's next one may come."""
        if self._live:
            return REDRAW_S
        return PLAIN_S if epoch == self._printed_epoch else PLAIN_EPOCH_S

    def _show(self, standing: Standing) -> None:
        now_s = self._clock()
        text = self._describe(standing, now_s - self._started_s)
        if self._live:
            self._line = text[: max(self._columns() - 1, 1)]
            self._write(REDRAW + self._line)
        else:
            self._write(f"{text}\n")
        self._printed_s, self._printed_epoch = now_s, standing.epoch
        self._shown = standing

    def _describe(self, s: Standing, elapsed_s: float) -> str:
        assert self._first_step is not None
        parts = [f"epoch {s.epoch}/{s.epochs}", f"step {s.step}/{s.total_steps}"]
        parts.append(f"loss {s.loss:.4f}")
        if s.accuracy is not None:
            parts.append(f"accuracy {100 * s.accuracy:.1f} %")
        if elapsed_s > 0:
            left_s = elapsed_s * (s.total_steps - s.step) / (s.step - self._first_step)
            parts += [f"{s.samples / elapsed_s:,.0f} samples/s", f"{clock_text(left_s)} left"]
        return " | ".join(parts)


class LinesAbove(io.TextIOBase):
    """A stream that puts whole lines above the live one: for `print` in the user's own code."""

    def __init__(self, announce: Callable[[str], None]) -> None:
        self._announce = announce
        self._partial = ""

    def write(self, text: str) -> int:
        *lines, self._partial = (self._partial + text).split("\n")
        for line in lines:
            self._announce(line)
        return len(text)


def silence(stream: TextIO) -> None:
    """Let what is written to a broken stream, now and when it is closed, go nowhere."""
    with contextlib.suppress(OSError), open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


def clock_text(seconds: float) -> str:
    """Seconds as people read them: "0:07", "12:30", "1:02:03"."""
    minutes, s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{s:02}" if hours else f"{minutes}:{s:02}"
