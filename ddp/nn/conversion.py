"""Converting a whole module: `to`, `float`, `double`, `half`, and the devices there are not.

Floating parameters, their gradients and floating buffers change their dtype in place: the
Parameter objects stay, so that optimizers keep hold of them. Integers (counters) stay as they are.
"""

from __future__ import annotations

from typing import Any, NoReturn, Self

import numpy as np

from ddp.autograd.ops import casts
from ddp.autograd.tensor import Tensor
from ddp.nn.members import Members


class Conversions(Members):
    """What `Module` has for other dtypes and devices."""

    def to(
        self,
        *targets: Any,
        dtype: Any = None,
        device: Any = None,
        non_blocking: bool = False,
        memory_format: Any = None,
    ) -> Self:
        """Convert to a dtype, or to that of a tensor. The CPU is where everything is.

        Raises TypeError for a dtype that is not floating, RuntimeError for another device.
        """
        sample = casts.to(Tensor(np.empty(0, np.float32)), *targets, dtype=dtype, device=device)
        if not sample.is_floating_point():
            raise TypeError(
                "nn.Module.to only accepts floating point or complex dtypes, but got desired "
                f"dtype={sample.dtype}"
            )
        self._convert(*targets, dtype=dtype)
        return self

    def _convert(self, *targets: Any, dtype: Any) -> None:
        for child in self._modules.values():
            if child is not None:
                child._convert(*targets, dtype=dtype)
        for tensor in (*self._parameters.values(), *self._buffers.values()):
            if tensor is None or not tensor.is_floating_point():
                continue
            values = tensor.detach()
            converted = casts.to(values, *targets, dtype=dtype)
            if converted is not values:
                grad, tensor.grad = tensor.grad, None
                tensor.data = converted
                tensor.grad = None if grad is None else casts.to(grad, converted)

    def type(self, dst_type: Any) -> Self:
        """`to(dst_type)`."""
        return self.to(dtype=dst_type)

    def double(self) -> Self:
        """`to(float64)`."""
        return self.to(np.float64)

    def float(self) -> Self:
        """`to(float32)`."""
        return self.to(np.float32)

    def half(self) -> Self:
        """`to(float16)`."""
        return self.to(np.float16)

    def bfloat16(self) -> NoReturn:
        """NumPy has no such dtype."""
        casts.bfloat16(Tensor(np.empty(0, np.float32)))

    def cpu(self) -> Self:
        """The module, which is there already."""
        return self

    def cuda(self, device: Any = None) -> NoReturn:
        """There is no such device."""
        raise RuntimeError("ddp computes on the CPU only: there is no CUDA device to move to")

    def share_memory(self) -> Self:
        """The module as it is: the processes of ddp exchange gradients, not memory."""
        return self
