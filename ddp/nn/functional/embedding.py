"""Embedding as functions."""

from __future__ import annotations

import numpy as np

from ddp.autograd.ops import embedding as embedding_op
from ddp.autograd.tensor import Tensor
from ddp.nn.functional.losses import dtype_name


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of `weight` (V, D) that `input`, integers of any shape, names → (..., D).

    The row `padding_idx` gets no gradient. Raises IndexError for a number outside 0 … V-1.
    """
    refuse_options(max_norm, scale_grad_by_freq, sparse)
    if input.dtype not in (np.int64, np.int32):
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: "
            f"Long, Int; but got {dtype_name(input)} instead (while checking arguments for "
            "embedding)"
        )
    if weight.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    rows = weight.shape[0]
    if padding_idx is not None:
        padding_idx = checked_padding_idx(padding_idx, rows)
    if input.numel() and not (0 <= int(input.array.min()) <= int(input.array.max()) < rows):
        raise IndexError("index out of range in self")
    return embedding_op.embedding(weight, input.array, -1 if padding_idx is None else padding_idx)


def checked_padding_idx(padding_idx: int, rows: int) -> int:
    """`padding_idx` counted from the start; AssertionError outside ±`rows`, as in PyTorch."""
    if not -rows <= padding_idx < rows:
        raise AssertionError("Padding_idx must be within num_embeddings")
    return padding_idx % rows


def refuse_options(max_norm: float | None, scale_grad_by_freq: bool, sparse: bool) -> None:
    """Raise NotImplementedError for what embeddings here cannot do."""
    for name, wanted in (
        ("max_norm", max_norm is not None),
        ("scale_grad_by_freq", scale_grad_by_freq),
        ("sparse", sparse),
    ):
        if wanted:
            raise NotImplementedError(f"embedding: {name} is not available")


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """int64 (..., V) with a 1 at each index and 0 elsewhere; V is by default the largest + 1."""
    indices = tensor.array
    if tensor.dtype != np.int64:
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    if indices.size and indices.min() < 0:
        raise RuntimeError("Class values must be non-negative.")
    largest = int(indices.max(initial=-1))
    if num_classes == -1:
        num_classes = largest + 1
    if largest >= num_classes:
        raise RuntimeError("Class values must be smaller than num_classes.")
    return Tensor((indices[..., None] == np.arange(num_classes)).astype(np.int64))
