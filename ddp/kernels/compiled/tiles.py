"""Products of matrices, tile by tile in registers.

A tile is as many sums as the processor's vector registers hold: a few rows by a few vectors. They
stay there while a loop runs over the depth. numba would keep them in memory, so LLVM is given that
loop as it is to be.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.lib.stride_tricks import as_strided

from ddp.kernels.compiled.mathematics import F
from ddp.kernels.compiled.target import HAS_AVX512, compiled, inlined

WIDTH = 16 if HAS_AVX512 else 8  # float32 in a register

NUMBER = ir.FloatType()
VECTOR = ir.VectorType(NUMBER, WIDTH)
BYTES = ir.IntType(8).as_pointer()
LANES = ir.VectorType(ir.IntType(32), WIDTH)


def tile_product(rows: int, vectors: int) -> Any:
    """The function that multiplies a tile of so many rows, and so many vectors of columns."""

    @intrinsic
    def multiply_tile(
        typing: Any, a: Any, i: Any, b: Any, j: Any, start: Any, stop: Any,
        base: Any, c: Any, c_i: Any, c_j: Any,
    ) -> Any:  # fmt: skip
        """c[c_i:, c_j:] = base[c_i:, c_j:] + a[i:, start:stop] @ b[start:stop, j:].

        The rows of b, base and c are dense, a is as it is. Nothing checks the bounds.
        """
        at = types.intp
        signature = types.void(a, at, b, at, at, at, base, c, at, at)
        return signature, generate

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, i, b, j, start, stop, base, c, c_i, c_j = arguments
        a, b, base, c = (
            Matrix(context, builder, signature.args[n], arguments[n]) for n in (0, 2, 6, 7)
        )
        tile = [(row, vector) for row in range(rows) for vector in range(vectors)]
        sums = {at: cgutils.alloca_once(builder, VECTOR) for at in tile}
        for (row, vector), total in sums.items():
            builder.store(VECTOR(None), total)
            place = c.vector(builder.add(c_i, c_i.type(row)), c_j, vector)
            prefetch(builder, place, writes=True)
        lefts = [
            opaque(builder, a.number(builder.add(i, i.type(row)), i.type(0))) for row in range(rows)
        ]
        with cgutils.for_range_slice(builder, start, stop, start.type(1)) as (k, _):
            right = [builder.load(b.vector(k, j, vector), align=4) for vector in range(vectors)]
            for row in range(rows):
                place = builder.gep(lefts[row], [builder.mul(k, a.strides[1])])
                left = repeated(builder, builder.load(builder.bitcast(place, NUMBER.as_pointer())))
                for vector in range(vectors):
                    product = builder.fmul(left, right[vector], flags=("contract",))
                    total = builder.load(sums[row, vector])
                    total = builder.fadd(total, product, flags=("contract",))
                    builder.store(total, sums[row, vector])
        for row, vector in tile:
            place = (builder.add(c_i, c_i.type(row)), c_j, vector)
            before = builder.load(base.vector(*place), align=4)
            total = builder.fadd(before, builder.load(sums[row, vector]))
            builder.store(total, c.vector(*place), align=4)
        return context.get_dummy_value()

    return multiply_tile


@intrinsic
def fetch(typing: Any, a: Any, i: Any, j: Any) -> Any:
    """Have a[i, j], and the cache line it is in, in the cache when it is read."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, i, j = arguments
        place = Matrix(context, builder, signature.args[0], array).number(i, j)
        prefetch(builder, place, writes=False)
        return context.get_dummy_value()

    return types.void(a, types.intp, types.intp), generate


class Matrix:
    """Where the numbers of a matrix lie, as LLVM sees it."""

    def __init__(self, context: Any, builder: Any, kind: Any, matrix: Any) -> None:
        array = context.make_array(kind)(context, builder, matrix)
        self._builder = builder
        self._start = builder.bitcast(array.data, BYTES)
        self.strides = cgutils.unpack_tuple(builder, array.strides, 2)

    def number(self, i: Any, j: Any) -> Any:
        """The place of [i, j]."""
        return self._place(i, self._builder.mul(j, self.strides[1]), NUMBER)

    def vector(self, i: Any, j: Any, vector: int) -> Any:
        """The place of the vector after so many others from [i, j], in a dense row."""
        column = self._builder.add(j, j.type(vector * WIDTH))
        return self._place(i, self._builder.mul(column, j.type(4)), VECTOR)

    def _place(self, i: Any, offset: Any, kind: Any) -> Any:
        row = self._builder.gep(self._start, [self._builder.mul(i, self.strides[0])])
        return self._builder.bitcast(self._builder.gep(row, [offset]), kind.as_pointer())


def opaque(builder: Any, place: Any) -> Any:
    """The same place, of which LLVM does not know how it was found, so that it gets a register."""
    kind = ir.FunctionType(BYTES, [BYTES])
    return builder.asm(kind, "", "=r,0", [builder.bitcast(place, BYTES)], False)


def prefetch(builder: Any, place: Any, writes: bool) -> None:
    """Have a place in the cache that is read or written soon."""
    number = ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [BYTES, number, number, number])
    function = builder.module.declare_intrinsic("llvm.prefetch", [BYTES], kind)
    builder.call(
        function, [builder.bitcast(place, BYTES), number(int(writes)), number(3), number(1)]
    )


def repeated(builder: Any, number: Any) -> Any:
    """A vector of one number."""
    unset = VECTOR(ir.Undefined)
    first = builder.insert_element(unset, number, ir.IntType(32)(0))
    return builder.shuffle_vector(first, unset, LANES([0] * WIDTH))


@compiled
def aligned(rows: Any, columns: Any) -> Any:
    """A matrix that begins on a cache line, not written yet."""
    memory = np.empty(rows * columns + 16, F)
    start = -memory.ctypes.data % 64 // 4
    return memory[start : start + rows * columns].reshape(rows, columns)


@inlined
def repeated_row(row: Any, rows: Any) -> Any:
    """A view of a dense vector as so many equal rows."""
    return as_strided(row, (rows, row.size), (0, 4))


@compiled
def copy(x: Any, out: Any) -> Any:
    """x into the beginning of `out`; of dense columns, as many as a vector holds at a time."""
    rows, columns = x.shape
    if x.strides[1] == 4 and out.strides[1] == 4:
        for i in range(rows):
            for j in range(columns):
                out[i, j] = x[i, j]
    else:
        whole = columns - columns % WIDTH
        for first in range(0, whole, WIDTH):
            for i in range(rows):
                for j in range(WIDTH):
                    out[i, first + j] = x[i, first + j]
        for j in range(whole, columns):
            for i in range(rows):
                out[i, j] = x[i, j]
