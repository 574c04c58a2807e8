"""RMSprop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ddp.optim.checks import check_at_least_zero, check_hints
from ddp.optim.elementwise import ElementwiseOptimizer, Kept, Names, Values, Work
from ddp.optim.optimizer import ParamGroup
from ddp.optim.pieces import Array
from ddp.optim.updates import add_square, move_towards


class RMSprop(ElementwiseOptimizer):
    """`torch.optim.RMSprop`: Tieleman and Hinton's lecture 6e; centered: arXiv:1308.0850.

    State: `step`, `square_avg`, with momentum `momentum_buffer`, if centered `grad_avg`.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_at_least_zero(
            lr=lr, eps=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha
        )
        check_hints(capturable=capturable, differentiable=differentiable)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _kept(self, group: ParamGroup) -> Names:
        momentum = ("momentum_buffer",) if group["momentum"] > 0 else ()
        return ("square_avg", *momentum, *(("grad_avg",) if group["centered"] else ()))

    def _move(self, p: Array, g: Array, kept: Kept, work: Work, now: Values) -> None:
        """v = alpha * v + (1 - alpha) * g²;  d = g / (sqrt(v) + eps);  p -= lr * d

        Centered, the root is of v - m², m += (1 - alpha) * (g - m). With momentum p -= lr * b,
        b = momentum * b + d.
        """
        alpha, lr, v = now["alpha"], now["lr"], kept["square_avg"]
        root, t = work
        add_square(v, g, alpha, t)
        if now["centered"]:
            m = kept["grad_avg"]
            move_towards(m, g, 1 - alpha, t)
            np.multiply(m, m, out=t)
            np.sqrt(np.subtract(v, t, out=root), out=root)
        else:
            np.sqrt(v, out=root)
        root += now["eps"]
        if now["momentum"] > 0:
            b = kept["momentum_buffer"]
            b *= now["momentum"]
            b += np.divide(g, root, out=t)
            p -= np.multiply(b, lr, out=t)
        else:
            np.multiply(g, lr, out=t)
            p -= np.divide(t, root, out=t)
