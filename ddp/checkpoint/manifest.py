"""state.json: what a checkpoint says of itself. Pure: bytes in, a checked table out.

It is written in one form only (sorted keys, two spaces, a closing newline) and carries the
SHA-256 of its own text without that line's entry. A byte that was changed anywhere gives either
another digest or another form, so it is found, in a space as well as in a number.

Format 1. A change that an older reader would misread raises FORMAT; older formats stay readable.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec

from ddp.errors import CheckpointError

FORMAT = 1


class FileEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What a file must be: its length in bytes and its digest."""

    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The part of state.json that guards the rest; the run's own state stands in `state`."""

    format: int
    step: int
    fingerprint: str  # ddp.checkpoint.snapshot.fingerprint
    files: dict[str, FileEntry]
    tensors: dict[str, dict[str, str]]  # file → name → "float32 16x1x3x3", for people and tools
    versions: dict[str, str]
    blas_kernel: str
    state: dict[str, Any]


def file_entry(content: bytes) -> FileEntry:
    """The entry of a file with this content."""
    return FileEntry(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def encode(manifest: Manifest) -> bytes:
    """The content of state.json. Raises TypeError for a state that is no JSON."""
    table = msgspec.to_builtins(manifest, str_keys=True)
    return _canonical(table | {"sha256": hashlib.sha256(_canonical(table)).hexdigest()})


def decode(content: bytes, where: str) -> Manifest:
    """The manifest in the content of state.json; `where` begins the message of an error.

    Raises CheckpointError for anything but the exact bytes that `encode` gives, and says which
    format a newer program wrote.
    """
    table = _parse(content, where)
    digest = table.pop("sha256", None)
    whole = _canonical(table | {"sha256": digest}) == content
    if not whole or digest != hashlib.sha256(_canonical(table)).hexdigest():
        raise CheckpointError(f"{where}: altered since it was written: its checksum does not fit")
    try:
        return msgspec.convert(table, Manifest)
    except msgspec.ValidationError as error:
        raise CheckpointError(f"{where}: not a manifest of format {FORMAT}: {error}") from None


def _parse(content: bytes, where: str) -> dict[str, Any]:
    try:
        table = json.loads(content)
    except (ValueError, RecursionError):
        raise CheckpointError(f"{where}: truncated or altered: it is not JSON") from None
    if not isinstance(table, dict) or not _is_format(table.get("format")):
        raise CheckpointError(f"{where}: altered: it has no format number")
    if table["format"] > FORMAT:
        raise CheckpointError(
            f"{where}: format {table['format']} is newer than {FORMAT}, the newest this version "
            "of ddp reads: upgrade ddp"
        )
    return table


def _is_format(number: Any) -> bool:
    return type(number) is int and number >= 1  # `True` is no number here


def _canonical(table: dict[str, Any]) -> bytes:
    return (json.dumps(table, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
