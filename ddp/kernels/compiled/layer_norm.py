"""Normalisation of rows; reference: ddp.autograd.ops.layer_norm."""

from __future__ import annotations

from typing import Any

import numpy as np

from ddp.kernels.compiled.mathematics import F
from ddp.kernels.compiled.target import compiled

SUM_ROWS = 256  # a plain sum in float32 of so many numbers is good; sums of more are sums of sums


@compiled
def forward(
    x: Any, weight: Any, bias: Any, eps: Any, normal: Any, inverse_std: Any, y: Any
) -> None:
    rows, length = x.shape
    for i in range(rows):
        total = F(0)
        for j in range(length):
            total += x[i, j]
        mean = total / F(length)
        squares = F(0)
        for j in range(length):
            centred = x[i, j] - mean
            normal[i, j] = centred
            squares += centred * centred
        s = F(1) / np.sqrt(squares / F(length) + F(eps))
        inverse_std[i, 0] = s
        for j in range(length):
            n = normal[i, j] * s
            normal[i, j] = n
            if weight is not None:
                n *= weight[j]
            if bias is not None:
                n += bias[j]
            y[i, j] = n


@compiled
def backward(
    dy: Any, normal: Any, inverse_std: Any, weight: Any, dx: Any, dw: Any, db: Any
) -> None:
    rows, length = dy.shape
    dw[:] = F(0)
    db[:] = F(0)
    dw_part, db_part = np.empty_like(dw), np.empty_like(db)
    for start in range(0, rows, SUM_ROWS):
        dw_part[:] = F(0)
        db_part[:] = F(0)
        for i in range(start, min(start + SUM_ROWS, rows)):
            total, dot = F(0), F(0)
            for j in range(length):
                g = dy[i, j]
                product = g * normal[i, j]
                dw_part[j] += product
                db_part[j] += g
                if weight is not None:
                    g *= weight[j]
                    product *= weight[j]
                total += g
                dot += product
                if dx is not None:
                    dx[i, j] = g
            if dx is not None:
                mean, share = total / F(length), dot / F(length)
                for j in range(length):
                    dx[i, j] = (dx[i, j] - mean - normal[i, j] * share) * inverse_std[i, 0]
        for j in range(length):
            dw[j] += dw_part[j]
            db[j] += db_part[j]
