"""`Variable`, from before PyTorch 0.4: what a tensor that can require gradients was called."""

from __future__ import annotations

import warnings
from typing import Any

from ddp.autograd.tensor import Tensor


class _AnyTensor(type):
    """Every tensor is an instance."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)


class Variable(metaclass=_AnyTensor):
    """`Variable(tensor)` is a tensor over the same memory, outside the graph."""

    def __new__(  # type: ignore[misc]  # what one gets is a tensor
        cls, data: Tensor, requires_grad: bool = False, volatile: bool = False
    ) -> Tensor:
        if not isinstance(data, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        if volatile:
            warnings.warn(
                "volatile was removed and now has no effect. Use `with ddp.no_grad():` instead.",
                stacklevel=2,
            )
        return data.detach().requires_grad_(requires_grad)
