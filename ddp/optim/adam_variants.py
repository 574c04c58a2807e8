"""Relatives of Adam: Adamax, NAdam, RAdam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ddp.autograd.tensor import Tensor
from ddp.optim.checks import check_at_least_zero, check_betas, check_hints
from ddp.optim.elementwise import (
    ElementwiseOptimizer,
    Kept,
    Names,
    Numbers,
    State,
    Values,
    Work,
    zero_dimensional,
)
from ddp.optim.optimizer import ParamGroup
from ddp.optim.pieces import Array
from ddp.optim.updates import add_square, move_towards


class Adamax(ElementwiseOptimizer):
    """`torch.optim.Adamax`: Kingma and Ba, arXiv:1412.6980, section 7.1.

    State: `step`, `exp_avg`, `exp_inf`.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_at_least_zero(lr=lr, eps=eps, weight_decay=weight_decay)
        check_betas(betas)
        check_hints(capturable=capturable, differentiable=differentiable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _kept(self, group: ParamGroup) -> Names:
        return ("exp_avg", "exp_inf")

    def _move(self, p: Array, g: Array, kept: Kept, work: Work, now: Values) -> None:
        """m += (1 - beta1) * (g - m);  u = max(beta2 * u, |g| + eps)

        p -= lr / (1 - beta1^step) * m / u
        """
        beta1, beta2 = now["betas"]
        m, u, t = kept["exp_avg"], kept["exp_inf"], work[0]
        move_towards(m, g, 1 - beta1, t)
        u *= beta2
        np.abs(g, out=t)
        t += now["eps"]
        np.maximum(u, t, out=u)
        np.multiply(m, now["lr"] / (1 - beta1 ** now["step"]), out=t)
        p -= np.divide(t, u, out=t)


class NAdam(ElementwiseOptimizer):
    """`torch.optim.NAdam`: Dozat, "Incorporating Nesterov momentum into Adam" (2016).

    State: `step`, `mu_product` (0-d float32), `exp_avg`, `exp_avg_sq`.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_at_least_zero(
            lr=lr, eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay
        )
        check_betas(betas)
        check_hints(capturable=capturable, differentiable=differentiable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _kept(self, group: ParamGroup) -> Names:
        return ("exp_avg", "exp_avg_sq")

    def _first_state(self, param: Tensor, group: ParamGroup) -> State:
        state = super()._first_state(param, group)
        return {"step": state.pop("step"), "mu_product": zero_dimensional(1.0), **state}

    def _numbers(self, state: State, group: ParamGroup) -> Numbers:
        """Advances the product of all momenta so far, and returns this one and the next."""
        step, beta1 = float(state["step"].array), group["betas"][0]
        mu, next_mu = [
            beta1 * (1.0 - 0.5 * 0.96 ** (t * group["momentum_decay"])) for t in (step, step + 1)
        ]
        state["mu_product"].array *= mu
        product = float(state["mu_product"].array)
        return {"step": step, "mu": mu, "next_mu": next_mu, "product": product}

    def _move(self, p: Array, g: Array, kept: Kept, work: Work, now: Values) -> None:
        """m and v as Adam's;  d = sqrt(v / (1 - beta2^step)) + eps

        p -= lr * (1 - mu) / (1 - product) * g / d + lr * mu' / (1 - product * mu') * m / d, where
        mu = beta1 * (1 - 0.96^(step * momentum_decay) / 2), mu' the same for step + 1, and
        product that of all mu so far.
        """
        (beta1, beta2), lr = now["betas"], now["lr"]
        m, v = kept["exp_avg"], kept["exp_avg_sq"]
        d, t = work
        move_towards(m, g, 1 - beta1, t)
        add_square(v, g, beta2, t)
        np.sqrt(np.divide(v, 1 - beta2 ** now["step"], out=d), out=d)
        d += now["eps"]
        mu, next_mu, product = now["mu"], now["next_mu"], now["product"]
        np.multiply(g, lr * (1.0 - mu) / (1.0 - product), out=t)
        p -= np.divide(t, d, out=t)
        np.multiply(m, lr * next_mu / (1.0 - product * next_mu), out=t)
        p -= np.divide(t, d, out=t)


class RAdam(ElementwiseOptimizer):
    """`torch.optim.RAdam`: Liu and others, arXiv:1908.03265.

    State: `step`, `exp_avg`, `exp_avg_sq`.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_at_least_zero(lr=lr, eps=eps, weight_decay=weight_decay)
        check_betas(betas)
        check_hints(capturable=capturable, differentiable=differentiable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _kept(self, group: ParamGroup) -> Names:
        return ("exp_avg", "exp_avg_sq")

    def _move(self, p: Array, g: Array, kept: Kept, work: Work, now: Values) -> None:
        """m and v as Adam's;  p -= lr * m / (1 - beta1^step) * r

        r = rect * sqrt(1 - beta2^step) / (sqrt(v) + eps) where the variance can be told (from
        about the fifth step on), else 1.
        """
        (beta1, beta2), step = now["betas"], now["step"]
        m, v = kept["exp_avg"], kept["exp_avg_sq"]
        d, t = work
        move_towards(m, g, 1 - beta1, t)
        add_square(v, g, beta2, t)
        np.divide(m, 1 - beta1**step, out=d)
        d *= now["lr"]
        rect = rectification(beta2, step)
        if rect is not None:
            np.sqrt(v, out=t)
            t += now["eps"]
            d *= np.divide((1 - beta2**step) ** 0.5, t, out=t)
            d *= rect
        p -= d


def rectification(beta2: float, step: float) -> float | None:
    """RAdam's correction of the variance at `step`; None while there are too few samples."""
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * step * beta2**step / (1 - beta2**step)
    if length <= 5.0:
        return None
    so_far, in_the_end = (length - 4) * (length - 2), (longest - 4) * (longest - 2)
    return float((so_far * longest / (in_the_end * length)) ** 0.5)
