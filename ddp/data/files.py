"""Data sets from the configuration: a factory's, or .npy and .npz files by memory map.

A .npy file is mapped: a batch touches its own pages only, and workers on one host share them.
`numpy.load` cannot map the members of a .npz; a member stored without compression
(`numpy.savez`) lies in the file as it is, so it is mapped here by its offset. A compressed
member (`numpy.savez_compressed`) is read into memory.

Pickles are never read: arrays of objects are refused.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.lib import format as npy_format

from ddp.config.imports import call_factory
from ddp.config.schema import Data
from ddp.data.dataset import Array, ArrayDataset, BatchDataset, Dataset, check_labels
from ddp.errors import DataError

# What zipfile, zlib and NumPy raise for a file that is not what it should be; RuntimeError is
# zipfile's answer to unknown compression and to encryption.
DAMAGE = (zipfile.BadZipFile, zlib.error, ValueError, OSError, EOFError, RuntimeError)
AnyDataset = Dataset | BatchDataset


def open_datasets(data: Data) -> tuple[AnyDataset, AnyDataset | None]:
    """The training set and, if there is one, the test set of the `[data]` table.

    Raises DataError for files that are missing or malformed and for what is no data set, and
    ConfigError for a factory that does not exist or does not take the arguments.
    """
    if data.factory is not None:
        return _from_factory(data.factory, data.args)
    assert data.train is not None  # Data has exactly one of the two
    train = _from_files(data.train, data)
    return train, None if data.test is None else _from_files(data.test, data)


def _from_factory(factory: str, args: dict[str, Any]) -> tuple[AnyDataset, AnyDataset | None]:
    made = call_factory(factory, args, "data.factory")
    if not isinstance(made, tuple) or len(made) != 2 or made[0] is None:
        raise DataError(f"{factory} gave {type(made).__name__}: expected (training set, test set)")
    for role, dataset in zip(("training", "test"), made, strict=True):
        if dataset is not None:
            _check_dataset(dataset, f"the {role} set of {factory}")
    return made


def _check_dataset(dataset: Any, what: str) -> None:
    if not hasattr(dataset, "__len__") or not (
        hasattr(dataset, "__getitem__") or hasattr(dataset, "fetch")
    ):
        raise DataError(
            f"{what} is a {type(dataset).__name__}: expected __len__, and __getitem__ or fetch"
        )
    if len(dataset) == 0:
        raise DataError(f"{what} is empty: expected at least one sample")


def _from_files(paths: str | list[str], data: Data) -> ArrayDataset:
    if isinstance(paths, str):
        where, (inputs, targets) = paths, open_npz(Path(paths), ("x", "y"))
    else:
        where = " and ".join(paths)
        inputs, targets = (open_npy(Path(path)) for path in paths)
    try:
        dataset = ArrayDataset(inputs, targets, data.scale)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    if data.classes is not None:
        check_labels(targets, data.classes, where)
    return dataset


def open_npy(path: Path) -> Array:
    """The array of a .npy file, mapped read-only. Raises DataError."""
    _require_file(path)
    try:
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except DAMAGE as error:
        raise DataError(f"{path}: expected a whole .npy file of numbers: {error}") from None
    return array


def open_npz(path: Path, names: tuple[str, ...]) -> list[Array]:
    """The arrays called `names` of a .npz file, mapped where stored uncompressed.

    Raises DataError.
    """
    _require_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return [_open_member(path, archive, name) for name in names]
    except DAMAGE as error:
        raise DataError(f"{path}: expected a whole .npz file of numbers: {error}") from None


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise DataError(f"{path}: no such file (working directory {Path.cwd()})")


def _open_member(path: Path, archive: zipfile.ZipFile, name: str) -> Array:
    try:
        entry = archive.getinfo(f"{name}.npy")
    except KeyError:
        found = ", ".join(n.removesuffix(".npy") for n in archive.namelist())
        raise DataError(f"{path}: no array '{name}', only {found or 'nothing'}") from None
    with archive.open(entry) as member:
        shape, fortran_order, dtype = _read_npy_header(member)
        header_bytes = member.tell()
    if dtype.hasobject:
        raise DataError(f"{path}: '{name}' holds Python objects: expected numbers")
    if entry.compress_type != zipfile.ZIP_STORED or 0 in shape:
        with archive.open(entry) as member:
            array: Array = npy_format.read_array(member, allow_pickle=False)
            return array
    start = _data_offset(path, entry) + header_bytes
    order: Literal["F", "C"] = "F" if fortran_order else "C"
    mapped: Array = np.memmap(path, dtype, mode="r", offset=start, shape=shape, order=order)
    return mapped


def _read_npy_header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy_format.read_magic(member)
    read = (
        npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    )
    return read(member)


def _data_offset(path: Path, entry: zipfile.ZipInfo) -> int:
    """Where a member's bytes begin: after its local header, whose lengths are its own.

    (The central directory's copy may have another extra field; ZIP specification, 4.3.7.)
    """
    with path.open("rb") as file:
        file.seek(entry.header_offset)
        header = file.read(30)
    name_bytes = int.from_bytes(header[26:28], "little")
    extra_bytes = int.from_bytes(header[28:30], "little")
    return entry.header_offset + 30 + name_bytes + extra_bytes
