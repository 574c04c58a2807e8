"""Products of large matrices; reference: ddp.autograd.ops.gemm.

Some columns of b, to a certain depth, are copied to a panel, which stays in the L1 cache while all
rows of a block of a are multiplied by it, tile by tile; that block stays in the L2 cache. On
processors with AVX-512 this is faster than OpenBLAS, by a fifth for a network of 128 features.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ddp.kernels.compiled.mathematics import F
from ddp.kernels.compiled.target import HAS_AVX512, compiled, inlined
from ddp.kernels.compiled.tiles import WIDTH, aligned, copy, fetch, repeated_row, tile_product

ROWS = 6
VECTORS = 4 if HAS_AVX512 else 2
COLUMNS = VECTORS * WIDTH
DEPTH = 128  # a panel of that depth takes 32 KiB
MANY_ROWS, MANY_COLUMNS = 516, 512  # a block of sums takes 1 MiB, those rows 258 KiB
WORTH_IT = 256  # columns of b, to copy a's rows side by side

multiply_tile = tile_product(ROWS, VECTORS)
multiply_narrow_tile = tile_product(ROWS, 1)


@compiled
def gemm(a: Any, b: Any, bias: Any, out: Any) -> None:
    rows, depth = a.shape
    columns = b.shape[1]
    start = repeated_row(np.zeros(columns, F) if bias is None else bias, MANY_ROWS)
    rearranges = columns >= WORTH_IT
    rearranged = aligned(min(MANY_ROWS, rows) if rearranges else 0, DEPTH)
    for i in range(0, rows, MANY_ROWS):
        for j in range(0, columns, MANY_COLUMNS):
            block = out[i : i + MANY_ROWS, j : j + MANY_COLUMNS]
            for k in range(0, max(depth, 1), DEPTH):
                left, right = (
                    a[i : i + MANY_ROWS, k : k + DEPTH],
                    b[k : k + DEPTH, j : j + MANY_COLUMNS],
                )
                base = start[:, j:] if k == 0 else as_strided(block, block.shape, block.strides)
                if rearranges:
                    copy(left, rearranged)
                    multiply_block(rearranged[: left.shape[0], : left.shape[1]], right, base, block)
                else:
                    multiply_block(left, right, base, block)


@compiled
def multiply_block(a: Any, b: Any, base: Any, out: Any) -> None:
    """out = base + a @ b for a of MANY_ROWS rows and a depth of DEPTH at most."""
    rows, depth = a.shape
    columns = b.shape[1]
    panel, edge, edge_rows = aligned(DEPTH, COLUMNS), aligned(ROWS, COLUMNS), aligned(ROWS, DEPTH)
    for j in range(0, columns, COLUMNS):
        width = min(COLUMNS, columns - j)
        copy(b[:, j : j + width], panel)
        i = 0
        while width == COLUMNS and i <= rows - ROWS:
            if j == 0:
                fetch_rows(a, i + ROWS)
            multiply_tile(a, i, panel, 0, 0, depth, base, out, i, j)
            i += ROWS
        while i < rows:  # what does not fill a tile has one of its own
            height = min(ROWS, rows - i)
            copy(a[i : i + height], edge_rows)
            copy(base[i : i + height, j : j + width], edge)
            if width <= WIDTH:
                multiply_narrow_tile(edge_rows, 0, panel, 0, 0, depth, edge, edge, 0, 0)
            else:
                multiply_tile(edge_rows, 0, panel, 0, 0, depth, edge, edge, 0, 0)
            copy(edge[:height, :width], out[i : i + height, j : j + width])
            i += ROWS


@inlined
def fetch_rows(a: Any, first: Any) -> None:
    """Have the rows of the next tile in the cache, if they are dense."""
    if a.strides[1] == 4:
        for i in range(first, min(first + ROWS, a.shape[0])):
            for k in range(0, a.shape[1], 16):
                fetch(a, i, k)
