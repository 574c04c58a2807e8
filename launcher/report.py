"""What `ddp evaluate` and `ddp inspect` say about a checkpoint: text out, nothing is changed.

Both take the directory of a checkpoint, or that of a run, whose newest whole checkpoint is then
meant; and both read it as a resumed run would, with every byte checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ddp import checkpoint
from ddp.autograd.tensor import Tensor
from ddp.build import build_task
from ddp.checkpoint import Snapshot
from ddp.checkpoint.snapshot import Arrays, kind
from ddp.config import Config, from_dict
from ddp.errors import CheckpointError, ConfigError
from ddp.evaluate import batches_of, evaluate
from ddp.results import summarize


def evaluation(path: Path) -> str:
    """Test loss and accuracy of the checkpoint at `path`, on the data its own config names.

    Raises CheckpointError, ConfigError and DataError.
    """
    where, snapshot = open_checkpoint(path)
    config = _config(where, snapshot)
    task = build_task(config)
    if task.test is None:
        raise ConfigError(
            f"{where}: its config names no test data, so there is nothing to evaluate"
        )
    expected = {name: tensor.array for name, tensor in task.model.state_dict().items()}
    checkpoint.require_match(snapshot.model, expected, str(where / "model.safetensors"))
    task.model.load_state_dict({name: Tensor(array) for name, array in snapshot.model.items()})
    samples = len(task.test)
    batches = batches_of(0, 1, samples, config.train.evaluation_batch)
    loss, accuracy = summarize(evaluate(task.model, task.loss, task.test, batches))
    share = "" if accuracy is None else f", test accuracy {accuracy:.2%}"
    return f"{where}: test loss {loss:.4f}{share}, {samples} samples"


def inspection(path: Path) -> str:
    """What is in the checkpoint at `path`. Raises CheckpointError."""
    where, snapshot = open_checkpoint(path)
    state = snapshot.state
    facts = {
        "checkpoint": where,
        "step": snapshot.step,
        "epoch": state.get("epoch"),
        "seed": state.get("seed"),
        "shards": state.get("shards"),
        "fingerprint": state["fingerprint"],
        "BLAS kernel": state["blas_kernel"],
        "kernels": state.get("kernels", "numpy"),
        "versions": ", ".join(f"{name} {text}" for name, text in state["versions"].items()),
        "model": _totals(snapshot.model),
        "optimizer": _totals(snapshot.optimizer),
    }
    return "\n".join(
        [*_columns(facts), "", "model"]
        + [f"  {line}" for line in _columns(_kinds(snapshot.model))]
        + ["", "config"]
        + [f"  {key} = {value!r}" for key, value in _flat(state.get("config", {}))]
    )


def open_checkpoint(path: Path) -> tuple[Path, Snapshot]:
    """The checkpoint at `path`, or the newest whole one of the run at `path`, and where it is."""
    if not path.is_dir():
        raise CheckpointError(f"{path}: no such directory; expected runs/NAME or runs/NAME/step-…")
    if (path / "state.json").exists() or path.name.startswith("step-"):
        return path, checkpoint.load(path)
    snapshot, passed_over = checkpoint.newest(path)
    if snapshot is None:
        why = f" ({passed_over[0]})" if passed_over else ""
        raise CheckpointError(f"{path}: there is no whole checkpoint in it{why}")
    return path / f"step-{snapshot.step:08d}", snapshot


def _config(where: Path, snapshot: Snapshot) -> Config:
    if "config" not in snapshot.state:
        raise CheckpointError(f"{where}: holds no config, so nothing says which data to use")
    return from_dict(snapshot.state["config"], source=str(where / "state.json"))


def _kinds(arrays: Arrays) -> dict[str, str]:
    """Name → dtype and shape, layer 2 before layer 13."""
    names = sorted(arrays, key=lambda name: [part.zfill(8) for part in name.split(".")])
    return {name: kind(arrays[name]) for name in names}


def _totals(arrays: Arrays) -> str:
    elements = sum(array.size for array in arrays.values())
    mebibytes = sum(array.nbytes for array in arrays.values()) / 2**20
    return f"{len(arrays)} arrays, {elements:,} elements, {mebibytes:.2f} MiB"


def _columns(table: Mapping[str, object]) -> list[str]:
    width = max(map(len, table), default=0)
    return [f"{name:<{width}}  {value}" for name, value in table.items()]


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
