"""New tensors: from data, filled, or random. PyTorch's names, defaults and dtype rules."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ddp.autograd.dtypes import DEFAULT_FLOAT, DEFAULT_INT, as_dtype
from ddp.autograd.node import Array
from ddp.autograd.ops.shape import as_shape
from ddp.autograd.random import RandomSource, current_generator
from ddp.autograd.tensor import Tensor, wrap


def tensor(data: Any, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """A copy of `data`: a number, nested lists, an array. Python floats become float32."""
    if isinstance(data, Tensor):
        data = data.array
    if dtype is None and not isinstance(data, (np.ndarray, np.generic)):
        array = np.array(data)
        dtype = DEFAULT_FLOAT if array.dtype.kind == "f" or array.size == 0 else array.dtype
    return _new(np.array(data, None if dtype is None else as_dtype(dtype)), requires_grad)


def as_tensor(data: Any, dtype: DTypeLike | None = None) -> Tensor:
    """`data` as a tensor, sharing memory where it can."""
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    if isinstance(data, np.ndarray):
        return wrap(data if dtype is None else data.astype(as_dtype(dtype), copy=False))
    return tensor(data, dtype)


def from_numpy(array: Array) -> Tensor:
    """A tensor over the memory of `array`."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    return wrap(array)


def zeros(*size: Any, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Zeros, float32 by default."""
    return _new(np.zeros(as_shape(size), as_dtype(dtype or DEFAULT_FLOAT)), requires_grad)


def ones(*size: Any, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Ones, float32 by default."""
    return _new(np.ones(as_shape(size), as_dtype(dtype or DEFAULT_FLOAT)), requires_grad)


def empty(*size: Any, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Memory as it comes, float32 by default."""
    return _new(np.empty(as_shape(size), as_dtype(dtype or DEFAULT_FLOAT)), requires_grad)


def full(
    size: tuple[int, ...],
    fill_value: float,
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """`fill_value` everywhere; its own type decides the dtype unless one is given."""
    chosen = tensor(fill_value).dtype if dtype is None else as_dtype(dtype)
    return _new(np.full(size, fill_value, chosen), requires_grad)


def arange(*bounds: float, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """`arange(end)`, `arange(start, end)`, `arange(start, end, step)`; int64 for integers."""
    whole = all(isinstance(bound, int) for bound in bounds)
    chosen = (DEFAULT_INT if whole else DEFAULT_FLOAT) if dtype is None else as_dtype(dtype)
    return _new(np.arange(*bounds).astype(chosen), requires_grad)


def linspace(
    start: float,
    end: float,
    steps: int,
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` evenly spaced values, both ends included."""
    return _new(np.linspace(start, end, steps).astype(as_dtype(dtype or float)), requires_grad)


def eye(
    n: int, m: int | None = None, dtype: DTypeLike | None = None, requires_grad: bool = False
) -> Tensor:
    """The identity matrix (n, m)."""
    return _new(np.eye(n, m, dtype=as_dtype(dtype or DEFAULT_FLOAT)), requires_grad)


def zeros_like(x: Tensor, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Zeros of x's shape, dtype and memory layout."""
    return _new(np.zeros_like(x.array, None if dtype is None else as_dtype(dtype)), requires_grad)


def ones_like(x: Tensor, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Ones of x's shape, dtype and memory layout."""
    return _new(np.ones_like(x.array, None if dtype is None else as_dtype(dtype)), requires_grad)


def empty_like(x: Tensor, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Memory of x's shape, dtype and layout."""
    return _new(np.empty_like(x.array, None if dtype is None else as_dtype(dtype)), requires_grad)


def full_like(
    x: Tensor, fill_value: float, dtype: DTypeLike | None = None, requires_grad: bool = False
) -> Tensor:
    """`fill_value` in x's shape, dtype and memory layout."""
    chosen = None if dtype is None else as_dtype(dtype)
    return _new(np.full_like(x.array, fill_value, chosen), requires_grad)


def rand(*size: Any, generator: RandomSource | None = None, requires_grad: bool = False) -> Tensor:
    """float32 uniform in [0, 1)."""
    return _new((generator or current_generator()).uniform(as_shape(size)), requires_grad)


def randn(*size: Any, generator: RandomSource | None = None, requires_grad: bool = False) -> Tensor:
    """float32 standard normal."""
    return _new((generator or current_generator()).normal(as_shape(size)), requires_grad)


def randint(
    low: int, high: int, size: tuple[int, ...], generator: RandomSource | None = None
) -> Tensor:
    """int64 uniform in [low, high)."""
    return wrap((generator or current_generator()).integers(low, high, size))


def randperm(n: int, generator: RandomSource | None = None) -> Tensor:
    """0 … n-1 in random order, int64."""
    return wrap((generator or current_generator()).permutation(n))


def _new(array: Array, requires_grad: bool) -> Tensor:
    result = wrap(array)
    if requires_grad:
        result.requires_grad = True
    return result
