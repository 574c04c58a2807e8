"""The state of a run at a step border, and its fingerprint. Pure: arrays in, a digest out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddp.errors import CheckpointError

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """Everything a run needs to go on from `step`, whatever the number of workers.

    step: optimizer steps committed so far.
    model: parameters and buffers by their state-dict names ("conv1.weight").
    optimizer: its state by parameter name and slot ("conv1.weight/exp_avg").
    state: what is JSON: epoch, position, config, seed, shards …
    blas_kernel: what computed it (environment.blas_kernel); empty: this process did.
    """

    step: int
    model: Arrays
    optimizer: Arrays
    state: dict[str, Any] = field(default_factory=dict)
    blas_kernel: str = ""


def fingerprint(model: Arrays, optimizer: Arrays) -> str:
    """SHA-256 over all parameters, buffers and optimizer state, in hexadecimal.

    Two runs with the same fingerprint ended with the same bits. To recompute it, feed one SHA-256
    with, for `model` and then for `optimizer`, for each name in the order of its UTF-8 bytes:

    1. the line "GROUP NAME DTYPE SHAPE\\n" in UTF-8, where GROUP is "model" or "optimizer",
       DTYPE is NumPy's little-endian type string ("<f4", "<i8", "|b1") and SHAPE the lengths
       joined by "x" ("16x1x3x3"; empty for a single number);
    2. the elements' bytes, little-endian, in C (row-major) order.

    (The two safetensors files of a checkpoint hold exactly these names, types, shapes and bytes.)
    """
    digest = hashlib.sha256()
    for group, arrays in (("model", model), ("optimizer", optimizer)):
        for name in sorted(arrays, key=lambda name: name.encode()):
            array = little_endian(arrays[name])
            shape = "x".join(map(str, array.shape))
            digest.update(f"{group} {name} {array.dtype.str} {shape}\n".encode())
            digest.update(array.reshape(-1).data)
    return digest.hexdigest()


def little_endian(array: NDArray[Any]) -> NDArray[Any]:
    """The array itself, or a copy of it, in C order and little-endian."""
    return np.asarray(array, array.dtype.newbyteorder("<"), order="C")


def require_match(found: Arrays, expected: Arrays, what: str) -> None:
    """Raise CheckpointError naming the first array that is missing, unknown or of another kind.

    `what` begins the message, such as "runs/digits/step-00000040/model.safetensors"; `expected`
    holds the arrays of the model or optimizer that is to receive `found`.
    """
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            raise CheckpointError(f"{what}: no array '{name}', which this run's config needs")
        if name not in expected:
            raise CheckpointError(f"{what}: array '{name}' has no place in this run's config")
        came, needed = kind(found[name]), kind(expected[name])
        if came != needed:
            raise CheckpointError(f"{what}: '{name}' is {came}: this run's config needs {needed}")


def kind(array: NDArray[Any]) -> str:
    """Dtype and shape for people: "float32 16x1x3x3"."""
    return f"{array.dtype.name} {'x'.join(map(str, array.shape)) or 'scalar'}"
