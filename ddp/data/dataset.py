"""What a data set is, and how a batch is read from it.

A data set is anything with `__len__` and `__getitem__(i) -> (input, target)`: a user's own class
needs no base class of ours. One that also has `fetch(indices) -> (inputs, targets)` is read a
batch at a time. Index i must always give the same sample: a step may be computed twice, by
different workers. Randomness (augmentation) belongs in the model's forward pass, where the
random numbers are keyed by step and shard.

Left out: the order of samples (order.py), files (files.py), reading ahead (prefetch.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ddp.errors import DataError

Array = NDArray[Any]
# A label with this value is left out of the loss: PyTorch's default `ignore_index`.
IGNORED_LABEL = -100


class Dataset(Protocol):
    """Samples by index, each a pair (input, target) of arrays or numbers."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> tuple[Any, Any]: ...


@runtime_checkable
class BatchDataset(Protocol):
    """A data set that reads many samples in one go."""

    def __len__(self) -> int: ...

    def fetch(self, indices: NDArray[np.int64], /) -> tuple[Array, Array]: ...


class ArrayDataset:
    """Samples along the first axis of two arrays, in memory or mapped from a file.

    inputs: (N, ...), any real dtype; a batch is copied out and, where the dtype is floating or
    a `scale` is given, converted to float32 (input x scale).
    targets: (N, ...); integers come out as int64 class indices, floats as float32.
    Raises DataError when the lengths differ, there is no sample, or a dtype is not numeric.
    """

    def __init__(self, inputs: Array, targets: Array, scale: float | None = None) -> None:
        for role, array in (("inputs", inputs), ("targets", targets)):
            if array.ndim == 0 or array.dtype.kind not in "biuf":
                raise DataError(
                    f"{role}: expected an array of numbers with the samples along the first "
                    f"axis, got shape {array.shape} of {array.dtype}"
                )
        if len(inputs) != len(targets):
            raise DataError(
                f"expected as many targets as inputs, got {len(targets)} and {len(inputs)}"
            )
        if len(inputs) == 0:
            raise DataError("expected at least one sample, got arrays of length 0")
        # A plain view of a mapped file: np.memmap's own indexing costs more.
        self.inputs, self.targets = np.asarray(inputs), np.asarray(targets)
        self.scale = None if scale is None else np.float32(scale)

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of a data set of {len(self)}")
        inputs, targets = self.fetch(np.array([index], np.int64))
        return inputs[0], targets[0]

    def fetch(self, indices: NDArray[np.int64]) -> tuple[Array, Array]:
        """The samples at `indices`, in that order: (B, ...) inputs and (B, ...) targets."""
        inputs = _as_inputs(self.inputs[indices])
        if self.scale is not None:
            inputs = inputs.astype(np.float32, copy=False) * self.scale
        return inputs, _as_targets(self.targets[indices])


def fetch(dataset: Dataset | BatchDataset, indices: NDArray[np.int64]) -> tuple[Array, Array]:
    """The samples at `indices` as two arrays with the samples along the first axis.

    Floating arrays are float32 and integer targets int64, whatever the data set stores. Raises
    DataError when samples differ in shape or are no numbers.
    """
    if hasattr(dataset, "fetch"):  # asking for the protocol would cost 10 us a batch
        inputs, targets = dataset.fetch(indices)
    else:
        samples = [dataset[int(i)] for i in indices]
        inputs = _stack((x for x, _ in samples), "input", indices)
        targets = _stack((y for _, y in samples), "target", indices)
    return _as_inputs(np.asarray(inputs)), _as_targets(np.asarray(targets))


def check_labels(labels: Array, classes: int, where: str) -> None:
    """Raise DataError, with the first offender, unless integer labels lie in 0 … classes-1.

    `where` names the source in the message. Floating targets and IGNORED_LABEL pass.
    """
    if labels.dtype.kind not in "iu":
        return
    wrong = ((labels < 0) | (labels >= classes)) & (labels != IGNORED_LABEL)
    if wrong.any():
        first = int(np.argmax(wrong.reshape(-1)))
        raise DataError(
            f"{where}: label {labels.reshape(-1)[first]} at position {first}: expected "
            f"0 … {classes - 1} for {classes} classes"
        )


def _stack(values: Iterable[Any], role: str, indices: NDArray[np.int64]) -> Array:
    arrays = [np.asarray(value) for value in values]
    for index, array in zip(indices, arrays, strict=True):
        if array.dtype.kind not in "biuf":
            raise DataError(f"the {role} of sample {index} is {array.dtype}: expected numbers")
        if array.shape != arrays[0].shape:
            raise DataError(
                f"the {role} of sample {index} has shape {array.shape}: expected "
                f"{arrays[0].shape}, as sample {indices[0]} has"
            )
    return np.stack(arrays)


def _as_inputs(array: Array) -> Array:
    """Floats of any width become float32; integers (indices, bytes) stay, in native byte order."""
    dtype = np.float32 if array.dtype.kind == "f" else array.dtype.newbyteorder("=")
    return array.astype(dtype, copy=False)


def _as_targets(array: Array) -> Array:
    """Integers become int64, which the loss takes as class indices; floats become float32."""
    return array.astype(np.int64 if array.dtype.kind in "biu" else np.float32, copy=False)
