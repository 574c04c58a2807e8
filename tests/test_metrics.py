"""Every step has one line, whatever died in between; the summary is whole or absent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import ddp.metrics
from ddp.metrics import MetricsLog, Summary, write_summary


def written(run: Path) -> list[Any]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def log_steps(run: Path, first: int, last: int, after: int = 0, **fields: Any) -> None:
    log = MetricsLog(run, after)
    for step in range(first, last + 1):
        log.write({"step": step, **fields})
    log.close()


SUMMARY = Summary(
    fingerprint="ab12",
    steps=40,
    epochs=2.5,
    train_loss=float("nan"),
    test_loss=0.25,
    test_accuracy=None,
    workers=2,
    shards=4,
    transport="zeromq",
    wall_s=1.5,
    samples_per_s=1706.0,
)


def test_a_line_can_be_read_as_soon_as_it_is_written(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path)
    log.write({"step": 1, "loss": 0.5, "workers": [{"forward_s": 0.1}]})
    assert written(tmp_path) == [{"step": 1, "loss": 0.5, "workers": [{"forward_s": 0.1}]}]
    log.close()


def test_a_resumed_run_drops_the_lines_past_its_checkpoint(tmp_path: Path) -> None:
    log_steps(tmp_path, 1, 7, part=1)
    log_steps(tmp_path, 5, 9, after=4, part=2)
    assert [(line["step"], line["part"]) for line in written(tmp_path)] == [
        *((step, 1) for step in range(1, 5)),
        *((step, 2) for step in range(5, 10)),
    ]


def test_a_run_from_the_start_begins_a_new_file(tmp_path: Path) -> None:
    log_steps(tmp_path, 1, 7)
    log_steps(tmp_path, 1, 2)
    assert [line["step"] for line in written(tmp_path)] == [1, 2]


@pytest.mark.parametrize(
    "torn", [b'{"step": 3, "lo', b'{"step": 3}', b"\x00\xff\n", b"3\n", b"{}\n"]
)
def test_a_line_torn_by_a_kill_is_dropped(tmp_path: Path, torn: bytes) -> None:
    log_steps(tmp_path, 1, 2)
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(torn)
    log_steps(tmp_path, 3, 4, after=3)
    assert [line["step"] for line in written(tmp_path)] == [1, 2, 3, 4]


def test_a_kill_while_dropping_lines_leaves_them_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(descriptor: int) -> None:
        raise Killed

    log_steps(tmp_path, 1, 7)
    monkeypatch.setattr(ddp.metrics.os, "fsync", die)
    with pytest.raises(Killed):
        MetricsLog(tmp_path, 4)
    monkeypatch.undo()
    assert [line["step"] for line in written(tmp_path)] == list(range(1, 8))


def test_numbers_that_json_lacks_become_null(tmp_path: Path) -> None:
    log_steps(tmp_path, 1, 1, loss=float("nan"), parts=[{"s": float("inf")}, (1.0, 2)])
    text = (tmp_path / "metrics.jsonl").read_text()
    assert text == '{"step": 1, "loss": null, "parts": [{"s": null}, [1.0, 2]]}\n'


def test_the_summary_has_the_promised_fields(tmp_path: Path) -> None:
    path = write_summary(tmp_path, SUMMARY)
    assert path == tmp_path / "summary.json"
    summary = json.loads(path.read_text())
    assert list(summary) == [
        "fingerprint",
        "steps",
        "skipped_steps",
        "epochs",
        "train_loss",
        "test_loss",
        "test_accuracy",
        "workers",
        "shards",
        "transport",
        "wall_s",
        "samples_per_s",
    ]
    assert (summary["train_loss"], summary["test_loss"], summary["epochs"]) == (None, 0.25, 2.5)


def test_a_new_summary_replaces_the_old_one_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_summary(tmp_path, SUMMARY)
    write_summary(tmp_path, SUMMARY)
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]


def test_a_log_may_be_closed_twice(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path)
    log.close()
    log.close()
