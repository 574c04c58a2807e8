"""The update formulas, in place on arrays.

Rules: element-wise only, so a parameter may be cut anywhere without changing a bit; no allocation
(`s` and `t` are scratch of the same shape); Python floats as scalars, so float32 stays float32. The
order of operations is that of PyTorch's single-tensor implementations, `p` the parameter and `g`
its gradient, which is left as it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def decayed(p: Array, g: Array, s: Array, *, weight_decay: float, maximize: bool) -> Array:
    """(-g if maximize else g) + weight_decay * p: in `s`, or `g` itself when nothing is to do."""
    if weight_decay == 0:
        return np.negative(g, out=s) if maximize else g
    np.multiply(p, weight_decay, out=s)
    return np.subtract(s, g, out=s) if maximize else np.add(s, g, out=s)


def sgd(
    p: Array,
    g: Array,
    momentum_buffer: Array | None,
    s: Array,
    t: Array,
    *,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
    first: bool,
) -> None:
    """p -= lr * d, where d is the decayed gradient, or its momentum.

    b = momentum * b + (1 - dampening) * d, on the first step b = d (undamped, as in PyTorch);
    Nesterov's d = d + momentum * b.
    """
    d = decayed(p, g, s, weight_decay=weight_decay, maximize=maximize)
    if momentum_buffer is not None:
        b = momentum_buffer
        if first:
            np.copyto(b, d)
        else:
            b *= momentum
            b += d if dampening == 0 else np.multiply(d, 1 - dampening, out=t)
        d = np.add(d, np.multiply(b, momentum, out=t), out=t) if nesterov else b
    p -= np.multiply(d, lr, out=t)


def move_towards(average: Array, value: Array, weight: float, t: Array) -> None:
    """average += weight * (value - average), from the nearer end, so that weight 1 is exact."""
    np.subtract(value, average, out=t)
    if weight < 0.5:
        t *= weight
        average += t
    else:
        t *= 1 - weight
        np.subtract(value, t, out=average)


def add_square(average: Array, value: Array, weight: float, t: Array) -> None:
    """average = weight * average + (1 - weight) * value²."""
    np.multiply(value, 1 - weight, out=t)
    t *= value
    average *= weight
    average += t


def adam(
    p: Array,
    g: Array,
    exp_avg: Array,
    exp_avg_sq: Array,
    max_exp_avg_sq: Array | None,
    s: Array,
    t: Array,
    *,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    decoupled_weight_decay: bool,
    maximize: bool,
) -> None:
    """Kingma and Ba, arXiv:1412.6980; decoupled decay: Loshchilov and Hutter, arXiv:1711.05101.

    m += (1 - beta1) * (g - m);  v = beta2 * v + (1 - beta2) * g²
    p -= lr / (1 - beta1^step) * m / (sqrt(v) / sqrt(1 - beta2^step) + eps)
    `step` counts from 1. With amsgrad v is the largest (uncorrected) v so far.
    """
    beta1, beta2 = betas
    if decoupled_weight_decay:
        p *= 1 - lr * weight_decay
        weight_decay = 0.0
    g = decayed(p, g, s, weight_decay=weight_decay, maximize=maximize)
    move_towards(exp_avg, g, 1 - beta1, t)
    add_square(exp_avg_sq, g, beta2, t)
    v = exp_avg_sq
    if max_exp_avg_sq is not None:
        v = np.maximum(max_exp_avg_sq, v, out=max_exp_avg_sq)
    np.sqrt(v, out=t)
    t /= (1 - beta2**step) ** 0.5
    t += eps
    np.divide(exp_avg, t, out=t)
    t *= lr / (1 - beta1**step)
    p -= t
