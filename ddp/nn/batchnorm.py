"""Batch normalisation layers (Ioffe and Szegedy, arXiv:1502.03167)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ddp.autograd.tensor import Tensor
from ddp.nn import functional as F
from ddp.nn.factory import Factory
from ddp.nn.module import Module
from ddp.nn.parameter import Parameter


class _NormBase(Module):
    """Weight and bias per channel, and running statistics as buffers, where they are wanted."""

    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    _version = 2

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        new = Factory(device, dtype)
        self.register_parameter("weight", Parameter(new.full(num_features, 1)) if affine else None)
        has_bias = affine and bias
        self.register_parameter("bias", Parameter(new.full(num_features, 0)) if has_bias else None)
        tracks = track_running_stats
        self.register_buffer("running_mean", new.full(num_features, 0) if tracks else None)
        self.register_buffer("running_var", new.full(num_features, 1) if tracks else None)
        count = Tensor(np.zeros((), np.int64)) if tracks else None
        self.register_buffer("num_batches_tracked", count)

    def reset_running_stats(self) -> None:
        """Mean 0, variance 1, no batch seen."""
        for name, value in (("running_mean", 0), ("running_var", 1), ("num_batches_tracked", 0)):
            buffer = self._buffers[name]
            if buffer is not None:
                buffer.array[...] = value

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        *others: Any,
    ) -> None:
        """Batches are counted since version 2: in an older state dict the count is not missing."""
        count = self.num_batches_tracked
        if (local_metadata.get("version") or 1) < 2 and count is not None:
            state_dict.setdefault(f"{prefix}num_batches_tracked", count)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *others)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_NormBase):
    """y = (x - mean) / sqrt(var + eps) * weight + bias per channel.

    In training the statistics are the batch's, and the buffers `running_mean` and `running_var`
    move towards them by `momentum` (None: a plain average over all batches,
    `num_batches_tracked`); in evaluation the statistics are the buffers.
    """

    ranks: tuple[int, ...]

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, ...) → the same shape."""
        self._check_input(input)
        return F.batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            self._count_batch() if self.training else 0.0,
            self.eps,
        )

    def _count_batch(self) -> float:
        """Count one more batch; how far the running statistics move towards it."""
        count = self.num_batches_tracked
        if count is not None:
            count.array += 1
        if self.momentum is not None:
            return self.momentum
        return 0.0 if count is None else 1.0 / int(count.array)

    def _check_input(self, input: Tensor) -> None:
        if input.ndim not in self.ranks:
            expected = " or ".join(f"{rank}D" for rank in self.ranks)
            raise ValueError(f"expected {expected} input (got {input.ndim}D input)")
        if input.shape[1] != self.num_features:
            raise RuntimeError(
                f"running_mean should contain {input.shape[1]} elements not {self.num_features}"
            )


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (N, C) or (N, C, L)."""

    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images (N, C, H, W)."""

    ranks = (4,)


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of volumes (N, C, D, H, W)."""

    ranks = (5,)
