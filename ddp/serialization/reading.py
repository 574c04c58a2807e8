"""Reading PyTorch's files: the zip of version 1.6 and later, and the one before it.

The zip has `data.pkl`, a pickle in which tensors refer to storages by persistent ids, and each
storage as a member `data/KEY`, uncompressed. The older file is five pickles one after another
(magic number, version, system, object, storage keys), then the storages, each with its length.
Described in torch/serialization.py of PyTorch 2.13, `_save` and `_legacy_save`.
"""

from __future__ import annotations

import io
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import IO, Any

import numpy as np

from ddp.autograd.tensor import Tensor
from ddp.nn.parameter import Parameter
from ddp.serialization import pickle_machine
from ddp.serialization.pickle_machine import Damaged, Refused
from ddp.serialization.storages import STORAGE_TYPES, Storage, StorageType, view

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_VERSION = 1001
LENGTH_BYTES = 8


def rebuild_tensor(
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any = False,
    hooks: Any = None,
    metadata: Any = None,
) -> Tensor:
    """torch._utils._rebuild_tensor_v2; hooks and metadata are left out."""
    tensor = view(storage, offset, size, stride)
    if requires_grad:
        tensor.requires_grad = True
    return tensor


def rebuild_parameter(data: Any, requires_grad: Any, hooks: Any) -> Parameter:
    """torch._utils._rebuild_parameter."""
    if not isinstance(data, Tensor):
        raise Damaged("a parameter is made of something other than a tensor")
    return Parameter(data, bool(requires_grad))


def _ordered_dict() -> OrderedDict[Any, Any]:
    return OrderedDict()


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": rebuild_tensor,
    "torch._utils._rebuild_parameter": rebuild_parameter,
    "collections.OrderedDict": _ordered_dict,
    "torch.Size": lambda sizes: tuple(sizes),
}
_DTYPES = ("float16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64")
CONSTANTS: Mapping[str, Any] = {
    **{f"torch.{name}": kind for name, kind in STORAGE_TYPES.items()},
    **{f"torch.{name}": np.dtype(name) for name in _DTYPES},
    "torch.bool": np.dtype(np.bool_),
}


def is_zip(file: IO[bytes]) -> bool:
    """Whether the file begins as PyTorch's zip files do; its position stays."""
    start = file.tell()
    head = file.read(4)
    file.seek(start)
    return head == b"PK\x03\x04"


def read_zip(file: IO[bytes]) -> Any:
    """The object in a zip file. Raises Refused and Damaged."""
    try:
        with zipfile.ZipFile(file) as archive:
            return _ZipReader(archive).read()
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise Damaged(str(error)) from None


class _ZipReader:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        names = archive.namelist()
        pickles = [name for name in names if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise Damaged(f"expected one data.pkl in the zip, found {len(pickles)}")
        self._folder = pickles[0].removesuffix("data.pkl")
        order = f"{self._folder}byteorder"
        self._big_endian = order in names and archive.read(order) == b"big"
        self._storages: dict[str, Storage] = {}

    def read(self) -> Any:
        entry = self._archive.getinfo(f"{self._folder}data.pkl")
        program = io.BytesIO(self._bytes(entry.filename, entry.file_size))
        return pickle_machine.run(program, FUNCTIONS, CONSTANTS, self._storage)

    def _storage(self, identity: Any) -> Storage:
        kind, key, numel = parse_identity(identity)
        if key not in self._storages:
            raw = self._bytes(f"{self._folder}data/{key}", numel * kind.itemsize)
            self._storages[key] = Storage(kind, numel)
            self._storages[key].fill(raw, self._big_endian)
        return self._storages[key]

    def _bytes(self, name: str, size: int) -> bytes:
        """A member's content, read only when it is as long as the pickle says."""
        try:
            entry = self._archive.getinfo(name)
        except KeyError:
            raise Damaged(f"the zip has no {name}") from None
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != size:
            raise Damaged(f"{name}: expected {size} bytes stored as they are")
        return self._archive.read(entry)


def read_legacy(file: IO[bytes], file_bytes: int) -> Any:
    """The object in a file as PyTorch wrote it before 1.6. Raises Refused and Damaged."""
    storages: dict[str, Storage] = {}

    def storage(identity: Any) -> Storage:
        kind, key, numel = parse_identity(identity)
        if key not in storages:
            if numel * kind.itemsize > file_bytes:
                raise Damaged(f"it ends before a storage of {numel} elements of {kind.name}")
            storages[key] = Storage(kind, numel)
        return storages[key]

    def unpickle() -> Any:
        return pickle_machine.run(file, FUNCTIONS, CONSTANTS, storage)

    if unpickle() != LEGACY_MAGIC:
        raise Damaged("it is neither a zip file nor begins with PyTorch's magic number")
    if unpickle() != LEGACY_VERSION:
        raise Damaged("its version is not the one of PyTorch before 1.6")
    system, result, keys = unpickle(), unpickle(), unpickle()
    big_endian = isinstance(system, dict) and system.get("little_endian") is False
    for key in keys if isinstance(keys, list) else []:
        if key not in storages:
            raise Damaged(f"it lists a storage {key!r} that no tensor has")
        _fill_legacy(file, storages.pop(key), big_endian)
    if storages:
        raise Damaged(f"{len(storages)} storages are missing")
    return result


def _fill_legacy(file: IO[bytes], storage: Storage, big_endian: bool) -> None:
    length = int.from_bytes(file.read(LENGTH_BYTES), "big" if big_endian else "little")
    if length != storage.array.size:
        raise Damaged(f"expected a storage of {storage.array.size} elements, it says {length}")
    storage.fill(file.read(length * storage.kind.itemsize), big_endian)


def parse_identity(identity: Any) -> tuple[StorageType, str, int]:
    """(type, key, number of elements) of ('storage', type, key, location, numel, …).

    The location ("cuda:0") is not used: everything is read into this process's memory.
    """
    match identity:
        case ("storage", StorageType() as kind, str(key), str(), int(numel)) if numel >= 0:
            return kind, key, numel
        case ("storage", StorageType() as kind, str(key), str(), int(numel), None) if numel >= 0:
            return kind, key, numel
        case ("module", *_):
            raise Refused("it holds the source code of a module")
    raise Damaged("a persistent id is not a storage's")
