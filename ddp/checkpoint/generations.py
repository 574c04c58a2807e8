"""Checkpoints on disk: each exists whole or not at all, and is believed only after a check.

    runs/NAME/step-00001200/
        model.safetensors       by state-dict names; any safetensors reader opens it
        optimizer.safetensors   by parameter and slot, "conv1.weight/exp_avg"
        state.json              see manifest.py

A checkpoint is written as `.tmp-step-…` beside its place, brought to the disk, and renamed: what
carries its final name is complete, and a writer killed anywhere before leaves the ones already
there untouched. Reading checks every byte against state.json before anything is parsed, and
nothing that is read is ever executed (no pickle).

One process writes to a run directory at a time: see run_directory.py. `save` reads the arrays
while it runs: hand it copies when training goes on meanwhile.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from ddp.checkpoint.environment import blas_kernel, versions
from ddp.checkpoint.manifest import FORMAT, FileEntry, Manifest, decode, encode, file_entry
from ddp.checkpoint.snapshot import Arrays, Snapshot, fingerprint, kind, little_endian
from ddp.checkpoint.store import DISK, Store
from ddp.errors import CheckpointError

MODEL, OPTIMIZER, STATE = "model.safetensors", "optimizer.safetensors", "state.json"
TEMPORARY = ".tmp-"  # before a checkpoint's name while it comes or goes
WRITER_KEYS = ("fingerprint", "versions", "blas_kernel")  # added to the state by `load`
GENERATION = re.compile(r"step-(\d{8,})")


def save(run_directory: Path, snapshot: Snapshot, store: Store = DISK) -> Path:
    """Write the snapshot and give back the directory of its checkpoint.

    Saving a step that already stands there with the same fingerprint changes nothing. Raises
    CheckpointError when it stands there with another one, or when the disk refuses.
    """
    target = run_directory / f"step-{snapshot.step:08d}"
    try:
        if target.name in store.names(run_directory) and _stands(target, snapshot, store):
            return target
        temporary = _fresh_name(run_directory, target.name, store)
        try:
            _write(temporary, snapshot, store)
        except OSError:
            with contextlib.suppress(OSError):  # the disk may be full: make room again
                store.remove_tree(temporary)
            raise
        store.rename(temporary, target)
        store.sync_directory(run_directory)
    except OSError as error:
        raise CheckpointError(f"{target}: could not be written: {error}") from error
    return target


def load(path: Path, store: Store = DISK) -> Snapshot:
    """The snapshot in the checkpoint directory `path`, after checking every byte of it.

    The loaded `state` is the saved one plus `fingerprint`, `versions` and `blas_kernel` of the
    writer. Raises CheckpointError naming the first thing that is missing, truncated, altered, or
    newer than this program.
    """
    _require_checkpoint(path, store)
    manifest = decode(_read(path / STATE, store), str(path / STATE))
    named = GENERATION.fullmatch(path.name)
    if named and int(named[1]) != manifest.step:
        raise CheckpointError(f"{path}: renamed: its {STATE} says step {manifest.step}")
    arrays = {name: _read_arrays(path / name, manifest, store) for name in (MODEL, OPTIMIZER)}
    if fingerprint(arrays[MODEL], arrays[OPTIMIZER]) != manifest.fingerprint:
        raise CheckpointError(f"{path}: its arrays do not give the fingerprint in {STATE}")
    return Snapshot(
        step=manifest.step,
        model=arrays[MODEL],
        optimizer=arrays[OPTIMIZER],
        state=manifest.state | {key: getattr(manifest, key) for key in WRITER_KEYS},
    )


def newest(run_directory: Path, store: Store = DISK) -> tuple[Snapshot | None, list[str]]:
    """The newest whole checkpoint, and a sentence for each newer one that was passed over."""
    passed_over: list[str] = []
    for path in _generations(run_directory, store):
        try:
            return load(path, store), passed_over
        except CheckpointError as error:
            passed_over.append(str(error))
    return None, passed_over


def prune(
    run_directory: Path, keep: int, store: Store = DISK, *, whole: Path | None = None
) -> None:
    """Remove all but the `keep` newest checkpoints and what unfinished writes left behind.

    The newest whole checkpoint stays, even when `keep` newer ones are damaged; `whole` names one
    known to be whole (what `save` has just given back), which saves reading it again. A
    checkpoint loses its name before its files, so none is ever seen half removed. Raises
    CheckpointError when the disk refuses.
    """
    try:
        for path in _surplus(run_directory, keep, store, whole):
            store.rename(path, _fresh_name(run_directory, path.name, store))
        for name in store.names(run_directory):
            if name.startswith(f"{TEMPORARY}step-"):
                store.remove_tree(run_directory / name)
    except OSError as error:
        raise CheckpointError(f"{run_directory}: could not be cleared up: {error}") from error


def _surplus(run_directory: Path, keep: int, store: Store, whole: Path | None) -> list[Path]:
    generations = _generations(run_directory, store)
    kept, surplus = generations[:keep], generations[keep:]
    if not surplus or whole in kept:
        return surplus
    found, _ = newest(run_directory, store)
    return [path for path in surplus if found is None or _step(path) != found.step]


# ---- writing


def _write(directory: Path, snapshot: Snapshot, store: Store) -> None:
    """Make the directory of a checkpoint and bring all of it to the disk."""
    store.make_directory(directory)
    for name, content in _contents(snapshot).items():
        store.write(directory / name, content)
    store.sync_directory(directory)


def _contents(snapshot: Snapshot) -> dict[str, bytes]:
    """File name → content, state.json last."""
    groups = {MODEL: snapshot.model, OPTIMIZER: snapshot.optimizer}
    contents = {name: _encode_arrays(arrays) for name, arrays in groups.items()}
    manifest = Manifest(
        format=FORMAT,
        step=snapshot.step,
        fingerprint=fingerprint(snapshot.model, snapshot.optimizer),
        files={name: file_entry(content) for name, content in contents.items()},
        tensors={name: _kinds(arrays) for name, arrays in groups.items()},
        versions=versions(),
        blas_kernel=snapshot.blas_kernel or blas_kernel(),
        state={key: v for key, v in snapshot.state.items() if key not in WRITER_KEYS},
    )
    return contents | {STATE: encode(manifest)}


def _encode_arrays(arrays: Arrays) -> bytes:
    # safetensors takes an array's memory as it lies, so a view must be laid out first.
    return safetensors.numpy.save({name: little_endian(array) for name, array in arrays.items()})


def _kinds(arrays: Arrays) -> dict[str, str]:
    return {name: kind(array) for name, array in arrays.items()}


def _stands(target: Path, snapshot: Snapshot, store: Store) -> bool:
    """Whether `target` already holds this snapshot. A damaged one is removed to make room."""
    try:
        standing = load(target, store)
    except CheckpointError:
        store.rename(target, _fresh_name(target.parent, target.name, store))
        return False
    if standing.state["fingerprint"] == fingerprint(snapshot.model, snapshot.optimizer):
        return True
    raise CheckpointError(
        f"{target}: already holds another result for this step: choose another --out"
    )


def _fresh_name(run_directory: Path, name: str, store: Store) -> Path:
    """A temporary name beside `name` that is not taken by what a killed writer left."""
    taken = set(store.names(run_directory))
    serial = 0
    while f"{TEMPORARY}{name}-{serial}" in taken:
        serial += 1
    return run_directory / f"{TEMPORARY}{name}-{serial}"


# ---- reading


def _require_checkpoint(path: Path, store: Store) -> None:
    if not store.names(path):
        raise CheckpointError(f"{path}: no such checkpoint")
    inside = _generations(path, store)
    if inside:
        raise CheckpointError(f"{path} is a run directory: name a checkpoint in it, as {inside[0]}")


def _generations(run_directory: Path, store: Store) -> list[Path]:
    """The checkpoint directories, newest first."""
    names = [name for name in store.names(run_directory) if GENERATION.fullmatch(name)]
    return sorted((run_directory / name for name in names), key=_step, reverse=True)


def _step(path: Path) -> int:
    return int(path.name.removeprefix("step-"))


def _read(path: Path, store: Store) -> bytes:
    try:
        return store.read(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: missing") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None


def _read_arrays(path: Path, manifest: Manifest, store: Store) -> dict[str, NDArray[Any]]:
    """The arrays of one file by name, sorted; read-only."""
    entry = manifest.files.get(path.name)
    if entry is None:
        raise CheckpointError(f"{path}: not listed in {STATE}")
    content = _read(path, store)
    _check_content(content, entry, path)
    try:
        arrays: dict[str, NDArray[Any]] = safetensors.numpy.load(content)
        return dict(sorted(arrays.items()))
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: not a safetensors file: {error}") from None


def _check_content(content: bytes, entry: FileEntry, path: Path) -> None:
    if len(content) != entry.bytes:
        what = "truncated" if len(content) < entry.bytes else "altered"
        raise CheckpointError(f"{path}: {what}: {len(content)} bytes, {STATE} says {entry.bytes}")
    if file_entry(content) != entry:
        raise CheckpointError(f"{path}: altered since it was written: its checksum does not fit")
