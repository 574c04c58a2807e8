"""GELU; reference: ddp.autograd.ops.gelu."""

from __future__ import annotations

from typing import Any

import numpy as np

from ddp.kernels.compiled.mathematics import F, exp_below_zero, logistic
from ddp.kernels.compiled.target import compiled, inlined

# Φ(x) = (1 + tanh(x · P(x²))) / 2 = 1 / (1 + exp(-2 x · P(x²))): see the reference.
P0, P1, P2, P3 = F(0.797885032276872), F(0.0363326462373332), F(-3.2094447e-05), F(-5.5519872e-05)
P4, P5, P6 = F(4.00439e-06), F(-1.35465414e-07), F(1.84726970e-09)
DENSITY_AT_ZERO = F(1 / np.sqrt(2 * np.pi))
CUBIC, ROOT_2_OVER_PI = F(0.044715), F(np.sqrt(2 / np.pi))


@compiled
def forward(x: Any, y: Any, slope: Any) -> None:
    for i in range(x.size):
        square = x[i] * x[i]
        p = ((((P6 * square + P5) * square + P4) * square + P3) * square + P2) * square + P1
        u = x[i] * (p * square + P0)
        normal = logistic(u + u)
        y[i] = x[i] * normal
        if slope is not None:
            slope[i] = normal + x[i] * exp_below_zero(F(-0.5) * square) * DENSITY_AT_ZERO


@inlined
def half_of_one_and_tanh(x: Any) -> Any:
    """(1 + tanh u) / 2, to the last digits also where tanh u is nearly -1."""
    u = (x * x * CUBIC + F(1)) * x * ROOT_2_OVER_PI
    return logistic(u + u)


@compiled
def forward_by_tanh(x: Any, y: Any, t: Any) -> None:
    for i in range(x.size):
        half = half_of_one_and_tanh(x[i])
        t[i] = F(2) * half - F(1)
        y[i] = x[i] * half


@compiled
def backward_by_tanh(dy: Any, x: Any, t: Any, dx: Any) -> None:
    for i in range(x.size):  # not of t, which has lost digits
        half = half_of_one_and_tanh(x[i])
        du = (x[i] * x[i] * (F(3) * CUBIC) + F(1)) * ROOT_2_OVER_PI
        dx[i] = dy[i] * (half + F(2) * x[i] * du * half * (F(1) - half))
