"""Adagrad and Adadelta."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ddp.autograd.tensor import Tensor
from ddp.optim.checks import check_at_least_zero, check_hints
from ddp.optim.elementwise import (
    ElementwiseOptimizer,
    Kept,
    Names,
    State,
    Values,
    Work,
    zero_dimensional,
)
from ddp.optim.optimizer import ParamGroup
from ddp.optim.pieces import Array
from ddp.optim.updates import add_square


class Adagrad(ElementwiseOptimizer):
    """`torch.optim.Adagrad`: Duchi, Hazan and Singer, JMLR 12 (2011).

    State: `step` and `sum`, of every parameter and from the start, as in PyTorch.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_at_least_zero(
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
        )
        check_hints(differentiable=differentiable, foreach=foreach, fused=fused)
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for param in group["params"]:
                self.state[param].update(self._first_state(param, self.defaults))

    def _kept(self, group: ParamGroup) -> Names:
        return ("sum",)

    def _first_state(self, param: Tensor, group: ParamGroup) -> State:
        start = self.defaults["initial_accumulator_value"]
        return {"step": zero_dimensional(0.0), "sum": Tensor(np.full_like(param.array, start))}

    def _move(self, p: Array, g: Array, kept: Kept, work: Work, now: Values) -> None:
        """v += g²;  p -= lr / (1 + (step - 1) * lr_decay) * g / (sqrt(v) + eps)"""
        lr = now["lr"] / (1 + (now["step"] - 1) * now["lr_decay"])
        root, t = work
        kept["sum"] += np.multiply(g, g, out=t)
        np.sqrt(kept["sum"], out=root)
        root += now["eps"]
        np.multiply(g, lr, out=t)
        p -= np.divide(t, root, out=t)


class Adadelta(ElementwiseOptimizer):
    """`torch.optim.Adadelta`: Zeiler, arXiv:1212.5701.

    State: `step`, `square_avg`, `acc_delta`.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_at_least_zero(lr=lr, eps=eps, weight_decay=weight_decay)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        check_hints(capturable=capturable, differentiable=differentiable)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _kept(self, group: ParamGroup) -> Names:
        return ("square_avg", "acc_delta")

    def _move(self, p: Array, g: Array, kept: Kept, work: Work, now: Values) -> None:
        """v = rho * v + (1 - rho) * g²;  d = sqrt(u + eps) / sqrt(v + eps) * g;  p -= lr * d

        u = rho * u + (1 - rho) * d², after d has been taken.
        """
        rho, eps = now["rho"], now["eps"]
        v, u = kept["square_avg"], kept["acc_delta"]
        d, t = work
        add_square(v, g, rho, t)
        np.sqrt(np.add(u, eps, out=d), out=d)
        d /= np.sqrt(np.add(v, eps, out=t), out=t)
        d *= g
        add_square(u, d, rho, t)
        p -= np.multiply(d, now["lr"], out=t)
