"""Comparing our tensors and modules with PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ddp import nn
from ddp.autograd.tensor import Tensor

torch: Any = pytest.importorskip("torch")

Array = np.ndarray[Any, np.dtype[Any]]


def draw(seed: int, *shape: int, dtype: Any = np.float32) -> Array:
    """Standard normal values."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def close(ours: Any, theirs: Any, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    """Same shape, same dtype, values within the tolerance."""
    ours = ours.array if isinstance(ours, Tensor) else np.asarray(ours)
    theirs = theirs.detach().numpy()
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol, strict=True)


def same_function(
    ours: Callable[..., Tensor],
    theirs: Callable[..., Any],
    *arrays: Array,
    rtol: float = 1e-5,
    atol: float = 1e-6,
) -> None:
    """Both functions give the same output and the same gradients for floating inputs."""
    our_inputs = [Tensor(a.copy(), requires_grad=a.dtype.kind == "f") for a in arrays]
    their_inputs = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    our_output, their_output = ours(*our_inputs), theirs(*their_inputs)
    close(our_output, their_output, rtol, atol)
    seed = draw(99, *our_output.shape, dtype=our_output.dtype)
    our_output.backward(Tensor(seed))
    their_output.backward(torch.tensor(seed))
    for our_input, their_input in zip(our_inputs, their_inputs, strict=True):
        if their_input.grad is not None:
            close(our_input.grad, their_input.grad, rtol, atol)


def copy_state(ours: nn.Module, theirs: Any) -> None:
    """Give our module the values of PyTorch's; the names must agree."""
    ours.load_state_dict({k: v.numpy().copy() for k, v in theirs.state_dict().items()})


def same_module(
    ours: nn.Module, theirs: Any, x: Array, rtol: float = 1e-5, atol: float = 1e-6
) -> None:
    """Same output, input gradient, parameter gradients and buffers, from the same values."""
    copy_state(ours, theirs)
    same_function(ours, theirs, x, rtol=rtol, atol=atol)
    for (name, our_param), (their_name, their_param) in zip(
        ours.named_parameters(), theirs.named_parameters(), strict=True
    ):
        assert name == their_name
        close(our_param.grad, their_param.grad, rtol, atol)
    their_buffers = dict(theirs.named_buffers())
    for name, our_buffer in ours.named_buffers():
        close(our_buffer, their_buffers[name], rtol, atol)
