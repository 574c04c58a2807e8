"""exp and what is made of it, as numbers that LLVM can put into vectors.

Calls of the C library would be made number by number. These have no branch and no call.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ddp.kernels.compiled.target import inlined

F = np.float32

LOWEST, HIGHEST = F(-87.33654), F(88.72283)  # exp of them is the smallest and the largest float32
LOG2_E = F(1.44269504)
LN_2_HIGH, LN_2_LOW = F(0.693359375), F(-2.12194440e-4)  # ln 2 in two parts: n · HIGH is exact
# exp(r) = 1 + r + r² · P(r) for |r| ≤ ln 2 / 2 (Cephes, expf.c): within 1 unit of the last place.
P0, P1, P2 = F(5.0000001201e-1), F(1.6666665459e-1), F(4.1665795894e-2)
P3, P4, P5 = F(8.3334519073e-3), F(1.3981999507e-3), F(1.9875691500e-4)


@intrinsic
def from_bits(typing: Any, bits: Any) -> Any:
    """The float32 with the bits of an int32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


@inlined
def exp(x: Any) -> Any:
    """exp(x) in float32: 0 below -87.3, infinity above 88.7, NaN for NaN."""
    n = np.floor(x * LOG2_E + F(0.5))
    r = (x - n * LN_2_HIGH) - n * LN_2_LOW
    p = ((((P5 * r + P4) * r + P3) * r + P2) * r + P1) * r + P0
    # 2ⁿ in two factors: n may be 128, which no float32 has as its exponent.
    half = np.int32(n) >> np.int32(1)
    rest = np.int32(n) - half
    y = (p * r * r + r + F(1)) * power_of_two(half) * power_of_two(rest)
    y = F(0) if x < LOWEST else y
    y = F(np.inf) if x > HIGHEST else y
    return x if x != x else y


@inlined
def power_of_two(n: Any) -> Any:
    return from_bits((n + np.int32(127)) << np.int32(23))


@intrinsic
def larger(typing: Any, x: Any, y: Any) -> Any:
    """The larger of two float32, NaN if one is; unlike a comparison, it goes into vectors."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = ir.FloatType()
        kind = ir.FunctionType(number, [number, number])
        maximum = builder.module.declare_intrinsic("llvm.maximum", [number], kind)
        return builder.call(maximum, arguments)

    return types.float32(types.float32, types.float32), generate
