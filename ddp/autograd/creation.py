"""New tensors: from data, filled, or random. PyTorch's names, defaults and dtype rules.

Every function takes `dtype`, `device` (the CPU), `requires_grad`, and the options about memory
that PyTorch has and that mean nothing here (`layout`, `pin_memory`, `memory_format`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ddp.autograd.devices import require_cpu
from ddp.autograd.dtypes import DEFAULT_INT, Dtype, as_dtype, get_default_dtype
from ddp.autograd.grad_mode import mode
from ddp.autograd.node import Array
from ddp.autograd.ops.sampling import draw_normal, draw_uniform
from ddp.autograd.ops.shape import as_shape
from ddp.autograd.random import RandomSource, current_generator
from ddp.autograd.tensor import Tensor, wrap

Source = RandomSource | None

_OF_MEMORY = {"layout", "pin_memory", "memory_format"}


def _float_dtype(dtype: DTypeLike | None) -> Dtype:
    return get_default_dtype() if dtype is None else as_dtype(dtype)


def _new(
    array: Array, *, requires_grad: bool = False, device: Any = None, **of_memory: Any
) -> Tensor:
    require_cpu(device)
    for name in of_memory.keys() - _OF_MEMORY:
        raise TypeError(f"got an unexpected keyword argument '{name}'")
    return _started(wrap(array), requires_grad)


def _started(result: Tensor, requires_grad: bool = False) -> Tensor:
    """A tensor that no operation made, as the mode wants it."""
    if mode.inference:
        result._become_inference()
    if requires_grad:
        result.requires_grad = True
    return result


def _shape_of(size: tuple[Any, ...], options: dict[str, Any]) -> tuple[int, ...]:
    """`f(2, 3)`, `f((2, 3))` and `f(size=(2, 3))` mean the same."""
    shape = tuple(options.pop("size")) if "size" in options else as_shape(size)
    for length in shape:
        if length < 0:
            raise RuntimeError(
                f"Trying to create tensor with negative dimension {length}: {list(shape)}"
            )
    return tuple([int(length) for length in shape])


def tensor(
    data: Any,
    dtype: DTypeLike | None = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A copy of `data`: a number, nested lists, an array. Python floats become float32."""
    if isinstance(data, Tensor):
        data = data.array
    if dtype is None and not isinstance(data, (np.ndarray, np.generic)):
        array = np.array(data)
        dtype = get_default_dtype() if array.dtype.kind == "f" or array.size == 0 else array.dtype
    array = np.array(data, None if dtype is None else as_dtype(dtype))
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"expected bools, integers or floats, got {_kind_of(array)}: ddp has no such tensors"
        )
    return _new(array, requires_grad=requires_grad, device=device)


def _kind_of(array: Array) -> str:
    return {"c": "complex numbers", "U": "str", "S": "bytes"}.get(
        array.dtype.kind, f"data of dtype {array.dtype}"
    )


def as_tensor(data: Any, dtype: DTypeLike | None = None, device: Any = None) -> Tensor:
    """`data` as a tensor, sharing memory where it can."""
    require_cpu(device)
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    if isinstance(data, np.ndarray):
        return from_numpy(data if dtype is None else data.astype(as_dtype(dtype), copy=False))
    return tensor(data, dtype)


def from_numpy(array: Array) -> Tensor:
    """A tensor over the memory of `array`."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    result = _started(wrap(array))
    result._tell()
    return result


def scalar_tensor(value: float, dtype: DTypeLike | None = None, **options: Any) -> Tensor:
    """A 0-d tensor, float32 by default."""
    return _new(np.array(value, _float_dtype(dtype)), **options)


def zeros(*size: Any, dtype: DTypeLike | None = None, **options: Any) -> Tensor:
    """Zeros, float32 by default."""
    return _new(np.zeros(_shape_of(size, options), _float_dtype(dtype)), **options)


def ones(*size: Any, dtype: DTypeLike | None = None, **options: Any) -> Tensor:
    """Ones, float32 by default."""
    return _new(np.ones(_shape_of(size, options), _float_dtype(dtype)), **options)


def empty(*size: Any, dtype: DTypeLike | None = None, **options: Any) -> Tensor:
    """Memory as it comes, float32 by default."""
    return _new(np.empty(_shape_of(size, options), _float_dtype(dtype)), **options)


def full(size: Any, fill_value: Any, dtype: DTypeLike | None = None, **options: Any) -> Tensor:
    """`fill_value` everywhere; its own type decides the dtype unless one is given."""
    chosen = tensor(fill_value).dtype if dtype is None else as_dtype(dtype)
    value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    return _new(np.full(_shape_of((size,), {}), value, chosen), **options)


def arange(*bounds: Any, dtype: DTypeLike | None = None, **options: Any) -> Tensor:
    """`arange(end)`, `arange(start, end)`, `arange(start, end, step)`; int64 for integers."""
    start, end, step = _range_of(bounds, options)
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if not (math.isfinite(start) and math.isfinite(end)):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    whole = all(isinstance(bound, int) for bound in (start, end, step))
    chosen = (DEFAULT_INT if whole else get_default_dtype()) if dtype is None else as_dtype(dtype)
    if chosen.kind in "iu":
        start, end, step = int(start), int(end), int(step)
        return _new(np.arange(start, end, step).astype(chosen), **options)
    steps = np.arange(math.ceil((end - start) / step), dtype=np.float64)
    return _new((start + steps * step).astype(chosen), **options)


def _range_of(bounds: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, Any, Any]:
    plain = [b.item() if isinstance(b, (Tensor, np.generic)) else b for b in bounds]
    start, end, step = {1: (0, *plain, 1), 2: (*plain, 1)}.get(len(plain), (*plain, 0, 0, 1)[:3])
    return options.pop("start", start), options.pop("end", end), options.pop("step", step)


def linspace(
    start: float, end: float, steps: int, dtype: DTypeLike | None = None, **options: Any
) -> Tensor:
    """`steps` evenly spaced values, both ends included: counted from the nearer end."""
    return _new(_spaced(start, end, steps, _float_dtype(dtype)), **options)


def _spaced(start: float, end: float, steps: int, dtype: Dtype) -> Array:
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    start, end = _bound(start), _bound(end)
    if steps < 2:
        return np.full(steps, start, dtype)
    exact = np.dtype(np.float32) if dtype.kind != "f" else dtype
    step = exact.type((end - start) / (steps - 1))
    places = np.arange(steps).astype(exact)
    from_start, from_end = start + step * places, end - step * places[::-1]
    return np.where(np.arange(steps) < steps // 2, from_start, from_end).astype(dtype)


def _bound(bound: float | Tensor) -> float:
    if isinstance(bound, Tensor):
        if bound.ndim:
            raise RuntimeError(
                "linspace and logspace only support 0-dimensional start and end tensors, but got "
                f"{bound.ndim} dimension(s)"
            )
        return bound.item()
    return bound


def logspace(
    start: float,
    end: float,
    steps: int,
    base: float = 10.0,
    dtype: DTypeLike | None = None,
    **options: Any,
) -> Tensor:
    """`steps` values evenly spaced as powers of `base`."""
    exponents = _spaced(start, end, steps, np.dtype(np.float64))
    return _new(np.power(float(base), exponents).astype(_float_dtype(dtype)), **options)


def eye(n: int, m: int | None = None, dtype: DTypeLike | None = None, **options: Any) -> Tensor:
    """The identity matrix (n, m)."""
    for name, length in (("n", n), ("m", m)):
        if length is not None and length < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {length}")
    return _new(np.eye(n, m, dtype=_float_dtype(dtype)), **options)


def _like(dtype: DTypeLike | None) -> Dtype | None:
    return None if dtype is None else as_dtype(dtype)


def zeros_like(x: Tensor, dtype: DTypeLike | None = None, **options: Any) -> Tensor:
    """Zeros of x's shape, dtype and memory layout."""
    return _new(np.zeros_like(x.array, _like(dtype)), **options)


def ones_like(x: Tensor, dtype: DTypeLike | None = None, **options: Any) -> Tensor:
    """Ones of x's shape, dtype and memory layout."""
    return _new(np.ones_like(x.array, _like(dtype)), **options)


def empty_like(x: Tensor, dtype: DTypeLike | None = None, **options: Any) -> Tensor:
    """Memory of x's shape, dtype and layout."""
    return _new(np.empty_like(x.array, _like(dtype)), **options)


def full_like(
    x: Tensor, fill_value: float, dtype: DTypeLike | None = None, **options: Any
) -> Tensor:
    """`fill_value` in x's shape, dtype and memory layout."""
    return _new(np.full_like(x.array, fill_value, _like(dtype)), **options)


def rand(
    *size: Any, generator: Source = None, dtype: DTypeLike | None = None, **options: Any
) -> Tensor:
    """Uniform in [0, 1)."""
    shape = _shape_of(size, options)
    return _new(draw_uniform(shape, _float_dtype(dtype), generator, 0, 1), **options)


def randn(
    *size: Any, generator: Source = None, dtype: DTypeLike | None = None, **options: Any
) -> Tensor:
    """Standard normal."""
    shape = _shape_of(size, options)
    return _new(draw_normal(shape, _float_dtype(dtype), generator), **options)


def randint(
    *bounds: Any, generator: Source = None, dtype: DTypeLike | None = None, **options: Any
) -> Tensor:
    """`randint(high, size)` or `randint(low, high, size)`: uniform in [low, high), int64."""
    numbers = list(bounds)
    size = options.pop("size") if "size" in options else numbers.pop()
    high = options.pop("high") if "high" in options else numbers.pop()
    low = options.pop("low", None) or (numbers.pop() if numbers else 0)
    if low >= high:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    values = (generator or current_generator()).integers(low, high, tuple(size))
    return _new(values if dtype is None else values.astype(as_dtype(dtype)), **options)


def randperm(
    n: int, generator: Source = None, dtype: DTypeLike | None = None, **options: Any
) -> Tensor:
    """0 … n-1 in random order, int64."""
    order = (generator or current_generator()).permutation(n)
    return _new(order if dtype is None else order.astype(as_dtype(dtype)), **options)


def rand_like(x: Tensor, dtype: DTypeLike | None = None, **options: Any) -> Tensor:
    """Uniform in [0, 1), in x's shape and dtype."""
    return rand(x.shape, dtype=x.dtype if dtype is None else dtype, **options)


def randn_like(x: Tensor, dtype: DTypeLike | None = None, **options: Any) -> Tensor:
    """Standard normal, in x's shape and dtype."""
    return randn(x.shape, dtype=x.dtype if dtype is None else dtype, **options)


def randint_like(x: Tensor, *bounds: int, dtype: DTypeLike | None = None, **options: Any) -> Tensor:
    """Uniform in [low, high), in x's shape and dtype."""
    return randint(*bounds, x.shape, dtype=x.dtype if dtype is None else dtype, **options)


# Methods: new tensors of this tensor's dtype.


def new_tensor(x: Tensor, data: Any, dtype: DTypeLike | None = None, **options: Any) -> Tensor:
    """`tensor(data)` in x's dtype."""
    return tensor(data, x.dtype if dtype is None else dtype, **options)


def new_zeros(x: Tensor, *size: Any, dtype: DTypeLike | None = None, **options: Any) -> Tensor:
    """Zeros in x's dtype."""
    return zeros(*size, dtype=x.dtype if dtype is None else dtype, **options)


def new_ones(x: Tensor, *size: Any, dtype: DTypeLike | None = None, **options: Any) -> Tensor:
    """Ones in x's dtype."""
    return ones(*size, dtype=x.dtype if dtype is None else dtype, **options)


def new_empty(x: Tensor, *size: Any, dtype: DTypeLike | None = None, **options: Any) -> Tensor:
    """Memory as it comes, in x's dtype."""
    return empty(*size, dtype=x.dtype if dtype is None else dtype, **options)


def new_full(
    x: Tensor, size: Any, fill_value: float, dtype: DTypeLike | None = None, **options: Any
) -> Tensor:
    """`fill_value` everywhere, in x's dtype."""
    return full(size, fill_value, x.dtype if dtype is None else dtype, **options)


# PyTorch's names from before dtypes.


def _legacy(dtype: str) -> Any:
    def make(*data: Any) -> Tensor:
        if len(data) == 1 and not isinstance(data[0], int):
            return tensor(data[0], dtype)
        return empty(*data, dtype=dtype)

    return make


FloatTensor = _legacy("float32")
DoubleTensor = _legacy("float64")
LongTensor = _legacy("int64")
IntTensor = _legacy("int32")
ByteTensor = _legacy("uint8")
BoolTensor = _legacy("bool")
