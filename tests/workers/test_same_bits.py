"""Promise 1: the same bits for every number of workers, on whole runs over threads."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddp.checkpoint import newest
from tests.helpers.hosts import make_up_hosts
from tests.helpers.tasks import train

OPTIMIZERS = [
    {"name": "SGD", "lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    {"name": "Adam", "lr": 0.01},
    {"name": "AdamW", "lr": 0.01, "amsgrad": True},
]


@st.composite
def runs(draw: st.DrawFn) -> tuple[int, dict[str, Any]]:
    """A number of workers, and a small run that has room for so many."""
    shards = draw(st.integers(1, 7))
    model = {
        "hidden": draw(st.integers(1, 40)),
        "depth": draw(st.integers(0, 3)),
        "extras": draw(st.booleans()),
    }
    # Two samples a shard at least, as batch norm demands, also in the ragged last batch.
    batch = draw(st.integers(2 * shards, 4 * shards))
    samples = batch + draw(st.integers(2 * shards, batch))
    changes = {
        "model": {"args": model},
        "data": {"args": {"samples": samples}},
        "train": {"global_batch": batch, "shards": shards},
        "optimizer": draw(st.sampled_from(OPTIMIZERS)),
        "cluster": {
            "first_bucket_bytes": draw(st.integers(1, 4000)),
            "bucket_bytes": draw(st.integers(1, 10_000)),
        },
    }
    return draw(st.integers(1, shards)), changes


@given(runs())
def test_any_number_of_workers_gives_the_bits_of_one(run: tuple[int, dict[str, Any]]) -> None:
    workers, changes = run
    with tempfile.TemporaryDirectory() as directory:
        alone = train(Path(directory) / "alone", 1, **changes | {"cluster": {}})
        together = train(Path(directory) / "together", workers, **changes)
    for key in ("fingerprint", "train_loss", "test_loss", "test_accuracy"):
        assert together[key] == alone[key]


@pytest.mark.parametrize("name", ["RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam"])
def test_every_optimizer_of_the_config_gives_two_workers_the_bits_of_one(
    tmp_path: Path, name: str
) -> None:
    changes = {"optimizer": {"name": name, "lr": 0.01}, "train": {"shards": 3}}
    alone = train(tmp_path / "alone", 1, **changes)
    together = train(tmp_path / "together", 2, **changes)
    assert together["fingerprint"] == alone["fingerprint"]
    assert alone["train_loss"] > 0


def test_blocks_split_a_large_layer_between_ranks_without_changing_a_bit(tmp_path: Path) -> None:
    wide = {"model": {"args": {"hidden": 9000}}}
    fingerprints = {train(tmp_path / str(n), n, **wide)["fingerprint"] for n in (1, 2, 3)}
    assert len(fingerprints) == 1


@pytest.mark.parametrize("hosts", ["aabb", "abab", "aaab", "abcd"])
def test_it_does_not_matter_which_workers_share_memory(
    tmp_path: Path, hosts: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: dict[str, Any] = {
        "model": {"args": {"hidden": 9000}},
        "train": {"shards": 6},
        "optimizer": {"name": "AdamW", "lr": 0.01},
        "cluster": {"first_bucket_bytes": 1000},
    }
    alone = train(tmp_path / "alone", 1, **changes | {"cluster": {}})
    make_up_hosts(monkeypatch, hosts)
    together = train(tmp_path / hosts, 4, **changes)
    changes["cluster"]["shared_memory"] = "off"
    apart = train(tmp_path / "apart", 4, **changes)
    assert together["fingerprint"] == apart["fingerprint"] == alone["fingerprint"]


def test_a_last_batch_smaller_than_the_shards_leaves_some_empty_and_changes_nothing(
    tmp_path: Path,
) -> None:
    ragged = {"data": {"args": {"samples": 14}}, "model": {"args": {"extras": False}}}
    summaries = [train(tmp_path / str(n), n, **ragged) for n in (1, 2, 4)]
    assert len({s["fingerprint"] for s in summaries}) == 1


def test_another_seed_gives_other_bits(tmp_path: Path) -> None:
    summaries = [train(tmp_path / str(seed), 1, seed=seed) for seed in (0, 1)]
    assert summaries[0]["fingerprint"] != summaries[1]["fingerprint"]


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 2), (2, 4)])
def test_a_run_resumed_with_another_number_of_workers_ends_with_the_same_bits(
    tmp_path: Path, before: int, after: int
) -> None:
    adam = {"optimizer": {"name": "Adam", "lr": 0.01}, "checkpoint": {"every_steps": 1}}
    whole = train(tmp_path / "whole", 1, train={"steps": 6}, **adam)
    train(tmp_path / "parts", before, train={"steps": 3}, **adam)
    parts = train(tmp_path / "parts", after, resume=True, train={"steps": 6}, **adam)
    assert parts["fingerprint"] == whole["fingerprint"]
    assert parts["train_loss"] == whole["train_loss"]
    assert "going on after step 3" in parts["output"]


def test_a_parameter_that_is_never_used_keeps_its_value_even_with_weight_decay(
    tmp_path: Path,
) -> None:
    changes = {
        "model": {"factory": "tests.helpers.tasks:PartlyUsed"},
        "optimizer": {"name": "AdamW", "lr": 0.1, "weight_decay": 0.5},
    }
    summaries = [train(tmp_path / str(n), n, **changes) for n in (1, 3)]
    assert summaries[0]["fingerprint"] == summaries[1]["fingerprint"]
    snapshot, _ = newest(tmp_path / "3")
    assert snapshot is not None
    assert not any(name.startswith("idle") for name in snapshot.optimizer)


def test_workers_in_containers_of_one_machine_say_once_that_they_share_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_up_hosts(monkeypatch, "abc", machine="xxx")
    train(tmp_path / "apart", 3)
    assert capsys.readouterr().out.count("note: ranks 0, 1, 2 are on one machine") == 1
