"""Published weights: from a path, or by name from a folder that the user keeps.

Nothing is downloaded here. A name stands for a file that its publisher offers; it is looked for
in the folder `$DDP_CACHE`, else `~/.cache/ddp`, else where PyTorch keeps its own. What is read
can only be tensors (`ddp.serialization`); the digest in a published file's name is checked.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from ddp.errors import DataError
from ddp.nn.module import Module
from ddp.serialization.weights import load_state

M = TypeVar("M", bound=Module)

ADDRESS = "https://download.pytorch.org/models/"
# torchvision's names, and the files it publishes under them.
PUBLISHED: Mapping[str, Mapping[str, str]] = {
    "resnet18": {"IMAGENET1K_V1": "resnet18-f37072fd.pth"},
    "resnet34": {"IMAGENET1K_V1": "resnet34-b627a593.pth"},
    "resnet50": {
        "IMAGENET1K_V1": "resnet50-0676ba61.pth",
        "IMAGENET1K_V2": "resnet50-11ad3fa6.pth",
    },
}
DEFAULT = "DEFAULT"  # torchvision's word for the newest of a model's weights
FILE_SUFFIXES = (".pth", ".pt", ".safetensors")
PUBLISHED_DIGEST = re.compile(r"-([0-9a-f]{8})\.pth$")


def load_weights(model: M, weights: str | None, name: str = "") -> M:
    """Give `model` the state dict that `weights` names; None leaves it as it is.

    A path, with or without "/", ends in .pth, .pt or .safetensors; otherwise it is a published
    name of the model `name`, such as "IMAGENET1K_V1" or "DEFAULT". Raises DataError for a name
    whose file is not there and for weights that do not fit, CheckpointError for a file that
    cannot be read.
    """
    if weights is None:
        return model
    path = _path(weights, name)
    state = load_state(path)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise DataError(f"{path} does not fit the model: {_one_sentence(error)}") from None
    return model


def cache_folders() -> list[Path]:
    """Where published files are looked for, ours first."""
    home = Path.home() / ".cache"
    ours = Path(os.environ.get("DDP_CACHE") or home / "ddp")
    torch_home = Path(os.environ.get("TORCH_HOME") or home / "torch")
    return [ours, torch_home / "hub" / "checkpoints"]


def _path(weights: str, name: str) -> Path:
    if weights.endswith(FILE_SUFFIXES):
        return Path(weights).expanduser()
    known = PUBLISHED.get(name, {})
    key = list(known)[-1] if known and weights == DEFAULT else weights
    if key not in known:
        names = ", ".join([*known, *([DEFAULT] if known else [])])
        raise DataError(
            f"weights '{weights}': expected a path ending in .pth, .pt or .safetensors"
            + (f", or one of {names}" if names else "")
        )
    return _published(known[key])


def _published(file: str) -> Path:
    folders = cache_folders()
    for path in (folder / file for folder in folders):
        if path.is_file():
            _check_digest(path)
            return path
    raise DataError(
        f"{file} is not in {folders[0]}: get it from {ADDRESS}{file} and put it there "
        "(another folder: the environment variable DDP_CACHE)"
    )


def _check_digest(path: Path) -> None:
    """A published file carries the beginning of its SHA-256 in its name."""
    named = PUBLISHED_DIGEST.search(path.name)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if named and not digest.startswith(named[1]):
        raise DataError(f"{path}: damaged: its SHA-256 begins {digest[:8]}: get it again")


def _one_sentence(error: RuntimeError) -> str:
    return "; ".join(line.strip() for line in str(error).splitlines()[1:] if line.strip())
