"""Which dtype a result has: PyTorch's promotion rules, which are not NumPy's.

Three categories, bool < integer < floating. Within a category NumPy's rules hold; across them the
higher category's dtype wins as it is (int64 with float32 is float32, where NumPy says float64).
Against a tensor with axes a 0-d tensor counts only by category, and so does a Python number
against any tensor: they never widen a dtype of their own category.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

Dtype = np.dtype[Any]


class AbsentDtype:
    """A dtype that NumPy does not have: programs may name it and compare with it, not use it."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def dtype(self) -> Dtype:
        """Asked for by NumPy where a dtype is used."""
        raise NotImplementedError(
            f"ddp has no {self.name}: NumPy has no such dtype; use float32, which is fast here"
        )

    def __repr__(self) -> str:
        return f"ddp.{self.name}"


bfloat16 = AbsentDtype("bfloat16")

# What an operand is, for promotion: see `result_type`.
NUMBER, SCALAR_TENSOR, TENSOR = 0, 1, 2

DEFAULT_FLOAT: Dtype = np.dtype(np.float32)  # until `set_default_dtype` says otherwise
DEFAULT_INT: Dtype = np.dtype(np.int64)
BOOL: Dtype = np.dtype(np.bool_)

_CATEGORY = {"b": 0, "u": 1, "i": 1, "f": 2}


_default_floats = [DEFAULT_FLOAT]


def get_default_dtype() -> Dtype:
    """The dtype of tensors made from Python floats."""
    return _default_floats[0]


def set_default_dtype(dtype: DTypeLike) -> None:
    """Make Python floats tensors of `dtype` from now on, in all threads."""
    chosen = as_dtype(dtype)
    if not is_floating(chosen):
        raise TypeError("only floating-point types are supported as the default type")
    _default_floats[:] = [chosen]


def category(dtype: Dtype) -> int:
    """0 for bool, 1 for integers, 2 for floating; TypeError for anything else."""
    try:
        return _CATEGORY[dtype.kind]
    except KeyError:
        raise TypeError(
            f"expected a bool, integer or floating dtype, got {dtype}: convert the data first"
        ) from None


def is_floating(dtype: Dtype) -> bool:
    """Whether tensors of `dtype` can require gradients."""
    return dtype.kind == "f"


def scalar_dtype(value: bool | int | float) -> Dtype:
    """The dtype PyTorch gives a Python number: bool, int64 or the default (float32)."""
    if isinstance(value, bool):
        return BOOL
    return DEFAULT_INT if isinstance(value, int) else _default_floats[0]


@functools.cache
def promote_types(a: Dtype, b: Dtype) -> Dtype:
    """The dtype of a result of two tensors of equal standing."""
    if category(a) != category(b):
        return a if category(a) > category(b) else b
    return np.promote_types(a, b)


@functools.cache
def result_type(a: Dtype, a_standing: int, b: Dtype, b_standing: int) -> Dtype:
    """The dtype of a result; against an operand of higher standing one counts by category only."""
    if a_standing == b_standing:
        return promote_types(a, b)
    weak, strong = (a, b) if a_standing < b_standing else (b, a)
    return weak if category(weak) > category(strong) else strong


def to_floating(dtype: Dtype) -> Dtype:
    """The dtype in which exp, division and the like are computed: integers become float32."""
    return dtype if dtype.kind == "f" else _default_floats[0]


_MESSAGE_NAMES = {
    "float16": "Half",
    "float32": "Float",
    "float64": "Double",
    "int64": "Long",
    "int32": "Int",
    "int16": "Short",
    "int8": "Char",
    "uint8": "Byte",
    "bool": "Bool",
}


def message_name(dtype: Dtype) -> str:
    """What PyTorch calls `dtype` in its messages."""
    return _MESSAGE_NAMES.get(dtype.name, dtype.name)


def as_dtype(dtype: DTypeLike) -> Dtype:
    """`dtype` as NumPy's object, Python's `float` and `int` meaning PyTorch's defaults."""
    if dtype is float:
        return _default_floats[0]
    return np.dtype(dtype)


def can_cast(from_: DTypeLike, to: DTypeLike) -> bool:
    """Whether a result of one dtype may be written to the other: not from a higher category."""
    return category(as_dtype(from_)) <= category(as_dtype(to))


class finfo:
    """Limits of a floating dtype, as Python numbers: bits, eps, max, min, tiny, resolution."""

    def __init__(self, dtype: DTypeLike | None = None) -> None:
        limits = np.finfo(_default_floats[0] if dtype is None else np.dtype(dtype))
        self.dtype: str = limits.dtype.name
        self.bits: int = limits.bits
        self.eps, self.max, self.min = float(limits.eps), float(limits.max), float(limits.min)
        self.tiny = self.smallest_normal = float(limits.tiny)
        self.resolution = float(limits.resolution)


class iinfo:
    """Limits of an integer dtype, as Python numbers: bits, max, min."""

    def __init__(self, dtype: DTypeLike) -> None:
        limits = np.iinfo(np.dtype(dtype))
        self.dtype: str = limits.dtype.name
        self.bits, self.max, self.min = int(limits.bits), int(limits.max), int(limits.min)
