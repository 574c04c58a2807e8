"""Instance normalisation layers (Ulyanov et al., arXiv:1607.08022)."""

from __future__ import annotations

import warnings
from typing import Any

from ddp.autograd.tensor import Tensor
from ddp.nn import functional as F
from ddp.nn.batchnorm import _NormBase


class _InstanceNorm(_NormBase):
    """Normalisation of every channel of every sample by its own mean and variance.

    With `track_running_stats` the statistics used in evaluation are running ones, as in batch
    norm. By default there are neither those nor weight and bias.
    """

    axes: int  # after the channels

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        options = (eps, momentum, affine, track_running_stats, device, dtype)
        super().__init__(num_features, *options, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, ...) or (C, ...) → the same shape."""
        batched = input.ndim == self.axes + 2
        if not batched and input.ndim != self.axes + 1:
            raise ValueError(
                f"expected {self.axes + 1}D or {self.axes + 2}D input (got {input.ndim}D input)"
            )
        self._check_channels(input, int(batched))
        y = F.instance_norm(
            input if batched else input.unsqueeze(0),
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            self.momentum or 0.0,
            self.eps,
        )
        return y if batched else y[0]

    def _check_channels(self, input: Tensor, axis: int) -> None:
        channels = input.shape[axis]
        if channels == self.num_features:
            return
        if self.affine:
            raise ValueError(
                f"expected input's size at dim={axis} to match num_features "
                f"({self.num_features}), but got: {channels}."
            )
        warnings.warn(
            f"input's size at dim={axis} does not match num_features. You can silence this "
            "warning by not passing in num_features, which is not used because affine=False",
            stacklevel=3,
        )


class InstanceNorm1d(_InstanceNorm):
    """Instance normalisation of sequences, (N, C, L) or (C, L)."""

    axes = 1


class InstanceNorm2d(_InstanceNorm):
    """Instance normalisation of images, (N, C, H, W) or (C, H, W)."""

    axes = 2


class InstanceNorm3d(_InstanceNorm):
    """Instance normalisation of volumes, (N, C, D, H, W) or (C, D, H, W)."""

    axes = 3
