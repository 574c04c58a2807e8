"""Attention, head by head; reference: ddp.autograd.ops.attention.

What a head needs is copied to scratch memory, which is padded to whole tiles, in the order in which
it is multiplied. Of a causal head's future nothing is computed but to the end of a tile.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ddp.kernels.compiled.mathematics import F, exp, larger
from ddp.kernels.compiled.target import compiled, inlined
from ddp.kernels.compiled.tiles import WIDTH, aligned, copy, repeated_row, tile_product

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
                        p = p_rows[row - i]
                        if added is not None:
                            for j in range(limit):
                                p[j] += added[n, h, row, j]
                        whole = (seen + COLUMNS - 1) // COLUMNS * COLUMNS
                        p[limit:whole] = F(-np.inf)
                        share = exponentials(p, whole)
                        start = at + (row - first) * count
                        for j in range(limit):
                            weights[start + j] = p[j] * share
                        for j in range(limit, count):
                            weights[start + j] = F(0)
                        if mask is not None:
                            for j in range(limit):
                                p[j] = p[j] * F(mask_factor) if mask[n, h, row, j] else F(0)
                        shares[row - i] = share
                    for j in range(0, width, COLUMNS):
                        multiply_tile(p_rows, 0, v_rows, j, 0, seen, nothing, y_rows, 0, j)
                    for row in range(i, min(i + ROWS, stop)):
                        for j in range(width):
                            y_rows[row - i, j] *= shares[row - i]
                    copy_back(y_rows, y[n, h, i : min(i + ROWS, stop)])


@inlined
def exponentials(p: Any, count: Any) -> Any:
    """exp of the numbers less the largest, in place; what to multiply them by for a sum of 1.

    Zeros where all are -inf.
    """
    highest = F(-np.inf)
    for j in range(count):
        highest = larger(highest, p[j])
    if highest == F(-np.inf):
        highest = F(0)
    total = F(0)
    for j in range(count):
        e = exp(p[j] - highest)
        p[j] = e
        total += e
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
                    seen = min(i + ROWS, count) if is_causal else count
                    for j in range(0, seen, COLUMNS):
                        multiply_tile(
                            dy_rows, i, v_columns, j, 0, width, nothing, ds_rows, i - first, j
                        )
                    for row in range(i, i + ROWS):
                        limit = min(row + 1, count) if is_causal else count
                        if row >= stop:
                            limit = 0
                        d, ds = d_rows[row - first], ds_rows[row - first]
                        p = weights[at + (row - first) * count : at + (row - first) * count + limit]
                        total = F(0)
                        for j in range(width):
                            total += dy_rows[row, j] * y_rows[row, j]
                        for j in range(limit):
                            weight, slope = p[j], ds[j]
                            kept = weight
                            if mask is not None:
                                factor = F(mask_factor) if mask[n, h, row, j] else F(0)
                                kept *= factor
                                slope *= factor
                            d[j] = kept
                            ds[j] = weight * (slope - total)
                        for j in range(limit, (count + COLUMNS - 1) // COLUMNS * COLUMNS):
                            d[j] = F(0)
                            ds[j] = F(0)
                        if d_added is not None:
                            for j in range(limit):
                                d_added[n, h, row, j] = ds[j]
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
    for i in range(x.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] *= F(factor)


@compiled
def copy_back(x: Any, out: Any) -> Any:
    """The beginning of x into the smaller `out`."""
    copy(x[: out.shape[0], : out.shape[1]], out)
