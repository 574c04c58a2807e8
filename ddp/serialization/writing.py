"""Writing the zip file that PyTorch's `torch.load(weights_only=True)` reads.

The pickle is written opcode by opcode (protocol 2, as PyTorch's), since Python's pickler insists
on importing the functions that it names. Tensors with the same memory share a storage; others
have one of their own, laid out in the order of their shape.
"""

from __future__ import annotations

import pickle
import struct
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ddp.autograd.tensor import Tensor
from ddp.nn.parameter import Parameter
from ddp.serialization.storages import NAMES

Array = NDArray[Any]

FOLDER = "archive"
ALIGNMENT_BYTES = 64  # of a storage in the file, so that it can be mapped
PADDING_FIELD = 0x4246  # "FB": the id of the zip extra field that PyTorch pads with


def write_zip(obj: Any, file: IO[bytes]) -> None:
    """Write `obj`: dicts, lists, tuples, strings, numbers, tensors. TypeError for others."""
    pickler = _Pickler()
    content = pickler.dump(obj)
    with zipfile.ZipFile(file, "w") as archive:
        _add(archive, "data.pkl", content)
        _add(archive, "byteorder", sys.byteorder.encode())
        for key, array in enumerate(pickler.storages):
            _add(archive, f"data/{key}", array.view(np.uint8).data)
        _add(archive, "version", b"3\n")


def _add(archive: zipfile.ZipFile, name: str, content: bytes | memoryview) -> None:
    """Store `content` so that it begins at a multiple of ALIGNMENT_BYTES."""
    assert archive.fp is not None
    entry = zipfile.ZipInfo(f"{FOLDER}/{name}")
    header_bytes = 30 + len(entry.filename) + 4  # zip specification, 4.3.7 and 4.5.1
    padding = -(archive.fp.tell() + header_bytes) % ALIGNMENT_BYTES
    entry.extra = struct.pack("<HH", PADDING_FIELD, padding) + b"Z" * padding
    archive.writestr(entry, content)


class _Pickler:
    def __init__(self) -> None:
        self.storages: list[Array] = []
        self._keys: dict[tuple[Any, ...], int] = {}
        self._written: list[bytes] = []
        self._open: set[int] = set()  # containers on the way down, to find a cycle
        self._kept: list[Any] = []  # arrays whose address is a key must stay alive

    def dump(self, obj: Any) -> bytes:
        self._put(pickle.PROTO + b"\x02")
        self._write(obj, "the object")
        self._put(pickle.STOP)
        return b"".join(self._written)

    def _put(self, *opcodes: bytes) -> None:
        self._written += opcodes

    def _write(self, obj: Any, where: str) -> None:
        """Write the opcodes that make `obj`; `where` is how an error calls it."""
        match obj:
            case Tensor():
                self._write_tensor(obj)
            case np.ndarray():
                self._write_tensor(Tensor(obj))
            case None:
                self._put(pickle.NONE)
            case bool() | np.bool_():
                self._put(pickle.NEWTRUE if obj else pickle.NEWFALSE)
            case int() | np.integer():
                self._put(_integer(int(obj)))
            case float() | np.floating():
                self._put(pickle.BINFLOAT, struct.pack(">d", float(obj)))
            case str():
                encoded = obj.encode("utf-8", "surrogatepass")
                self._put(pickle.BINUNICODE, struct.pack("<I", len(encoded)), encoded)
            case Mapping() | list() | tuple():
                self._write_container(obj, where)
            case _:
                raise TypeError(
                    f"{where} is a {type(obj).__name__}: expected tensors, dicts, lists, tuples, "
                    "strings and numbers"
                )

    def _write_container(self, obj: Any, where: str) -> None:
        if id(obj) in self._open:
            raise ValueError(f"{where} contains itself")
        self._open.add(id(obj))
        if isinstance(obj, Mapping):
            self._write_mapping(obj, where)
        elif isinstance(obj, list):
            self._put(pickle.EMPTY_LIST, pickle.MARK)
            self._write_all(obj, where)
            self._put(pickle.APPENDS)
        else:
            self._put(pickle.MARK)
            self._write_all(obj, where)
            self._put(pickle.TUPLE)
        self._open.discard(id(obj))

    def _write_mapping(self, obj: Mapping[Any, Any], where: str) -> None:
        ordered = isinstance(obj, OrderedDict)
        if ordered:
            self._put(_global("collections", "OrderedDict"), pickle.EMPTY_TUPLE, pickle.REDUCE)
        else:
            self._put(pickle.EMPTY_DICT)
        self._put(pickle.MARK)
        for key, value in obj.items():
            self._write(key, f"a key of {where}")
            self._write(value, f"{where}[{key!r}]")
        self._put(pickle.SETITEMS)
        if ordered and hasattr(obj, "_metadata"):
            self._write({"_metadata": obj._metadata}, f"{where}._metadata")
            self._put(pickle.BUILD)

    def _write_all(self, items: Iterable[Any], where: str) -> None:
        for index, item in enumerate(items):
            self._write(item, f"{where}[{index}]")

    def _write_tensor(self, tensor: Tensor) -> None:
        is_parameter = isinstance(tensor, Parameter)
        if is_parameter:
            self._put(_global("torch._utils", "_rebuild_parameter"), pickle.MARK)
        self._put(_global("torch._utils", "_rebuild_tensor_v2"), pickle.MARK)
        self._write_storage(tensor.array)
        shape = tensor.array.shape
        self._write_all((0, shape, _contiguous_strides(shape)), "a tensor")
        self._put(pickle.NEWTRUE if tensor.requires_grad and not is_parameter else pickle.NEWFALSE)
        self._write(OrderedDict(), "the hooks of a tensor")
        self._put(pickle.TUPLE, pickle.REDUCE)
        if is_parameter:
            self._write(tensor.requires_grad, "requires_grad")
            self._write(OrderedDict(), "the hooks of a parameter")
            self._put(pickle.TUPLE, pickle.REDUCE)

    def _write_storage(self, array: Array) -> None:
        name = NAMES.get(array.dtype.newbyteorder("="))
        if name is None:
            raise TypeError(f"a tensor is {array.dtype}: PyTorch has no such tensors")
        key = self._key(array)
        self._put(pickle.MARK)
        self._write("storage", "")
        self._put(_global("torch", name))
        self._write_all((str(key), "cpu", array.size), "")
        self._put(pickle.TUPLE, pickle.BINPERSID)

    def _key(self, array: Array) -> int:
        """The number of the storage with the array's elements."""
        memory = (array.ctypes.data, array.shape, array.strides, array.dtype.str)
        if array.size == 0 or memory not in self._keys:
            self._kept.append(array)
            self._keys[memory] = len(self.storages)
            native = array.astype(array.dtype.newbyteorder("="), copy=False)
            self.storages.append(np.ascontiguousarray(native).reshape(-1))
        return self._keys[memory]


def _contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """In elements, as PyTorch counts them."""
    strides: list[int] = []
    step = 1
    for length in reversed(shape):
        strides.insert(0, step)
        step *= max(length, 1)
    return tuple(strides)


def _global(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


def _integer(value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        return pickle.BININT + struct.pack("<i", value)
    encoded = pickle.encode_long(value)
    if len(encoded) > 255:
        raise ValueError("expected integers of at most 2040 bits")
    return pickle.LONG1 + bytes([len(encoded)]) + encoded
