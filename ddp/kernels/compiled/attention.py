"""Attention, head by head; reference: ddp.autograd.ops.attention.

What a head needs is copied to scratch memory, which is padded to whole tiles, in the order in which
it is multiplied. Of a causal head's future nothing is computed but to the end of a tile.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ddp.kernels.compiled.mathematics import F, exp_below_zero
from ddp.kernels.compiled.target import compiled, inlined
from ddp.kernels.compiled.tiles import (
    WIDTH,
    aligned,
    copy,
    fetch_rows,
    repeated_row,
    tile_product,
)
from ddp.kernels.compiled.vectors import WIDTH as LANES
from ddp.kernels.compiled.vectors import (
    as_bytes,
    first_lanes,
    highest_of,
    larger,
    load,
    load_some,
    splat,
    store,
    store_some,
    sum_of,
)
from ddp.kernels.compiled.vectors import zeros as no_vector

ROWS = WIDTH // 2
COLUMNS = 2 * WIDTH

multiply_tile = tile_product(ROWS, 2)


@compiled
def forward(
    q: Any,
    k: Any,
    v: Any,
    added: Any,
    mask: Any,
    mask_factor: Any,
    scale: Any,
    is_causal: Any,
    tiles: Any,
    weights: Any,
    y: Any,
) -> None:
    stacks, heads, queries, features = q.shape
    keys, width = v.shape[2:]
    q_rows, k_columns, v_rows = zeros(queries, features), zeros(features, keys), zeros(keys, width)
    p_rows, y_rows, shares = zeros(ROWS, keys), zeros(ROWS, width), np.empty(ROWS, F)
    p_line, y_line = p_rows.reshape(-1), y_rows.reshape(-1)
    kept = as_bytes(mask)
    nothing = repeated_row(np.zeros(max(keys, width) + COLUMNS, F), max(keys, queries) + ROWS)
    for n in range(stacks):
        for h in range(heads):
            copy_scaled(q[n, h], scale, q_rows)
            copy(k[n, h].T, k_columns)
            copy(v[n, h], v_rows)
            end = 0
            for t in range(len(tiles)):
                first, stop, count = tiles[t]
                size = (stop - first) * count
                at = end + (n * heads + h) * size
                end += stacks * heads * size
                for i in range(first, stop, ROWS):
                    seen = min(i + ROWS, count) if is_causal else count
                    for j in range(0, seen, COLUMNS):
                        multiply_tile(q_rows, i, k_columns, j, 0, features, nothing, p_rows, 0, j)
                    for row in range(i, min(i + ROWS, stop)):
                        limit = min(row + 1, count) if is_causal else count
                        if added is not None:
                            for j in range(limit):
                                p_rows[row - i, j] += added[n, h, row, j]
                        p = (row - i) * p_rows.shape[1]
                        share = exponentials(p_line, p, limit, seen)
                        shares[row - i] = share
                        start = at + (row - first) * count
                        for j in range(0, count, LANES):
                            some = load(p_line, p + j) if j < seen else no_vector()
                            store_some(weights, start + j, some * splat(share), count - j)
                        if mask is not None:
                            mask_row = ((n * heads + h) * queries + row) * keys
                            for j in range(0, limit, LANES):
                                factor = load_some(kept, mask_row + j, limit - j)
                                some = load(p_line, p + j) * factor * splat(F(mask_factor))
                                store(p_line, p + j, some)
                    for j in range(0, width, COLUMNS):
                        multiply_tile(p_rows, 0, v_rows, j, 0, seen, nothing, y_rows, 0, j)
                    for row in range(i, min(i + ROWS, stop)):
                        y_row = (row - i) * y_rows.shape[1]
                        multiply_line(y_line, y_row, y_row + y_rows.shape[1], shares[row - i])
                    copy_back(y_rows, y[n, h, i : min(i + ROWS, stop)])


@inlined
def exponentials(p: Any, start: Any, limit: Any, stop: Any) -> Any:
    """exp of the numbers less the largest, in place; what to multiply them by for a sum of 1.

    They begin at `start`. Zeros come after `limit` of them, and where all are -inf.
    """
    top = splat(F(-np.inf))
    for j in range(start, start + stop, LANES):
        some = first_lanes(load(p, j), start + limit - j, F(-np.inf))
        store(p, j, some)
        top = larger(top, some)
    highest = highest_of(top)
    if highest == F(-np.inf):
        highest = F(0)
    sums = no_vector()
    for j in range(start, start + stop, LANES):
        some = exp_below_zero(load(p, j) - splat(highest))
        store(p, j, some)
        sums = sums + some
    total = sum_of(sums)
    return F(1) / total if total != F(0) else F(0)


@compiled
def backward(
    dy: Any,
    q: Any,
    k: Any,
    v: Any,
    y: Any,
    mask: Any,
    mask_factor: Any,
    scale: Any,
    is_causal: Any,
    tiles: Any,
    weights: Any,
    dq: Any,
    dk: Any,
    dv: Any,
    d_added: Any,
) -> None:
    stacks, heads, queries, features = q.shape
    keys, width = v.shape[2:]
    most = 0
    for t in range(len(tiles)):
        most = max(most, tiles[t, 1] - tiles[t, 0])
    q_rows, k_rows, v_columns = zeros(queries, features), zeros(keys, features), zeros(width, keys)
    y_rows, dy_rows = zeros(queries, width), zeros(queries, width)
    nothing = repeated_row(np.zeros(max(keys, features) + COLUMNS, F), most + ROWS)
    d_rows, ds_rows = zeros(most, keys), zeros(most, keys)
    dq_rows, dk_rows, dv_rows = zeros(ROWS, features), zeros(keys, features), zeros(keys, width)
    dy_line, y_line, y_stride = dy_rows.reshape(-1), y_rows.reshape(-1), y_rows.shape[1]
    d_line, ds_line, stride = d_rows.reshape(-1), ds_rows.reshape(-1), d_rows.shape[1]
    kept = as_bytes(mask)
    for n in range(stacks):
        for h in range(heads):
            copy_scaled(q[n, h], scale, q_rows)
            copy_scaled(k[n, h], scale, k_rows)
            copy(v[n, h].T, v_columns)
            copy(y[n, h], y_rows)
            copy(dy[n, h], dy_rows)
            dk_rows[:] = F(0)
            dv_rows[:] = F(0)
            end = 0
            for t in range(len(tiles)):
                first, stop, count = tiles[t]
                size = (stop - first) * count
                at = end + (n * heads + h) * size
                end += stacks * heads * size
                for i in range(first, stop, ROWS):
                    for row in range(*its_share(h, i, heads, queries)):
                        fetch_heads(dq, n + 1, row)
                        fetch_heads(dk, n + 1, row)
                        fetch_heads(dv, n + 1, row)
                    seen = min(i + ROWS, count) if is_causal else count
                    for j in range(0, seen, COLUMNS):
                        multiply_tile(
                            dy_rows, i, v_columns, j, 0, width, nothing, ds_rows, i - first, j
                        )
                    for row in range(i, i + ROWS):
                        limit = min(row + 1, count) if is_causal else count
                        if row >= stop:
                            limit = 0
                        p, d = at + (row - first) * count, (row - first) * stride
                        total = splat(dot(dy_line, y_line, row * y_stride, (row + 1) * y_stride))
                        for j in range(0, seen, LANES):
                            weight = load_some(weights, p + j, limit - j)
                            share, slope = weight, load(ds_line, d + j)
                            if mask is not None:
                                place = ((n * heads + h) * queries + row) * keys + j
                                factor = load_some(kept, place, limit - j) * splat(F(mask_factor))
                                share, slope = weight * factor, slope * factor
                            store(d_line, d + j, share)
                            slope = first_lanes(weight * (slope - total), limit - j, F(0))
                            store(ds_line, d + j, slope)
                        for j in range((seen + LANES - 1) // LANES * LANES, stride, LANES):
                            store(d_line, d + j, no_vector())
                            store(ds_line, d + j, no_vector())
                        if d_added is not None:
                            for j in range(limit):
                                d_added[n, h, row, j] = ds_rows[row - first, j]
                    if dq is not None:
                        for j in range(0, features, COLUMNS):
                            multiply_tile(
                                ds_rows, i - first, k_rows, j, 0, seen, nothing, dq_rows, 0, j
                            )
                        copy_back(dq_rows, dq[n, h, i : min(i + ROWS, stop)])
                some_q, some_dy = q_rows[first:], dy_rows[first:]
                for i in range(0, count, ROWS):
                    since = max(i - first, 0) if is_causal else 0
                    for j in range(0, features, COLUMNS):
                        multiply_tile(
                            ds_rows.T, i, some_q, j, since, stop - first, dk_rows, dk_rows, i, j
                        )
                    for j in range(0, width, COLUMNS):
                        multiply_tile(
                            d_rows.T, i, some_dy, j, since, stop - first, dv_rows, dv_rows, i, j
                        )
            if dk is not None:
                copy_back(dk_rows, dk[n, h])
            if dv is not None:
                copy_back(dv_rows, dv[n, h])


@inlined
def its_share(h: Any, i: Any, heads: Any, queries: Any) -> Any:
    """The first and the last row + 1 of the next stack that are fetched with rows i of head h."""
    done = h * queries + i
    return done // heads, min(done + ROWS, (h + 1) * queries) // heads


@inlined
def fetch_heads(dx: Any, n: Any, row: Any) -> None:
    """Have a row of all heads in the cache, in the order of memory, before its pieces are written.

    Head by head, they would come to it one by one.
    """
    if dx is not None and n < dx.shape[0] and row < dx.shape[2]:
        fetch_rows(dx[n, :, row], 0, dx.shape[1])


@compiled
def zeros(rows: Any, columns: Any) -> Any:
    """A matrix for so many rows and columns, and to the end of the last tile either way."""
    whole_columns = (columns + COLUMNS - 1) // COLUMNS * COLUMNS
    matrix = aligned((rows + ROWS - 1) // ROWS * ROWS, whole_columns)
    matrix[:] = F(0)
    return matrix


@compiled
def copy_scaled(x: Any, factor: Any, out: Any) -> Any:
    """x · factor into the beginning of `out`."""
    copy(x, out)
    multiply_line(out.reshape(-1), 0, x.shape[0] * out.shape[1], F(factor))


@inlined
def multiply_line(line: Any, start: Any, stop: Any, factor: Any) -> None:
    """line[start:stop] *= factor"""
    for j in range(start, stop, LANES):
        store(line, j, load(line, j) * splat(factor))


@inlined
def dot(x: Any, y: Any, start: Any, stop: Any) -> Any:
    """The scalar product of x[start:stop] and y[start:stop]."""
    sums = no_vector()
    for j in range(start, stop, LANES):
        sums = sums + load(x, j) * load(y, j)
    return sum_of(sums)


@compiled
def copy_back(x: Any, out: Any) -> Any:
    """The beginning of x into the smaller `out`."""
    copy(x[: out.shape[0], : out.shape[1]], out)
