"""From a list of samples to a batch, and from NumPy to tensors."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

from ddp.autograd.creation import as_tensor, tensor
from ddp.autograd.dtypes import as_dtype
from ddp.autograd.ops.join import stack
from ddp.autograd.tensor import Tensor

NOT_NUMBERS = "SUOaV"  # NumPy's kinds of text, objects and records


def default_collate(batch: Sequence[Any]) -> Any:
    """A batch with the samples along a new first axis; dicts, tuples and lists member by member.

    Tensors, arrays and NumPy numbers keep their dtype; Python floats become float64, integers
    int64. Strings stay as they are; a tuple becomes a list, as in PyTorch. TypeError for anything
    else, RuntimeError for samples that differ in size.
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return _stacked(batch)
    if isinstance(first, np.ndarray):
        if first.dtype.kind in NOT_NUMBERS:
            raise _cannot_collate(first.dtype)
        return _stacked([as_tensor(array) for array in batch])
    if isinstance(first, np.number | np.bool_):
        return tensor(np.array(batch))
    if isinstance(first, float):
        return tensor(batch, dtype=as_dtype(np.float64))
    if isinstance(first, int):
        return tensor(batch)
    if isinstance(first, str | bytes):
        return batch
    if isinstance(first, Mapping):
        return _rebuilt(first, {key: default_collate([d[key] for d in batch]) for key in first})
    if isinstance(first, Sequence):
        if len({len(sample) for sample in batch}) > 1:
            raise RuntimeError("each element in list of batch should be of equal size")
        columns = zip(*batch, strict=True)
        return _rebuilt_sequence(first, [default_collate(column) for column in columns])
    raise _cannot_collate(type(first))


def default_convert(data: Any) -> Any:
    """NumPy arrays and numbers as tensors, also inside dicts, tuples and lists."""
    if isinstance(data, np.ndarray | np.generic):
        is_number = data.dtype.kind not in NOT_NUMBERS
        return as_tensor(np.asarray(data)) if is_number else data
    if isinstance(data, Mapping):
        return _rebuilt(data, {key: default_convert(data[key]) for key in data})
    if isinstance(data, Sequence) and not isinstance(data, str | bytes):
        return _rebuilt_sequence(data, [default_convert(member) for member in data])
    return data


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    for position, member in enumerate(tensors):
        if member.shape != tensors[0].shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(tensors[0].shape)} at "
                f"entry 0 and {list(member.shape)} at entry {position}"
            )
    return stack(tensors)


def _rebuilt(like: Any, members: dict[Any, Any]) -> Any:
    """A mapping of the type of `like`; a plain dict where that type cannot be made so."""

    def build() -> Any:
        if not isinstance(like, MutableMapping):
            return type(like)(members)
        clone = copy.copy(like)
        clone.update(members)
        return clone

    return _or(build, members)


def _rebuilt_sequence(like: Any, members: list[Any]) -> Any:
    """A sequence of the type of `like`, except that a plain tuple becomes a list."""
    if isinstance(like, tuple):
        return type(like)(*members) if hasattr(like, "_fields") else members

    def build() -> Any:
        if not isinstance(like, MutableSequence):
            return type(like)(members)
        clone = copy.copy(like)
        clone[:] = members
        return clone

    return _or(build, members)


def _or(build: Callable[[], Any], otherwise: Any) -> Any:
    try:
        return build()
    except TypeError:
        return otherwise


def _cannot_collate(found: Any) -> TypeError:
    return TypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
        f"found {found}"
    )
