"""Adam and AdamW; reference: ddp.optim.adam."""

from __future__ import annotations

from typing import Any

import numpy as np

from ddp.kernels.compiled.mathematics import F
from ddp.kernels.compiled.target import exact


@exact
def move(
    p: Any,
    g: Any,
    m: Any,
    v: Any,
    largest: Any,
    work: Any,
    factor: Any,
    weight_decay: Any,
    decoupled: Any,
    maximize: Any,
    rate: Any,
    beta1: Any,
    beta2: Any,
    correction: Any,
    eps: Any,
) -> None:
    p, g, m, v = p.reshape(-1), g.reshape(-1), m.reshape(-1), v.reshape(-1)
    top = v if largest is None else largest.reshape(-1)
    factor, rate, correction, eps = F(factor), F(rate), F(correction), F(eps)
    added = F(0.0 if decoupled else weight_decay)
    left = F(1.0 - weight_decay if decoupled else 1.0)
    is_near, near, far = 1.0 - beta1 < 0.5, F(1.0 - beta1), F(1.0 - (1.0 - beta1))
    old, new = F(beta2), F(1.0 - beta2)
    for i in range(p.size):
        x = p[i] * left
        d = g[i] * factor
        d = -d if maximize else d
        d = x * added + d if added != 0 else d
        apart = d - m[i]
        m[i] = m[i] + apart * near if is_near else d - apart * far
        v[i] = v[i] * old + d * new * d
        if largest is not None:
            top[i] = v[i] if v[i] > top[i] or v[i] != v[i] else top[i]
        p[i] = x - m[i] / (np.sqrt(top[i]) / correction + eps) * rate
