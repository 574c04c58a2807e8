"""What the update formulas share, in place on arrays.

The formulas stand at the optimizers' `_move`. Rules: element-wise only, so a parameter may be cut
anywhere without changing a bit; no allocation (`s` and `t` are scratch of the same shape); Python
floats as scalars, so float32 stays float32. The order of operations is that of PyTorch's
single-tensor implementations, `p` the parameter and `g` its gradient, which is left as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def wanted(
    p: Array,
    g: Array,
    work: Sequence[Array],
    factor: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
) -> Array:
    """The gradient an update goes by: times `factor`, negated by `maximize`, with weight decay.

    Decoupled, the decay is no part of it: the parameter is multiplied with 1 - `weight_decay`.
    """
    r, s, *_ = work
    if factor != 1.0:
        g = np.multiply(g, g.dtype.type(factor), out=r)
    if weight_decay != 0 and decoupled:
        p *= 1 - weight_decay
        weight_decay = 0.0
    if weight_decay != 0 or maximize:
        g = decayed(p, g, s, weight_decay=weight_decay, maximize=maximize)
    return g


def decayed(p: Array, g: Array, s: Array, *, weight_decay: float, maximize: bool) -> Array:
    """(-g if maximize else g) + weight_decay * p: in `s`, or `g` itself when nothing is to do."""
    if weight_decay == 0:
        return np.negative(g, out=s) if maximize else g
    np.multiply(p, weight_decay, out=s)
    return np.subtract(s, g, out=s) if maximize else np.add(s, g, out=s)


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
