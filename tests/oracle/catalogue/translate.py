"""PyTorch's values as ours: tensors become copies of the same layout, the same one for the same.

A value ours cannot hold (complex numbers, bfloat16, sparse layouts) is an `Untranslatable`.
"""

from __future__ import annotations

import types
from typing import Any

import numpy as np
import torch

import ddp
from ddp import nn
from ddp.autograd.tensor import Tensor
from ddp.nn import functional

Array = np.ndarray[Any, Any]


class Untranslatable(Exception):
    """There is no such value in our library."""


KINDS = "biuf"
MOST_AXES = 64  # in NumPy
BY_NAME = {"contiguous_format", "channels_last", "preserve_format", "strided"}


class Translator:
    """Translates the values of one sample; remembers tensors, so that sharing survives."""

    def __init__(self) -> None:
        self._ours: dict[int, Tensor] = {}
        self._memory: dict[tuple[int, Any], Array] = {}
        self.pairs: list[tuple[Any, Tensor]] = []  # theirs and ours, those that require gradients

    def __call__(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return self._tensor(value)
        if isinstance(value, torch.dtype):
            return dtype_of(value)
        if isinstance(value, torch.device):
            return ddp.device(str(value))
        if isinstance(value, torch.memory_format | torch.layout):
            return named(value)
        if isinstance(value, torch.nn.TransformerEncoderLayer):
            return self._encoder_layer(value)
        if isinstance(value, torch.nn.PairwiseDistance):
            return nn.PairwiseDistance(value.norm, value.eps, value.keepdim)
        if isinstance(value, torch.nn.Module):
            raise Untranslatable(f"module given as {type(value).__name__}")
        if callable(value) and getattr(torch.nn.functional, value.__name__, None) is value:
            return getattr(functional, value.__name__)
        return self._container(value)

    def _tensor(self, theirs: Any) -> Tensor:
        if id(theirs) not in self._ours:
            ours = Tensor(self._array(theirs))
            ours.requires_grad_(theirs.requires_grad)
            self._ours[id(theirs)] = ours
            if theirs.requires_grad:
                self.pairs.append((theirs, ours))
        return self._ours[id(theirs)]

    def _array(self, theirs: Any) -> Array:
        """A copy that lies in memory as theirs does: strides, and what shares memory, are kept."""
        require_translatable(theirs)
        plain = theirs.detach()
        storage, size = plain.untyped_storage(), plain.element_size()
        if plain.is_neg() or plain._is_zerotensor() or not storage.nbytes():
            return plain.resolve_neg().clone().numpy()
        key = storage.data_ptr(), plain.dtype
        if key not in self._memory:  # a clone, since a tensor seen by NumPy cannot be resized
            whole = plain.as_strided((storage.nbytes() // size,), (1,), 0)
            self._memory[key] = whole.clone().numpy()
        return np.lib.stride_tricks.as_strided(
            self._memory[key][plain.storage_offset() :],
            tuple(plain.shape),
            [stride * size for stride in plain.stride()],
            writeable=not _repeats(plain),
        )

    def _encoder_layer(self, theirs: Any) -> nn.TransformerEncoderLayer:
        attention = theirs.self_attn
        ours = nn.TransformerEncoderLayer(
            attention.embed_dim,
            attention.num_heads,
            theirs.linear1.out_features,
            theirs.dropout.p,
            self(theirs.activation),
            theirs.norm1.eps,
            attention.batch_first,
            theirs.norm_first,
            theirs.linear1.bias is not None,
        )
        ours = ours.to(dtype_of(theirs.linear1.weight.dtype))
        ours.load_state_dict(self(theirs.state_dict()))
        return ours

    def _container(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self(member) for key, member in value.items()}
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*map(self, value))
        if isinstance(value, torch.Size | tuple):
            return tuple(map(self, value))
        if isinstance(value, list):
            return list(map(self, value))
        if isinstance(value, slice):
            return slice(self(value.start), self(value.stop), self(value.step))
        if isinstance(value, complex):
            raise Untranslatable("complex numbers")
        return value


def _repeats(theirs: Any) -> bool:
    """Whether an axis runs over the same memory again and again."""
    return any(n > 1 and s == 0 for n, s in zip(theirs.shape, theirs.stride(), strict=True))


def require_translatable(theirs: Any) -> None:
    """Raise Untranslatable where NumPy or our library has no such tensor."""
    if theirs.layout is not torch.strided or theirs.is_quantized or theirs.device.type != "cpu":
        raise Untranslatable(f"a {theirs.layout} tensor on {theirs.device}")
    dtype_of(theirs.dtype)
    if theirs.dim() > MOST_AXES:
        raise Untranslatable(f"array of {theirs.dim()} axes")


def dtype_of(theirs: torch.dtype) -> np.dtype[Any]:
    """Our dtype of the same name."""
    name = str(theirs).removeprefix("torch.")
    try:
        ours = np.dtype(name)
    except TypeError:
        raise Untranslatable(f"dtype {name}") from None
    if ours.kind not in KINDS:
        raise Untranslatable(f"dtype {name}")
    return ours


def named(value: Any) -> Any:
    """A memory format or layout, which ours has by name or not at all."""
    name = str(value).removeprefix("torch.")
    if name not in BY_NAME:
        raise Untranslatable(name)
    return getattr(ddp, name)


def rebound(function: types.FunctionType, **replaced: Any) -> types.FunctionType:
    """The same Python function with other globals: `torch` is ours, as under the alias."""
    return types.FunctionType(
        function.__code__,
        function.__globals__ | {"torch": ddp} | replaced,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
