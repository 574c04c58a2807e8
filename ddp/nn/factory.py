"""What a layer's parameters are made of: the `device` and `dtype` that PyTorch's layers take."""

from __future__ import annotations

from typing import Any

import numpy as np

from ddp.autograd.devices import require_cpu
from ddp.autograd.dtypes import as_dtype, get_default_dtype, is_floating
from ddp.autograd.tensor import Tensor


class Factory:
    """Makes tensors of a dtype: the one that was given, or the default for new tensors.

    Raises RuntimeError for a device other than the CPU and for a dtype without gradients.
    """

    def __init__(self, device: Any = None, dtype: Any = None) -> None:
        require_cpu(device)
        self.dtype = get_default_dtype() if dtype is None else as_dtype(dtype)
        if not is_floating(self.dtype):
            raise RuntimeError(
                "Only Tensors of floating point and complex dtype can require gradients: a layer "
                f"cannot be made with dtype={self.dtype}"
            )

    def empty(self, *shape: int) -> Tensor:
        """Memory to be initialised."""
        if shape and min(shape) < 0:
            raise RuntimeError(
                f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}"
            )
        return Tensor(np.empty(shape, self.dtype))

    def full(self, shape: int | tuple[int, ...], value: float) -> Tensor:
        """`value` everywhere."""
        return Tensor(np.full(shape, value, self.dtype))
