"""Normal numbers from uniform ones, to the last bit as PyTorch's CPU code makes them.

The method is Box and Muller's (1958): for uniform u, v the numbers sqrt(-2 ln(1-u)) · cos(2πv) and
… · sin(2πv). PyTorch takes its logarithm, sine and cosine from the Cephes library's float32
polynomials (as in J. Pommier's `avx_mathfun.h`), compiled with fused multiply-adds; here each of
those is a product and a sum in float64, rounded once to float32. (A float64 product of float32
numbers is exact, and the sum's own rounding shows once in about 2²⁹ times.)

Only +, -, ·, sqrt and conversions are used, which every machine computes alike: NumPy's own
logarithm and cosine have other bits on other CPUs.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]

CHUNK = 512  # blocks of 16 at a time, so that what is in between stays in the cache

f32 = np.float32
# Cephes logf.c, sinf.c, cosf.c: the polynomials, highest power first.
LOG = tuple(
    map(
        f32,
        (
            *(7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1),
            *(-1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1),
            *(2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1),
        ),
    )
)
SIN = tuple(map(f32, (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)))
COS = tuple(map(f32, (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)))
# ln 2 and -π/4 as sums of numbers with few bits, so that their products are exact.
LN2_HIGH, LN2_LOW = f32(0.693359375), f32(-2.12194440e-4)
MINUS_QUARTER_PI = tuple(
    map(f32, (-0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8))
)
FOUR_OVER_PI = f32(1.27323954473516)
SQRT_HALF = f32(0.707106781186547524)


def box_muller(uniforms: Float32Array) -> Float32Array:
    """Standard normals (n,) from uniforms (n,) in [0, 1), n a multiple of 16.

    In each block of 16 the first eight give the radii, the last eight the angles; cosines come
    first.
    """
    blocks = uniforms.reshape(-1, 2, 8)
    normals = np.empty_like(blocks)
    for start in range(0, len(blocks), CHUNK):
        part = blocks[start : start + CHUNK]
        radius = np.sqrt(f32(-2) * _log(f32(1) - part[:, 0]))
        sine, cosine = _sine_and_cosine(f32(2 * np.pi) * part[:, 1])
        np.multiply(radius, cosine, out=normals[start : start + CHUNK, 0])
        np.multiply(radius, sine, out=normals[start : start + CHUNK, 1])
    return normals.reshape(-1)


def _fused(a: Float32Array, b: Float32Array | f32, c: Float32Array | f32) -> Float32Array:
    """a·b + c, rounded once."""
    return (a.astype(np.float64) * b + c).astype(np.float32)


def _polynomial(x: Float32Array, coefficients: Iterable[f32]) -> Float32Array:
    first, *rest = coefficients
    y = np.full_like(x, first)
    for coefficient in rest:
        y = _fused(y, x, coefficient)
    return y


def _log(x: Float32Array) -> Float32Array:
    """ln x for normal x > 0: the exponent times ln 2, and a polynomial for the rest."""
    bits = x.view(np.uint32)
    exponent = (bits >> np.uint32(23)).astype(np.int32) - 126
    fraction = ((bits & np.uint32(0x007FFFFF)) | np.uint32(0x3F000000)).view(np.float32)
    low = fraction < SQRT_HALF  # then twice the fraction is nearer to 1
    power = (exponent - low).astype(np.float32)
    x = (fraction - f32(1)) + fraction * low
    square = x * x
    y = _fused(_polynomial(x, LOG) * x, square, power * LN2_LOW)
    y = _fused(square, f32(-0.5), y)
    return _fused(power, LN2_HIGH, x + y)


def _sine_and_cosine(x: Float32Array) -> tuple[Float32Array, Float32Array]:
    """(sin x, cos x) for 0 ≤ x ≤ 2π: polynomials on [-π/4, π/4], then by octant."""
    octant = ((x * FOUR_OVER_PI).astype(np.int32) + 1) & ~1  # 0, 2, 4, 6 or 8
    count = octant.astype(np.float32)
    for part in MINUS_QUARTER_PI:
        x = _fused(count, part, x)
    square = x * x
    sine = _fused(_polynomial(square, SIN) * square, x, x)
    cosine = _fused(_polynomial(square, COS) * square, square, square * f32(-0.5)) + f32(1)
    straight = octant & 2 == 0
    first, second = np.where(straight, sine, cosine), np.where(straight, cosine, sine)
    first[octant & 4 != 0] *= f32(-1)
    second[(octant == 2) | (octant == 4)] *= f32(-1)
    return first, second
