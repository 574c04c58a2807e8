"""`evaluate` and `inspect` on the checkpoint of a real, short run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ddp.errors import CheckpointError
from launcher.report import evaluation, inspection

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run of ten steps, with checkpoints after step 5 and step 10."""
    out = tmp_path_factory.mktemp("report") / "run"
    settings = ["--set", "train.steps=10", "--set", "checkpoint.every_steps=5"]
    argv = [sys.executable, "-m", "launcher", "train", "configs/quick.toml", "--workers", "1"]
    subprocess.run([*argv, "--out", str(out), *settings], cwd=ROOT, check=True, timeout=60)
    return out


def summary(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return found


def test_evaluation_finds_what_the_run_found_at_its_end(run: Path) -> None:
    found = summary(run)
    assert evaluation(run) == (
        f"{run / 'step-00000010'}: test loss {found['test_loss']:.4f}, "
        f"test accuracy {found['test_accuracy']:.2%}, 360 samples"
    )


def test_an_earlier_checkpoint_can_be_named(run: Path) -> None:
    assert evaluation(run / "step-00000005").startswith(f"{run / 'step-00000005'}: ")


def test_inspection_tells_fingerprint_arrays_and_config(run: Path) -> None:
    lines = inspection(run).splitlines()
    facts = dict(line.split(None, 1) for line in lines[:5] if " " in line)
    assert facts["step"] == "10"
    assert f"fingerprint  {summary(run)['fingerprint']}" in lines
    assert any(line.split()[1:] == ["float32", "4x1x3x3"] for line in lines)
    assert "  train.steps = 10" in lines


def test_a_directory_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no whole checkpoint"):
        inspection(tmp_path)


def test_a_file_is_no_checkpoint(run: Path) -> None:
    with pytest.raises(CheckpointError, match="expected runs/NAME"):
        inspection(run / "summary.json")


def test_a_damaged_checkpoint_is_refused_by_name(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "step-00000010"
    copy.mkdir()
    for file in (run / "step-00000010").iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    content = bytearray((copy / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (copy / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        evaluation(copy)
