"""Published weights are found by path or name, checked, and loaded whole."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from ddp.errors import CheckpointError, DataError
from ddp.models import weights
from ddp.models.weights import load_weights
from ddp.nn.layers import Linear
from ddp.serialization import save


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of ours, and no other."""
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setenv("DDP_CACHE", str(folder))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return folder


def publish(folder: Path, monkeypatch: pytest.MonkeyPatch, digest: str | None = None) -> Path:
    """A file of weights for "linear", named as torchvision names its files."""
    plain = folder / "plain.pth"
    save(Linear(2, 3).state_dict(), plain)
    digest = digest or hashlib.sha256(plain.read_bytes()).hexdigest()[:8]
    path = plain.rename(folder / f"linear-{digest}.pth")
    published = {"linear": {"V1": "linear-00000000.pth", "V2": path.name}}
    monkeypatch.setattr(weights, "PUBLISHED", published)
    return path


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_a_path_is_loaded(suffix: str, tmp_path: Path) -> None:
    source, path = Linear(2, 3), tmp_path / f"w{suffix}"
    save(source.state_dict(), path)
    model = load_weights(Linear(2, 3), str(path))
    np.testing.assert_array_equal(model.weight.array, source.weight.array)


def test_no_weights_leave_the_model_as_it_is() -> None:
    model = Linear(2, 3)
    before = model.weight.array.copy()
    assert load_weights(model, None) is model
    np.testing.assert_array_equal(model.weight.array, before)


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_a_state_dict_inside_a_checkpoint_is_found(key: str, tmp_path: Path) -> None:
    source, path = Linear(2, 3), tmp_path / "w.pth"
    save({key: source.state_dict(), "epoch": 3}, path)
    model = load_weights(Linear(2, 3), str(path))
    np.testing.assert_array_equal(model.weight.array, source.weight.array)


@pytest.mark.parametrize("name", ["V2", "DEFAULT"])
def test_a_published_name_is_found_in_the_cache(
    name: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(cache, monkeypatch)
    model = load_weights(Linear(2, 3), name, "linear")
    assert model.weight.array.any()


def test_pytorchs_own_cache_is_looked_into_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    publish(folder, monkeypatch)
    load_weights(Linear(2, 3), "V2", "linear")


def test_a_missing_file_is_named_with_where_it_comes_from_and_goes(cache: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_weights(Linear(2, 3), "DEFAULT", "resnet18")
    assert str(caught.value) == (
        f"resnet18-f37072fd.pth is not in {cache}: get it from "
        "https://download.pytorch.org/models/resnet18-f37072fd.pth and put it there "
        "(another folder: the environment variable DDP_CACHE)"
    )


def test_a_published_file_with_another_digest_is_refused(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(cache, monkeypatch, digest="01234567")
    with pytest.raises(DataError, match="damaged: its SHA-256 begins"):
        load_weights(Linear(2, 3), "V2", "linear")


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(DataError, match=r"or one of IMAGENET1K_V1, IMAGENET1K_V2, DEFAULT"):
        load_weights(Linear(2, 3), "imagenet", "resnet50")
    with pytest.raises(DataError, match=r"expected a path ending in \.pth, \.pt or \.safetensors$"):
        load_weights(Linear(2, 3), "imagenet")


def test_a_path_to_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.pth: no such file of weights"):
        load_weights(Linear(2, 3), str(tmp_path / "none.pth"))


def test_weights_of_another_model_are_refused_with_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    save(Linear(2, 4).state_dict(), path)
    with pytest.raises(DataError, match=r"w\.pth does not fit the model: size mismatch for weight"):
        load_weights(Linear(2, 3), str(path))


def test_a_file_without_a_state_dict_is_refused(tmp_path: Path) -> None:
    save([1, 2], tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="expected a state dict, got a list"):
        load_weights(Linear(2, 3), str(tmp_path / "w.pth"))


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_the_prefix_of_a_wrapper_is_taken_off(prefix: str, tmp_path: Path) -> None:
    source, path = Linear(2, 3), tmp_path / "w.pth"
    save({prefix + name: tensor for name, tensor in source.state_dict().items()}, path)
    model = load_weights(Linear(2, 3), str(path))
    np.testing.assert_array_equal(model.weight.array, source.weight.array)
