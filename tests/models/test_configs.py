"""Every config in configs/ is one that can be trained: loaded, built, and taken a few steps."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ddp import checkpoint
from ddp.autograd.tensor import Tensor
from ddp.build import build_model, build_task
from ddp.config import Config, load
from ddp.errors import DataError
from ddp.models import GPT
from ddp.models.writing import sample
from ddp.nn.layers import Linear
from tests.data.test_images import write_cifar, write_mnist
from tests.helpers.spawn import ROOT
from workers import threads

CONFIGS = sorted((ROOT / "configs").glob("*.toml"))
TINY_GPT = (
    "model.args={vocab_size=96, block_size=8, n_layer=1, n_head=2, n_embd=8, dropout=0.1}",
    "data.args={context=8, stride=5000}",
    "schedule.warmup_steps=1",
)


def train(config: Config, workers: int, out: Path) -> dict[str, Any]:
    """The summary of a run on threads, with what was printed as `output`."""
    stream = io.StringIO()
    assert threads.run(config, workers, out, False, stream) == 0, stream.getvalue()
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return summary | {"output": stream.getvalue()}


def shortened(name: str, *overrides: str, steps: int = 3, batch: int = 8) -> Config:
    length = ("train.epochs=", f"train.steps={steps}", f"train.global_batch={batch}")
    return load(ROOT / "configs" / f"{name}.toml", [*length, *overrides])


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_is_read_and_can_be_shared_by_two_workers(path: Path) -> None:
    config = load(path)
    assert config.name == path.stem
    assert (config.train.shards or 0) >= 2


@pytest.mark.slow  # trains
@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("blitz_cifar", ["data.args.folder={}"]),
        ("mnist", ["data.args.folder={}"]),
        ("gpt_pydocs", TINY_GPT),
    ],
)
def test_a_small_variant_has_the_same_bits_on_one_and_on_two_workers(
    name: str, overrides: list[str], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    if name == "blitz_cifar":
        write_cifar(data)
    if name == "mnist":
        write_mnist(data, samples=8)
    config = shortened(name, *(text.format(data) if "{}" in text else text for text in overrides))
    one = train(config, 1, tmp_path / "one")
    two = train(config, 2, tmp_path / "two")
    assert one["fingerprint"] == two["fingerprint"]
    assert one["steps"] == 3
    assert np.isfinite(two["train_loss"])


@pytest.mark.slow  # a ResNet is built and written, if only for a step on 8x8 pixels
def test_fine_tuning_leaves_the_frozen_half_as_it_was(tmp_path: Path) -> None:
    config = shortened("resnet18", "data.args.size=8", steps=1)
    train(config, 2, tmp_path / "run")
    before = build_model(config).state_dict()
    after = checkpoint.load(tmp_path / "run" / "step-00000001").model
    changed = {name for name in after if not np.array_equal(after[name], before[name].array)}
    frozen = ("conv1.", "bn1.weight", "bn1.bias", "layer1.0.conv", "layer2.1.conv")
    assert not [name for name in changed if name.startswith(frozen)]
    assert {"fc.weight", "layer3.0.conv1.weight", "bn1.running_mean"} <= changed


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("blitz_cifar", "get cifar-10-binary"), ("mnist", "no such file, nor .* get it from")],
)
def test_data_that_the_user_must_get_are_asked_for_in_a_sentence(
    name: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=sentence):
        build_task(load(ROOT / "configs" / f"{name}.toml"))


def test_the_gpt_ends_its_run_with_a_sample(tmp_path: Path) -> None:
    config = shortened("gpt_pydocs", *TINY_GPT, steps=2)
    output = train(config, 2, tmp_path / "run")["output"]
    fingerprint, _, sampled = output.partition("a sample of what it writes:\n")
    assert "fingerprint" in fingerprint
    assert len(sampled) > 300


def test_a_sample_that_fails_does_not_spoil_the_run(tmp_path: Path) -> None:
    config = shortened("quick", "train.after=ddp.models.writing:sample", steps=1)
    summary = train(config, 1, tmp_path / "run")
    assert (
        "'train.after' failed: TypeError: expected a ddp.models.GPT, got a Seq" in summary["output"]
    )


def test_the_same_weights_write_the_same_sample() -> None:
    model = GPT(96, 8, n_layer=1, n_head=2, n_embd=8).eval()
    assert sample(model) == sample(model)
    assert model(Tensor(np.zeros((1, 8), np.int64))).shape == (1, 8, 96)
    with pytest.raises(TypeError, match="got a Linear"):
        sample(Linear(2, 2))
