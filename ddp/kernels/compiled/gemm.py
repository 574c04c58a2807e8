"""Products of large matrices; reference: ddp.autograd.ops.gemm.

Some columns of b, to a certain depth, are copied to a panel, which stays in the L1 cache while all
rows of a block of a are multiplied by it, tile by tile; that block stays in the L2 cache. What is
multiplied next is fetched meanwhile: in a training step the matrices are mostly not in the cache.
On processors with AVX-512 this is faster than OpenBLAS, by a quarter for a network of 128 features.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ddp.kernels.compiled.mathematics import F
from ddp.kernels.compiled.target import HAS_AVX512, compiled, inlined
from ddp.kernels.compiled.tiles import (
    LINE,
    WIDTH,
    aligned,
    copy,
    fetch_rows,
    fetch_to_l1,
    repeated_row,
    tile_product,
)

ROWS, FEW_ROWS = 6, 2
VECTORS = 4 if HAS_AVX512 else 2
COLUMNS = VECTORS * WIDTH
DEPTH = 128  # a panel of that depth takes 32 KiB
MANY_ROWS, MANY_COLUMNS = 516, 512  # a block of sums takes 1 MiB, those rows 258 KiB
WORTH_IT = 256  # columns of b, to gather those of a

multiply_tile = tile_product(ROWS, VECTORS)
multiply_low_tile = tile_product(FEW_ROWS, VECTORS)
multiply_narrow_tile = tile_product(ROWS, 1)


@compiled
def gemm(a: Any, b: Any, bias: Any, out: Any) -> None:
    rows, depth = a.shape
    columns = b.shape[1]
    start = repeated_row(np.zeros(columns, F) if bias is None else bias, MANY_ROWS)
    gathers = a.strides[1] != 4 and columns >= WORTH_IT  # as they might share few sets of the cache
    gathered = aligned(DEPTH if gathers else 0, MANY_ROWS + LINE)
    for i in range(0, rows, MANY_ROWS):
        for j in range(0, columns, MANY_COLUMNS):
            block = out[i : i + MANY_ROWS, j : j + MANY_COLUMNS]
            for k in range(0, max(depth, 1), DEPTH):
                left = a[i : i + MANY_ROWS, k : k + DEPTH]
                after = a[i : i + MANY_ROWS, k + DEPTH : k + 2 * DEPTH]
                right = b[k : k + DEPTH, j : j + MANY_COLUMNS]
                base = start[:, j:] if k == 0 else as_strided(block, block.shape, block.strides)
                if gathers:
                    copy(left.T, gathered)
                    left, after = gathered[: left.shape[1], : left.shape[0]].T, after[:, :0]
                multiply_block(left, right, base, block, after)


@compiled
def multiply_block(a: Any, b: Any, base: Any, out: Any, after: Any) -> None:
    """out = base + a @ b for a of MANY_ROWS rows and a depth of DEPTH at most.

    `after` is what stands in the place of a next.
    """
    rows, depth = a.shape
    columns = b.shape[1]
    panel, edge, edge_rows = aligned(DEPTH, COLUMNS), aligned(ROWS, COLUMNS), aligned(ROWS, DEPTH)
    edge_rows[:] = F(0)  # what is not written may be denormal, and slow to multiply
    tiles = max(rows // ROWS, 1)
    for j in range(0, columns, COLUMNS):
        width = min(COLUMNS, columns - j)
        if width < COLUMNS:
            panel[:] = F(0)
        copy(b[:, j : j + width], panel)
        i = 0
        while width == COLUMNS and i <= rows - ROWS:
            tile = i // ROWS
            if j == 0:
                fetch_tile(a, i + ROWS)
                if after.strides[1] != 4:
                    fetch_part(after.T, tile, tiles)
            fetch_part(b[:, j + COLUMNS : j + 2 * COLUMNS], tile, tiles)
            multiply_tile(a, i, panel, 0, 0, depth, base, out, i, j)
            i += ROWS
        while width == COLUMNS and i <= rows - FEW_ROWS:
            multiply_low_tile(a, i, panel, 0, 0, depth, base, out, i, j)
            i += FEW_ROWS
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
def fetch_tile(a: Any, first: Any) -> None:
    """Have the rows of the next tile in the L1 cache, if they are dense."""
    if a.strides[1] == 4:
        for i in range(first, min(first + ROWS, a.shape[0])):
            for k in range(0, a.shape[1], LINE):
                fetch_to_l1(a, i, k)


@inlined
def fetch_part(x: Any, part: Any, parts: Any) -> None:
    """Have one of so many parts of a matrix in the L2 cache."""
    if x.size > 0:
        if x.strides[1] == 4:
            fetch_rows(x, part * x.shape[0] // parts, (part + 1) * x.shape[0] // parts)
        else:
            fetch_rows(x.T, part * x.shape[1] // parts, (part + 1) * x.shape[1] // parts)
