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

# What an operand is, for promotion: see `result_type`.
NUMBER, SCALAR_TENSOR, TENSOR = 0, 1, 2

DEFAULT_FLOAT: Dtype = np.dtype(np.float32)
DEFAULT_INT: Dtype = np.dtype(np.int64)
BOOL: Dtype = np.dtype(np.bool_)

_CATEGORY = {"b": 0, "u": 1, "i": 1, "f": 2}


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
    """The dtype PyTorch gives a Python number: bool, int64 or float32."""
    if isinstance(value, bool):
        return BOOL
    return DEFAULT_INT if isinstance(value, int) else DEFAULT_FLOAT


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
    return dtype if dtype.kind == "f" else DEFAULT_FLOAT


def as_dtype(dtype: DTypeLike) -> Dtype:
    """`dtype` as NumPy's object, Python's `float` and `int` meaning PyTorch's defaults."""
    if dtype is float:
        return DEFAULT_FLOAT
    return np.dtype(dtype)
