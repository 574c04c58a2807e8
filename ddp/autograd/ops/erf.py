"""The error function, which NumPy does not have."""

from __future__ import annotations

import math

import numpy as np

from ddp.autograd.node import Array
from ddp.autograd.ops.blocks import blocks

# erf(x) = x · P(x²) / Q(x²) on [-EDGE, EDGE], fitted to a relative error of 2e-8; beyond, erf is
# ±1 in float32. All coefficients are positive, so no step cancels: in float32 the result is within
# 4e-7 of erf, relatively. Only products, sums and quotients: the same bits on every CPU.
EDGE = 3.92
P = (
    1.12837914620772,
    0.19040481037028054,
    0.052748407455582576,
    0.0037655150975075945,
    0.00028487515362751574,
    2.0500331027158545e-06,
)
Q = (
    1.0,
    0.5020746121015601,
    0.11410833751489216,
    0.014969022885184318,
    0.0011625006183066235,
    3.8090753216416995e-05,
)

_exact = np.frompyfunc(math.erf, 1, 1)


def erf(x: Array) -> Array:
    """erf(x) of floating x, in x's dtype. float64 is exact and slow: it serves gradient checks."""
    if x.dtype != np.float32:
        return np.asarray(_exact(x)).astype(x.dtype)
    y = np.empty_like(x, order="C")
    for source, target in blocks(np.ascontiguousarray(x), y):
        erf_into(source, target)
    return y


def erf_into(x: Array, out: Array) -> None:
    """erf of one block of float32."""
    x = np.clip(x, np.float32(-EDGE), np.float32(EDGE))
    square = x * x
    horner(P, square, out)
    out *= x
    out /= horner(Q, square, np.empty_like(x))
    np.clip(out, np.float32(-1), np.float32(1), out=out)


def horner(coefficients: tuple[float, ...], x: Array, out: Array) -> Array:
    """The polynomial with these coefficients, from the constant up, in the precision of x."""
    np.multiply(x, coefficients[-1], out=out)
    for coefficient in coefficients[-2:0:-1]:
        out += coefficient
        out *= x
    out += coefficients[0]
    return out
