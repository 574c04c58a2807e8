"""Storages: the flat memory behind tensors, one run of bytes each in a file.

bfloat16, which NumPy lacks, comes as float32: the same values in twice the memory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddp.autograd.tensor import Tensor
from ddp.serialization.pickle_machine import Damaged

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class StorageType:
    """One of PyTorch's storage classes, `torch.FloatStorage` and so on."""

    name: str
    stored: str  # NumPy's code of an element in the file, without its byte order
    dtype: np.dtype[Any]  # in memory

    @property
    def itemsize(self) -> int:
        """Bytes of an element in the file."""
        return np.dtype(self.stored).itemsize


def _type(name: str, stored: str, dtype: str | None = None) -> StorageType:
    return StorageType(name, stored, np.dtype(dtype or stored))


STORAGE_TYPES: Mapping[str, StorageType] = {
    kind.name: kind
    for kind in (
        _type("FloatStorage", "f4"),
        _type("DoubleStorage", "f8"),
        _type("HalfStorage", "f2"),
        _type("BFloat16Storage", "u2", "f4"),
        _type("LongStorage", "i8"),
        _type("IntStorage", "i4"),
        _type("ShortStorage", "i2"),
        _type("CharStorage", "i1"),
        _type("ByteStorage", "u1"),
        _type("BoolStorage", "u1", "?"),
    )
}
NAMES = {kind.dtype: name for name, kind in STORAGE_TYPES.items() if name != "BFloat16Storage"}


class Storage:
    """`numel` elements in memory, filled from the file now or later."""

    def __init__(self, kind: StorageType, numel: int) -> None:
        self.kind = kind
        self.array = np.zeros(numel, kind.dtype)

    def fill(self, raw: bytes | bytearray, big_endian: bool = False) -> None:
        """Take the elements from the file's bytes. Raises Damaged when their number is wrong."""
        if len(raw) != self.array.size * self.kind.itemsize:
            raise Damaged(
                f"a storage of {self.array.size} elements of {self.kind.name} has {len(raw)} bytes"
            )
        order = ">" if big_endian else "<"
        self.array[:] = decode(np.frombuffer(raw, order + self.kind.stored), self.kind.name)


def decode(stored: Array, type_name: str) -> Array:
    """The values of stored elements: bfloat16 as float32, any non-zero byte as True."""
    if type_name == "BFloat16Storage":
        return (stored.astype("=u4") << np.uint32(16)).view(np.float32)
    return stored != 0 if type_name == "BoolStorage" else stored


def view(storage: Any, offset: Any, size: Any, stride: Any) -> Tensor:
    """The tensor over a part of a storage. Raises Damaged when it would reach outside."""
    numbers = [offset, *_tuple(size), *_tuple(stride)]
    if not isinstance(storage, Storage) or not all(isinstance(n, int) for n in numbers):
        raise Damaged("a tensor is described by something other than a storage and numbers")
    if min(numbers) < 0 or len(size) != len(stride):
        raise Damaged(f"a tensor has the size {size} and the stride {stride}")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if math.prod(size) and last >= storage.array.size:
        raise Damaged(f"a tensor of size {tuple(size)} reaches outside its storage")
    steps = [step * storage.array.itemsize for step in stride]
    start = storage.array[offset:] if math.prod(size) else storage.array[:0]
    return Tensor(np.lib.stride_tricks.as_strided(start, tuple(size), steps))


def _tuple(value: Any) -> Sequence[Any]:
    if not isinstance(value, tuple | list):
        raise Damaged(f"a tensor's size is a {type(value).__name__}")
    return value
