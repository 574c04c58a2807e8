"""What a benchmark hands to `ddp train`, and how it watches commands from outside."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.baton import Failure
from benchmarks.processes import lines_in, running, seconds_until
from benchmarks.service import WORKERS, config_text, dataset
from benchmarks.workloads import WORKLOADS, Workload
from ddp.config import load


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_the_service_trains_the_workload_that_the_sides_train(
    workload: Workload, tmp_path: Path
) -> None:
    path = tmp_path / "bench.toml"
    path.write_text(config_text(workload))
    config = load(path)
    assert config.model.args == workload.args
    assert config.train.global_batch == workload.batch * WORKERS
    assert config.train.shards == WORKERS
    assert config.train.clip_norm == workload.clip
    assert config.optimizer.name == workload.optimizer
    assert config.optimizer.lr == workload.lr
    data, test = dataset(workload.name)
    assert test is None
    assert len(data) % config.train.global_batch == 0


def test_a_command_is_timed_by_what_it_leaves_in_a_file(tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = "import sys, time; open(sys.argv[1], 'w').write('a line\\n'); time.sleep(60)"
    with running([sys.executable, "-c", program, str(log)]) as process:
        assert 0 < seconds_until(process, lambda: lines_in(log) > 0) < 60
        assert process.poll() is None
    assert process.returncode is not None


def test_a_command_that_ends_too_soon_is_a_failure(tmp_path: Path) -> None:
    with (
        running([sys.executable, "-c", "raise SystemExit(3)"]) as process,
        pytest.raises(Failure, match="exit code 3"),
    ):
        seconds_until(process, lambda: False)


def test_a_file_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    assert lines_in(tmp_path / "nowhere") == 0
