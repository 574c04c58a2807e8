"""Other dtypes, devices and memory: `to`, `type`, `short`, …, and what is refused."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from ddp.autograd.devices import device as Device
from ddp.autograd.devices import require_cpu
from ddp.autograd.dtypes import as_dtype
from ddp.autograd.ops import convert
from ddp.autograd.ops.broadcast import to as to_dtype
from ddp.autograd.tensor import Tensor


def to(
    x: Tensor,
    *targets: Any,
    dtype: Any = None,
    device: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """x in another dtype, or in the dtype of another tensor. The CPU is where x is.

    x itself where nothing changes, unless `copy`. `non_blocking` and `memory_format` have no
    effect: memory order is an inner matter of ours.
    """
    for target in targets:
        if isinstance(target, Tensor):
            dtype = target.dtype
        elif isinstance(target, Device) or (isinstance(target, str) and not _is_dtype(target)):
            device = target
        elif not isinstance(target, bool):  # non_blocking and copy may come by position
            dtype = target
    require_cpu(device)
    y = x if dtype is None else to_dtype(x, as_dtype(dtype))
    return convert.clone(x) if copy and y is x else y


def _is_dtype(name: str) -> bool:
    try:
        np.dtype(name)
    except TypeError:
        return False
    return True


_TYPE_NAMES = {
    "torch.FloatTensor": "float32",
    "torch.DoubleTensor": "float64",
    "torch.HalfTensor": "float16",
    "torch.LongTensor": "int64",
    "torch.IntTensor": "int32",
    "torch.ShortTensor": "int16",
    "torch.CharTensor": "int8",
    "torch.ByteTensor": "uint8",
    "torch.BoolTensor": "bool",
}


def type_(x: Tensor, dtype: Any = None) -> Any:
    """`x.type()`: PyTorch's old name of x's type; `x.type(dtype)`: x in that dtype."""
    if dtype is None:
        names = {dtype_name: name for name, dtype_name in _TYPE_NAMES.items()}
        return names.get(x.dtype.name, f"torch.{x.dtype.name}Tensor")
    return to_dtype(x, as_dtype(_TYPE_NAMES.get(dtype, dtype) if isinstance(dtype, str) else dtype))


def type_as(x: Tensor, other: Tensor) -> Tensor:
    """x in the dtype of `other`."""
    return to_dtype(x, other.dtype)


def short(x: Tensor, memory_format: Any = None) -> Tensor:
    """x in int16."""
    return to_dtype(x, np.int16)


def char(x: Tensor, memory_format: Any = None) -> Tensor:
    """x in int8."""
    return to_dtype(x, np.int8)


def byte(x: Tensor, memory_format: Any = None) -> Tensor:
    """x in uint8."""
    return to_dtype(x, np.uint8)


def bfloat16(x: Tensor, memory_format: Any = None) -> NoReturn:
    """NumPy has no such dtype."""
    raise NotImplementedError("ddp has no bfloat16: NumPy has no such dtype; use float32")


def cuda(x: Tensor, device: Any = None, non_blocking: bool = False) -> NoReturn:
    """There is no such device."""
    raise RuntimeError("ddp computes on the CPU only: there is no CUDA device to move a tensor to")


def stay(x: Tensor, device: Any = None) -> Tensor:
    """`pin_memory` and `share_memory_`: x, since nothing is to be gained from either."""
    return x


def contiguous(x: Tensor, memory_format: Any = None) -> Tensor:
    """x itself if its memory is dense in C order, else a copy that is."""
    return convert.contiguous(x)


def clone(x: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy through which gradients flow."""
    return convert.clone(x)
