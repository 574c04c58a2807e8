"""Vectors of 16 float32 as values: for loops that LLVM does not see how to put into vectors.

It gives up where a loop reads and writes more than a few places, as any of them might be the same.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

from ddp.kernels.compiled.mathematics import by_element, constant, everywhere, short_name

WIDTH = 16
REGISTER = ir.VectorType(ir.FloatType(), WIDTH)
I32 = ir.IntType(32)


class Vector(types.Type):  # type: ignore[misc]
    """numba's type of such a value."""

    def __init__(self) -> None:
        super().__init__(name=f"float32x{WIDTH}")


@register_model(Vector)
class VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, type_: Any) -> None:
        super().__init__(manager, type_, REGISTER)


VECTOR = Vector()


def place(context: Any, builder: Any, signature: Any, arguments: Any, type_: Any = REGISTER) -> Any:
    """Where in memory a vector is: of (flat array, index)."""
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    return builder.bitcast(builder.gep(array.data, [arguments[1]]), type_.as_pointer())


@intrinsic
def load(typing: Any, array: Any, index: Any) -> Any:
    """The elements of a flat array from `index` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(place(context, builder, signature, arguments), align=4)

    return VECTOR(array, types.intp), generate


@intrinsic
def store(typing: Any, array: Any, index: Any, vector: Any) -> Any:
    """Write the elements of a flat array from `index` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], place(context, builder, signature, arguments), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, VECTOR), generate


@intrinsic
def zeros(typing: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return constant(REGISTER, 0.0)

    return VECTOR(), generate


@intrinsic
def plus(typing: Any, a: Any, b: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fadd(*arguments)

    return VECTOR(VECTOR, VECTOR), generate


@intrinsic
def minus(typing: Any, a: Any, b: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fsub(*arguments)

    return VECTOR(VECTOR, VECTOR), generate


@intrinsic
def times(typing: Any, a: Any, b: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fmul(*arguments, flags=("contract",))

    return VECTOR(VECTOR, VECTOR), generate


@overload(operator.add, strict=False)  # whose parameters need not have annotations
def add(a: Any, b: Any) -> Any:
    return (lambda a, b: plus(a, b)) if a is VECTOR or b is VECTOR else None


@overload(operator.sub, strict=False)
def subtract(a: Any, b: Any) -> Any:
    return (lambda a, b: minus(a, b)) if a is VECTOR or b is VECTOR else None


@overload(operator.mul, strict=False)
def multiply(a: Any, b: Any) -> Any:
    return (lambda a, b: times(a, b)) if a is VECTOR or b is VECTOR else None


@intrinsic
def splat(typing: Any, number: Any) -> Any:
    """The same float32 everywhere."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return everywhere(builder, arguments[0], WIDTH)

    return VECTOR(types.float32), generate


def as_bytes(mask: Any) -> Any:
    """The bools of a dense array, as flat unsigned numbers; None for None."""


@overload(as_bytes, strict=False)
def flat_bytes(mask: Any) -> Any:
    if isinstance(mask, types.NoneType):
        return lambda mask: None
    return lambda mask: mask.reshape(-1).view(np.uint8)


def lanes_of(array: Any) -> Any:
    """The vector type of as many elements of an array of float32 or unsigned numbers."""
    if array.dtype == types.float32:
        return REGISTER
    return ir.VectorType(ir.IntType(array.dtype.bitwidth), WIDTH)


def lanes(builder: Any, count: Any) -> Any:
    """A mask: the first `count` of them."""
    numbers = ir.Constant(ir.VectorType(I32, WIDTH), list(range(WIDTH)))
    return builder.icmp_signed("<", numbers, everywhere(builder, builder.trunc(count, I32), WIDTH))


def load_masked(builder: Any, where: Any, type_: Any, mask: Any) -> Any:
    """What lies there of a vector; 0 in the other lanes."""
    signature = ir.FunctionType(type_, [where.type, I32, mask.type, type_])
    function = cgutils.get_or_insert_function(
        builder.module, signature, f"llvm.masked.load.{short_name(type_)}.p0"
    )
    return builder.call(function, [where, I32(1), mask, ir.Constant(type_, None)])


def store_masked(builder: Any, value: Any, where: Any, mask: Any) -> None:
    signature = ir.FunctionType(ir.VoidType(), [value.type, where.type, I32, mask.type])
    function = cgutils.get_or_insert_function(
        builder.module, signature, f"llvm.masked.store.{short_name(value.type)}.p0"
    )
    builder.call(function, [value, where, I32(1), mask])


@intrinsic
def load_some(typing: Any, array: Any, index: Any, count: Any) -> Any:
    """The next `count` elements of a flat array of float32 or whole numbers, as a vector."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        type_ = lanes_of(array)
        where = place(context, builder, signature, arguments, type_)
        loaded = load_masked(builder, where, type_, lanes(builder, arguments[2]))
        return loaded if type_ is REGISTER else builder.uitofp(loaded, REGISTER)

    return VECTOR(array, types.intp, types.intp), generate


@intrinsic
def store_some(typing: Any, array: Any, index: Any, vector: Any, count: Any) -> Any:
    """The reverse of `load_some`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        type_ = lanes_of(array)
        where = place(context, builder, signature, arguments, type_)
        value = arguments[2] if type_ is REGISTER else builder.fptoui(arguments[2], type_)
        store_masked(builder, value, where, lanes(builder, arguments[3]))
        return context.get_dummy_value()

    return types.void(array, types.intp, VECTOR, types.intp), generate


@intrinsic
def first_lanes(typing: Any, vector: Any, count: Any, other: Any) -> Any:
    """The vector with a float32 in all lanes but the first `count`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector, count, other = arguments
        return builder.select(lanes(builder, count), vector, everywhere(builder, other, WIDTH))

    return VECTOR(VECTOR, types.intp, types.float32), generate


@intrinsic
def sum_of(typing: Any, vector: Any) -> Any:
    """The sum over the lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return folded(builder, arguments[0], builder.fadd)

    return types.float32(VECTOR), generate


@intrinsic
def highest_of(typing: Any, vector: Any) -> Any:
    """The largest of the lanes, NaN if one is."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return folded(builder, arguments[0], lambda a, b: by_element(builder, "maximum", a, b))

    return types.float32(VECTOR), generate


def folded(builder: Any, vector: Any, combine: Any) -> Any:
    """Both halves combined, then both halves of that, to the last lane."""
    half = WIDTH // 2
    while half:
        lanes = ir.Constant(ir.VectorType(I32, WIDTH), [(n + half) % WIDTH for n in range(WIDTH)])
        vector = combine(vector, builder.shuffle_vector(vector, vector, lanes))
        half //= 2
    return builder.extract_element(vector, I32(0))


@intrinsic
def larger(typing: Any, a: Any, b: Any) -> Any:
    """The larger of each lane, NaN where one is."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return by_element(builder, "maximum", *arguments)

    return VECTOR(VECTOR, VECTOR), generate


@intrinsic
def where_larger(typing: Any, a: Any, b: Any, yes: Any, no: Any) -> Any:
    """`yes` where a > b or a is NaN, else `no`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, b, yes, no = arguments
        is_larger = builder.fcmp_ordered(">", a, b)
        return builder.select(builder.or_(is_larger, builder.fcmp_unordered("uno", a, a)), yes, no)

    return a(a, a, a, a), generate


@intrinsic
def where_equal(typing: Any, a: Any, b: Any, yes: Any, no: Any) -> Any:
    """`yes` where a = b, else `no`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, b, yes, no = arguments
        return builder.select(builder.fcmp_ordered("==", a, b), yes, no)

    return a(a, a, a, a), generate
