"""SGD; reference: ddp.optim.sgd."""

from __future__ import annotations

from typing import Any

from ddp.kernels.compiled.mathematics import F
from ddp.kernels.compiled.target import exact


@exact
def move(
    p: Any,
    g: Any,
    b: Any,
    work: Any,
    factor: Any,
    weight_decay: Any,
    maximize: Any,
    lr: Any,
    momentum: Any,
    dampening: Any,
    nesterov: Any,
    is_first: Any,
) -> None:
    p, g = p.reshape(-1), g.reshape(-1)
    b = p if b is None else b.reshape(-1)
    momentum, kept_of_g = F(momentum), F(1.0 - dampening)
    lr, factor, weight_decay = F(lr), F(factor), F(weight_decay)
    for i in range(p.size):
        d = g[i] * factor
        d = -d if maximize else d
        d = p[i] * weight_decay + d if weight_decay != 0 else d
        if momentum != 0:
            b[i] = d if is_first else b[i] * momentum + d * kept_of_g
            d = d + b[i] * momentum if nesterov else b[i]
        p[i] -= d * lr
