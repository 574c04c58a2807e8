"""What a run leaves for tools: `metrics.jsonl`, a line per step, and `summary.json` at its end.

A line is a JSON object whose `step` counts the optimizer steps committed with it, from 1. Lines
are appended unbuffered, so `tail -f` follows a run and a killed one loses at most a torn last
line. A resumed run first drops the lines past its checkpoint, all or none, so every step has one
line. Numbers that JSON lacks (NaN, infinity) become null.

The module adds no meaning: which fields a line has is decided by whoever writes it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import msgspec

METRICS, SUMMARY = "metrics.jsonl", "summary.json"


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a run, as `summary.json` has it."""

    fingerprint: str  # SHA-256 over parameters, buffers and optimizer state
    steps: int  # optimizer steps of the whole run, earlier parts included
    skipped_steps: int = 0  # of them, those that were not finite
    epochs: float  # passes over the training set; a part of one counts as a part
    train_loss: float | None  # mean over the last epoch's samples
    test_loss: float | None  # None without a test set
    test_accuracy: float | None  # share of right classes, 0 … 1; None without classes
    workers: int
    shards: int
    transport: str
    wall_s: float  # of this process only
    samples_per_s: float  # of this process only


class MetricsLog:
    """The open `metrics.jsonl` of a run directory."""

    def __init__(self, run_directory: Path, step: int = 0) -> None:
        """Go on after `step` committed steps: lines past it are dropped; 0 begins anew."""
        path = run_directory / METRICS
        _replace_file(path, b"".join(_lines_up_to(path, step)))
        self._file: IO[bytes] = path.open("ab", buffering=0)  # so that `close` cannot fail

    def write(self, record: Mapping[str, Any]) -> None:
        """Append a line; `record` has at least `step`."""
        assert "step" in record
        line = msgspec.json.format(msgspec.json.encode(record), indent=0)  # one line, with spaces
        self._file.write(line + b"\n")

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._file.close()


def write_summary(run_directory: Path, summary: Summary) -> Path:
    """Write `summary.json`, whole or not at all, and give back its path."""
    path = run_directory / SUMMARY
    _replace_file(path, msgspec.json.format(msgspec.json.encode(summary)) + b"\n")
    return path


def read_summary(run_directory: Path) -> Summary | None:
    """The summary of a complete run; None where there is none that can be read."""
    try:
        return msgspec.json.decode((run_directory / SUMMARY).read_bytes(), type=Summary)
    except (OSError, msgspec.MsgspecError):
        return None


def _lines_up_to(path: Path, step: int) -> list[bytes]:
    """The whole lines of the file whose step is at most `step`."""
    if step == 0 or not path.exists():
        return []
    return [line for line in path.read_bytes().splitlines(keepends=True) if _step(line) <= step]


def _step(line: bytes) -> float:
    """The step of a line; infinite for a torn or foreign one, which is thus dropped."""
    try:
        step = msgspec.json.decode(line)["step"]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
        return math.inf
    return step if line.endswith(b"\n") and isinstance(step, int) else math.inf


def _replace_file(path: Path, content: bytes) -> None:
    """Put the file there in one move: a reader sees the old one or the new one."""
    temporary = path.with_name(f".tmp-{path.name}")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
