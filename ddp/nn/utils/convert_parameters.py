"""Parameters as one vector and back: PyTorch's `torch.nn.utils.convert_parameters`."""

from __future__ import annotations

from collections.abc import Iterable

from ddp.autograd.ops.join import cat
from ddp.autograd.tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters, flattened, one after another."""
    return cat([param.reshape(-1) for param in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Let each parameter's memory be its part of `vec`, in the order of `parameters`."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec).__name__}")
    start = 0
    for param in parameters:
        end = start + param.numel()
        param.data = Tensor(vec.array[start:end].reshape(param.shape))
        start = end
