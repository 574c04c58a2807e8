"""`save` and `load`: which format, which file, and what is said when it cannot be done."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import safetensors
import safetensors.numpy

from ddp.autograd.tensor import Tensor
from ddp.errors import CheckpointError
from ddp.serialization.pickle_machine import Damaged, Refused
from ddp.serialization.reading import is_zip, read_legacy, read_zip
from ddp.serialization.storages import decode
from ddp.serialization.writing import write_zip

File = str | os.PathLike[str] | IO[bytes]
SAFETENSORS = ".safetensors"
# safetensors' names of what a tensor can be → (NumPy's code in the file, ours in storages.py).
SAFE_DTYPES = {
    **{f"F{8 * n}": (f"<f{n}", "") for n in (2, 4, 8)},
    **{f"I{8 * n}": (f"<i{n}", "") for n in (1, 2, 4, 8)},
    "U8": ("u1", ""),
    "BF16": ("<u2", "BFloat16Storage"),
    "BOOL": ("u1", "BoolStorage"),
}


class WeightsFileError(CheckpointError, pickle.UnpicklingError):
    """The file is damaged, or holds more than tensors and plain data."""


def load(
    f: File,
    map_location: Any = None,
    *,
    weights_only: bool = True,
) -> Any:
    """The object in a file of `torch.save`'s, old format or new, or in a `.safetensors` file.

    Tensors come into memory wherever they were; those that shared a storage share it again, and
    bfloat16 becomes float32. `map_location` can only be the CPU. Nothing in the file is run:
    dicts, lists, tuples, strings, numbers and tensors are read, anything else is refused, also
    with `weights_only=False`. Raises WeightsFileError, FileNotFoundError.
    """
    if map_location is not None and str(map_location) != "cpu":
        raise RuntimeError(f"map_location is {map_location!r}: expected 'cpu', there is no other")
    if not isinstance(f, str | os.PathLike):
        return _guarded("the file", lambda: _load_torch(f))
    path = Path(f)
    if path.suffix == SAFETENSORS:
        return _guarded(path, lambda: _load_safetensors(path.read_bytes()))
    with path.open("rb") as file:
        return _guarded(path, lambda: _load_torch(file))


def save(obj: Any, f: File) -> None:
    """Write tensors and plain data so that PyTorch's `torch.load(weights_only=True)` reads them.

    A path ending in `.safetensors` gets that format, for a flat dict of tensors. A file exists
    whole or not at all, and replaces what was there. Raises TypeError for other objects.
    """
    if not isinstance(f, str | os.PathLike):
        write_zip(obj, f)
        return
    path = Path(f)
    if path.suffix == SAFETENSORS:
        content = _encode_safetensors(obj)
        _replace(path, lambda file: _write_all(file, content))
    else:
        _replace(path, lambda file: write_zip(obj, file))


def _guarded(where: Any, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Refused as error:
        raise WeightsFileError(
            f"{where}: refused: {error}, and only tensors, dicts, lists, strings and numbers are "
            "read; nothing was run (of a whole model, save its state_dict())"
        ) from None
    except Damaged as error:
        raise WeightsFileError(f"{where}: not a whole file of torch.save: {error}") from None
    except (safetensors.SafetensorError, KeyError) as error:
        raise WeightsFileError(f"{where}: not a whole safetensors file: {error}") from None


def _load_torch(file: IO[bytes]) -> Any:
    if is_zip(file):
        return read_zip(file)
    start = file.tell()
    file_bytes = file.seek(0, os.SEEK_END) - start
    file.seek(start)
    return read_legacy(file, file_bytes)


def _load_safetensors(content: bytes) -> dict[str, Tensor]:
    entries = safetensors.deserialize(content)  # type: ignore[no-untyped-call]
    return {name: Tensor(_safe_array(name, entry)) for name, entry in entries}


def _safe_array(name: str, entry: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    if entry["dtype"] not in SAFE_DTYPES:
        raise Refused(f"its tensor '{name}' is {entry['dtype']}")
    stored, kind = SAFE_DTYPES[entry["dtype"]]
    values = decode(np.frombuffer(entry["data"], stored), kind)
    native = values.astype(values.dtype.newbyteorder("="))  # a copy: the bytes cannot be written
    return native.reshape(entry["shape"])


def _encode_safetensors(obj: Any) -> bytes:
    if not isinstance(obj, Mapping):
        raise TypeError(f"expected a dict of tensors for safetensors, got a {type(obj).__name__}")
    arrays = {}
    for name, value in obj.items():
        if not isinstance(name, str) or not isinstance(value, Tensor | np.ndarray):
            raise TypeError(
                f"{name!r} is a {type(value).__name__}: a .safetensors file holds a flat dict of "
                "tensors (.pth holds nested ones and numbers)"
            )
        array = value.array if isinstance(value, Tensor) else value
        arrays[name] = np.ascontiguousarray(array).reshape(array.shape)
    return safetensors.numpy.save(arrays)


def _write_all(file: IO[bytes], content: bytes) -> None:
    file.write(content)


def _replace(path: Path, write: Callable[[IO[bytes]], None]) -> None:
    """Write beside `path`, bring it to the disk, rename: `path` is never half written."""
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    try:
        with temporary.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
