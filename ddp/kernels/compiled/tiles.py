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

from ddp.kernels.compiled.mathematics import F, everywhere
from ddp.kernels.compiled.target import HAS_AVX512, compiled, inlined

WIDTH = 16 if HAS_AVX512 else 8  # float32 in a register
LINE = 16  # float32 in a cache line

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
        for total in sums.values():
            builder.store(VECTOR(None), total)
        lefts = [
            opaque(builder, a.number(builder.add(i, i.type(row)), i.type(0))) for row in range(rows)
        ]
        with cgutils.for_range_slice(builder, start, stop, start.type(1)) as (k, _):
            right = [builder.load(b.vector(k, j, vector), align=4) for vector in range(vectors)]
            for row in range(rows):
                place = builder.gep(lefts[row], [builder.mul(k, a.strides[1])])
                left = builder.load(builder.bitcast(place, NUMBER.as_pointer()))
                left = everywhere(builder, left, WIDTH)
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


def fetching(locality: int) -> Any:
    """The function that fetches to a cache: the L1 for a locality of 3, the L2 for 2."""

    @intrinsic
    def fetch(typing: Any, a: Any, i: Any, j: Any) -> Any:
        """Have a[i, j], and the cache line it is in, at hand when it is read."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array, i, j = arguments
            place = Matrix(context, builder, signature.args[0], array).number(i, j)
            prefetch(builder, place, locality)
            return context.get_dummy_value()

        return types.void(a, types.intp, types.intp), generate

    return fetch


@intrinsic
def move(typing: Any, x: Any, i: Any, j: Any, out: Any) -> Any:
    """out[i, j:] = x[i, j:], a vector of both; their rows are dense."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, i, j, target = arguments
        source = Matrix(context, builder, signature.args[0], array).vector(i, j, 0)
        place = Matrix(context, builder, signature.args[3], target).vector(i, j, 0)
        builder.store(builder.load(source, align=4), place, align=4)
        return context.get_dummy_value()

    return types.void(x, types.intp, types.intp, out), generate


@intrinsic
def turn(typing: Any, x: Any, i: Any, j: Any, out: Any) -> Any:
    """out[i:, j:] = x[i:, j:], WIDTH rows by WIDTH columns, which are dense; out has dense rows.

    The square is transposed in registers: halves of it trade places, then quarters, and so on.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, i, j, target = arguments
        x, out = (
            Matrix(context, builder, kind, matrix)
            for kind, matrix in ((signature.args[0], array), (signature.args[3], target))
        )
        lines = []
        for n in range(WIDTH):
            place = x.number(i, builder.add(j, j.type(n)))
            lines.append(builder.load(builder.bitcast(place, VECTOR.as_pointer()), align=4))
        step = WIDTH // 2
        while step:
            for n in range(WIDTH):
                if not n & step:
                    pair = lines[n], lines[n + step]
                    for m, moved in (n, 0), (n + step, step):
                        lanes = [
                            lane + moved if not lane & step else WIDTH + lane - step + moved
                            for lane in range(WIDTH)
                        ]
                        lines[m] = builder.shuffle_vector(*pair, LANES(lanes))
            step //= 2
        for n, line in enumerate(lines):
            builder.store(line, out.vector(builder.add(i, i.type(n)), j, 0), align=4)
        return context.get_dummy_value()

    return types.void(x, types.intp, types.intp, out), generate


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


def prefetch(builder: Any, place: Any, locality: int) -> None:
    """Have a place in a cache that is read soon."""
    number = ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [BYTES, number, number, number])
    function = builder.module.declare_intrinsic("llvm.prefetch", [BYTES], kind)
    builder.call(function, [builder.bitcast(place, BYTES), number(0), number(locality), number(1)])


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


fetch_to_l1, fetch_to_l2 = fetching(3), fetching(2)


@inlined
def fetch_rows(x: Any, first: Any, stop: Any) -> None:
    """Have these rows of a matrix, which are dense, in the L2 cache."""
    for i in range(first, min(stop, x.shape[0])):
        for j in range(0, x.shape[1], LINE):
            fetch_to_l2(x, i, j)


@compiled
def copy(x: Any, out: Any) -> Any:
    """x into the beginning of `out`, whose rows are dense."""
    rows, columns = x.shape
    whole_rows, whole_columns = rows - rows % WIDTH, columns - columns % WIDTH
    if x.strides[1] == 4:
        whole_rows = rows
        for i in range(rows):
            for j in range(0, whole_columns, WIDTH):
                move(x, i, j, out)
    elif x.strides[0] == 4:
        for i in range(0, whole_rows, WIDTH):
            for j in range(0, whole_columns, WIDTH):
                turn(x, i, j, out)
    else:
        whole_rows = 0
    for i in range(rows):
        for j in range(whole_columns if i < whole_rows else 0, columns):
            out[i, j] = x[i, j]
