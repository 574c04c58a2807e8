"""`Parameter`: a tensor that a `Module` registers by itself when it is assigned as an attribute."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ddp.autograd.tensor import Tensor


class Parameter(Tensor):
    """A leaf that requires grad, whatever the grad mode; it shares the memory of `data`."""

    __slots__ = ()

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        if data is None:
            data = Tensor(np.empty(0, np.float32))
        super().__init__(data.array, requires_grad=requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        """A copy of the values; the gradient is not copied."""
        copy = Parameter(Tensor(self.array.copy()), self.requires_grad)
        memo[id(self)] = copy
        return copy

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


def overwrite(tensor: Tensor, values: ArrayLike) -> None:
    """Write `values` into the tensor's memory, in its dtype, past autograd; counts as a change."""
    tensor.array[...] = values
    tensor._version_cell[0] += 1
