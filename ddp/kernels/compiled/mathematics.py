"""exp and what is made of it, as numbers that LLVM can put into vectors.

Calls of the C library would be made number by number. These have no branch and no call.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from ddp.kernels.compiled.target import inlined

F = np.float32

LOWEST = F(-87.33654)  # exp of it is the smallest float32 that is not denormal
LOG2_E = F(1.44269504)
LN_2_HIGH, LN_2_LOW = F(0.693359375), F(-2.12194440e-4)  # ln 2 in two parts: n · HIGH is exact
# exp(r) = 1 + r + r² · P(r) for |r| ≤ ln 2 / 2 (Cephes, expf.c): within 1 unit of the last place.
P0, P1, P2 = F(5.0000001201e-1), F(1.6666665459e-1), F(4.1665795894e-2)
P3, P4, P5 = F(8.3334519073e-3), F(1.3981999507e-3), F(1.9875691500e-4)


@intrinsic
def exp_below_zero(typing: Any, x: Any) -> Any:
    """exp(x) for x ≤ 0, of a float32 or of a vector of them: 0 below -87.3, NaN for NaN."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return exp_code(builder, arguments[0])

    return x(x), generate


def exp_code(builder: Any, x: Any) -> Any:
    """The instructions: exp(n · ln 2 + r) = 2ⁿ · exp(r)."""

    def number(value: Any) -> Any:
        return constant(x.type, float(value))

    def times_plus(a: Any, b: Any, c: Any) -> Any:
        return builder.fadd(builder.fmul(a, b, flags=("contract",)), c, flags=("contract",))

    n = by_element(builder, "floor", times_plus(x, number(LOG2_E), number(0.5)))
    r = times_plus(n, number(-LN_2_HIGH), x)
    r = times_plus(n, number(-LN_2_LOW), r)
    p = number(P5)
    for coefficient in (P4, P3, P2, P1, P0):
        p = times_plus(p, r, number(coefficient))
    y = builder.fadd(times_plus(builder.fmul(p, r), r, r), number(1))
    whole = integers_like(x.type)
    exponent = builder.add(builder.fptosi(n, whole), constant(whole, 127))
    power = builder.bitcast(builder.shl(exponent, constant(whole, 23)), x.type)
    is_tiny = builder.fcmp_ordered("<", x, number(LOWEST))
    return builder.select(is_tiny, number(0), builder.fmul(y, power))


def by_element(builder: Any, name: str, *operands: Any) -> Any:
    """LLVM's own function of float32, or of vectors of them, by its name."""
    kind = operands[0].type
    signature = ir.FunctionType(kind, [kind] * len(operands))
    full_name = f"llvm.{name}.{short_name(kind)}"
    function = cgutils.get_or_insert_function(builder.module, signature, full_name)
    return builder.call(function, operands)


def short_name(kind: Any) -> str:
    """As in the names of LLVM's functions: "f32", "v16f32", "v16i8"."""
    if isinstance(kind, ir.VectorType):
        return f"v{kind.count}{short_name(kind.element)}"
    return f"i{kind.width}" if isinstance(kind, ir.IntType) else "f32"


def everywhere(builder: Any, number: Any, count: int) -> Any:
    """A vector of so many times one number."""
    unset = ir.Constant(ir.VectorType(number.type, count), ir.Undefined)
    first = builder.insert_element(unset, number, ir.IntType(32)(0))
    return builder.shuffle_vector(first, unset, constant(integers_like(unset.type), 0))


def constant(kind: Any, value: Any) -> Any:
    """A number, or a vector of that number everywhere."""
    return ir.Constant(kind, [value] * kind.count if isinstance(kind, ir.VectorType) else value)


def integers_like(kind: Any) -> Any:
    """The type of as many int32."""
    number = ir.IntType(32)
    return ir.VectorType(number, kind.count) if isinstance(kind, ir.VectorType) else number


@inlined
def logistic(x: Any) -> Any:
    """1 / (1 + exp(-x)), to the last digits also where it is nearly 0."""
    e = exp_below_zero(-abs(x))
    return (F(1) if x > F(0) else e) / (F(1) + e)
