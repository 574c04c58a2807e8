"""A step that is not finite somewhere is skipped everywhere, and training goes on.

All workers decide alike since the coordinator decides for them; people learn where it began.
"""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ddp.checkpoint import newest
from ddp.config import from_dict
from ddp.data.order import batch_indices
from ddp.parallel.shards import shard_range
from tests.helpers.tasks import tables, train
from workers import threads

SEED, SHARDS, STEPS = 3, 4, 6  # two steps an epoch, three samples a shard
BAD_SHARD = 2


def poison(step: int, value: str) -> dict[str, Any]:
    """Data with one sample that is `value`; it is in BAD_SHARD of step number `step`."""
    sample = int(batch_indices(24, 12, SEED, step)[3 * BAD_SHARD + 1])
    return {"factory": "tests.helpers.tasks:poisoned", "args": {"sample": sample, "value": value}}


def skipped(out: Path) -> list[int]:
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    return [row["step"] - 1 for row in rows if not row["applied"]]


def rank_of_bad_shard(workers: int) -> int:
    ranges = [shard_range(rank, workers, SHARDS) for rank in range(workers)]
    return next(rank for rank, (lo, hi) in enumerate(ranges) if lo <= BAD_SHARD < hi)


CASES = {
    "a loss": ({"factory": "tests.helpers.tasks:network"}, "nan", "the loss"),
    "a gradient": ({"factory": "tests.helpers.tasks:Brittle"}, "0", "the gradient of root"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("first", [0, 1])  # the first step of the epoch, or a later one
def test_the_step_is_skipped_by_all_named_and_training_goes_on_to_the_same_bits(
    tmp_path: Path, case: str, first: int
) -> None:
    model, value, where = CASES[case]
    fingerprints = set()
    for workers in (1, 2, 4):
        out = tmp_path / str(workers)
        summary = train(
            out, workers, seed=SEED, model=model, data=poison(first, value), train={"steps": STEPS}
        )
        fingerprints.add((summary["fingerprint"], summary["train_loss"]))
        assert first in skipped(out)
        assert len(skipped(out)) == 3  # once an epoch
        line = next(t for t in summary["output"].splitlines() if t.startswith(f"step {first} "))
        assert line.startswith(
            f"step {first} is skipped on every worker: {where} of shard {BAD_SHARD} on rank "
            f"{rank_of_bad_shard(workers)} ("
        )
        assert summary["skipped_steps"] == 3
        assert "3 skipped as not finite" in summary["output"]
        snapshot, _ = newest(out)
        assert snapshot is not None
        for name, array in (*snapshot.model.items(), *snapshot.optimizer.items()):
            assert np.isfinite(array).all(), name
    assert len(fingerprints) == 1
    assert math.isfinite(next(iter(fingerprints))[1])


@pytest.mark.parametrize("workers", [1, 3])
def test_a_run_that_only_skips_ends_with_advice(
    tmp_path: Path, workers: int, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tables(data=poison(0, "nan"), train={"steps": STEPS, "skip_limit": 0})
    config = from_dict({"seed": SEED, **table})
    assert threads.run(config, workers, tmp_path / "out", False, io.StringIO()) == 1
    said = capsys.readouterr().err
    assert "training has diverged: 1 steps in a row were skipped" in said
    assert "a smaller optimizer.lr" in said


def test_a_run_of_which_every_step_was_skipped_is_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tables(data=poison(0, "nan"), train={"steps": 1})
    config = from_dict({"seed": SEED, **table})
    assert threads.run(config, 1, tmp_path / "out", False, io.StringIO()) == 1
    assert "training has diverged" in capsys.readouterr().err
