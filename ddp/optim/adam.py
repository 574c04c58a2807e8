"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ddp.kernels import kernel
from ddp.optim.checks import check_at_least_zero, check_betas, check_hints, check_tensors
from ddp.optim.elementwise import ElementwiseOptimizer, Names, Values, Work
from ddp.optim.optimizer import ParamGroup
from ddp.optim.pieces import Array
from ddp.optim.updates import add_square, move_towards, wanted

AVERAGES = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")


@kernel
def move(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    largest: Array | None,
    work: Work,
    factor: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
    rate: float,
    beta1: float,
    beta2: float,
    correction: float,
    eps: float,
) -> None:
    """m += (1 - beta1) * (g - m);  v = beta2 * v + (1 - beta2) * g²

    p -= rate * m / (sqrt(v) / correction + eps), with `rate` lr / (1 - beta1^step) and
    `correction` sqrt(1 - beta2^step); `step` counts from 1. With amsgrad v is there the `largest`
    (uncorrected) one so far.
    """
    g = wanted(p, g, work, factor, weight_decay, decoupled, maximize)
    t = work[-1]
    move_towards(m, g, 1 - beta1, t)
    add_square(v, g, beta2, t)
    if largest is not None:
        v = np.maximum(largest, v, out=largest)
    np.sqrt(v, out=t)
    t /= correction
    t += eps
    np.divide(m, t, out=t)
    t *= rate
    p -= t


class Adam(ElementwiseOptimizer):
    """`torch.optim.Adam`: Kingma and Ba, arXiv:1412.6980.

    State: `step` (0-d float32, as in PyTorch), `exp_avg`, `exp_avg_sq`, with amsgrad also
    `max_exp_avg_sq`. `foreach` and `fused` are PyTorch's hints for speed; they are accepted and
    change nothing here.
    """

    _kernel = staticmethod(move)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        check_at_least_zero(lr=lr, eps=eps, weight_decay=weight_decay)
        check_betas(betas)
        check_tensors(lr, betas, foreach)
        check_hints(
            capturable=capturable, differentiable=differentiable, foreach=foreach, fused=fused
        )
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _kept(self, group: ParamGroup) -> Names:
        return AVERAGES if group["amsgrad"] else AVERAGES[:2]

    def _arguments(self, names: Names, work: Work | None, now: Values) -> tuple[Any, ...]:
        (beta1, beta2), step = now["betas"], now["step"]
        decoupled = now["decoupled_weight_decay"]
        return (
            *(() if len(names) == len(AVERAGES) else (None,)),
            work,
            self.gradient_factor,
            now["lr"] * now["weight_decay"] if decoupled else now["weight_decay"],
            decoupled,
            now["maximize"],
            now["lr"] / (1 - beta1**step),
            beta1,
            beta2,
            (1 - beta2**step) ** 0.5,
            now["eps"],
        )


class AdamW(Adam):
    """`torch.optim.AdamW`: Adam whose weight decay acts on the parameter (arXiv:1711.05101)."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )
