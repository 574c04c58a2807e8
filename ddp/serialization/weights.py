"""A model's weights in a file: its state dict, alone or inside a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ddp.errors import CheckpointError
from ddp.serialization.files import load

# Where training scripts put the state dict in what they save.
KEYS = ("state_dict", "model")
# What wrappers put before every name: PyTorch's DistributedDataParallel and its compiler.
WRAPPERS = ("module.", "_orig_mod.")


def load_state(path: Path) -> Mapping[str, Any]:
    """The state dict in a file, with the names of the bare model.

    One under the key "state_dict" or "model" is found; a wrapper's prefix is taken off. Raises
    CheckpointError.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file of weights (working directory {Path.cwd()})")
    state = load(path)
    for key in KEYS:
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping):
        raise CheckpointError(f"{path}: expected a state dict, got a {type(state).__name__}")
    bare: Mapping[str, Any] = state
    for prefix in WRAPPERS:
        bare = _without_prefix(bare, prefix)
    return bare


def _without_prefix(state: Mapping[str, Any], prefix: str) -> Mapping[str, Any]:
    if not state or not all(str(name).startswith(prefix) for name in state):
        return state
    return {name.removeprefix(prefix): value for name, value in state.items()}
