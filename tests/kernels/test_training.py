"""Whole runs with compiled kernels: the same bits however they are run, and NumPy's losses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.runs import ddp, fingerprint
from tests.helpers.spawn import ROOT

pytestmark = [pytest.mark.numba, pytest.mark.slow]  # real processes, and kernels are compiled

SHORT = {
    "digits": ["--set", "train.epochs=", "--set", "train.steps=12"],
    "gpt_pydocs": [
        *("--set", "train.steps=6", "--set", "train.global_batch=8"),
        *("--set", "schedule.warmup_steps=2", "--set", "model.args.n_layer=1"),
    ],
}


@pytest.fixture(scope="module", params=SHORT)
def task(request: pytest.FixtureRequest) -> list[str]:
    return [str(ROOT / "configs" / f"{request.param}.toml"), *SHORT[request.param]]


@pytest.fixture(scope="module")
def alone(task: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(task, tmp_path_factory.mktemp("alone") / "run", "--workers", "1")


def trained(task: list[str], out: Path, *how: str, kernels: str = "numba") -> Path:
    chosen = ["--set", f"train.kernels={kernels}", "--set", "train.shards=4"]
    done = ddp("train", *task, *chosen, *how, "--out", out)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def losses(out: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    "how",
    [
        ("--workers", "2"),
        ("--workers", "3", "--set", "cluster.shared_memory=off"),
        ("--workers", "2", "--transport", "threads"),
    ],
    ids=" ".join,
)
def test_the_bits_are_the_same_on_any_number_of_workers(
    how: tuple[str, ...], task: list[str], alone: Path, tmp_path: Path
) -> None:
    assert fingerprint(trained(task, tmp_path / "run", *how)) == fingerprint(alone)


def test_the_losses_are_those_of_numpy(task: list[str], alone: Path, tmp_path: Path) -> None:
    reference = trained(task, tmp_path / "run", "--workers", "1", kernels="numpy")
    assert losses(alone) == pytest.approx(losses(reference), rel=1e-4)


def test_a_checkpoint_tells_its_kernels_and_others_do_not_go_on_from_it(
    task: list[str], alone: Path
) -> None:
    told = ddp("inspect", alone)
    assert "kernels      numba " in told.stdout
    resumed = ddp("train", *task, "--set", "train.shards=4", "--out", alone, "--resume")
    assert resumed.returncode == 2
    assert "'train.kernels' is 'numpy', the checkpoint has 'numba'" in resumed.stderr
