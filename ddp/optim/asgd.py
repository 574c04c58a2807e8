"""Averaged SGD, and Rprop."""

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
    Numbers,
    State,
    Values,
    Work,
    zero_dimensional,
)
from ddp.optim.optimizer import ParamGroup
from ddp.optim.pieces import Array


class ASGD(ElementwiseOptimizer):
    """`torch.optim.ASGD`: Polyak and Juditsky (1992).

    State: `step`, `eta` (this step's rate) and `mu` (the average's weight), all 0-d float32, and
    `ax`, the averaged parameter.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_at_least_zero(lr=lr, weight_decay=weight_decay)
        check_hints(capturable=capturable, differentiable=differentiable)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _kept(self, group: ParamGroup) -> Names:
        return ("ax",)

    def _first_state(self, param: Tensor, group: ParamGroup) -> State:
        return {
            "step": zero_dimensional(0.0),
            "eta": zero_dimensional(group["lr"]),
            "mu": zero_dimensional(1.0),
            "ax": Tensor(np.zeros_like(param.array)),
        }

    def _numbers(self, state: State, group: ParamGroup) -> Numbers:
        """This step's rate and weight, while the state already gets the next step's."""
        numbers = {"eta": float(state["eta"].array), "mu": float(state["mu"].array)}
        step, lr = float(state["step"].array), group["lr"]
        state["eta"].array[...] = lr / (1 + group["lambd"] * lr * step) ** group["alpha"]
        state["mu"].array[...] = 1 / max(1, step - group["t0"])
        return numbers

    def _move(self, p: Array, g: Array, kept: Kept, work: Work, now: Values) -> None:
        """p = (1 - lambd * eta) * p - eta * g;  ax += mu * (p - ax)"""
        eta, mu, ax, t = now["eta"], now["mu"], kept["ax"], work[0]
        p *= 1 - now["lambd"] * eta
        p -= np.multiply(g, eta, out=t)
        if mu == 1:
            np.copyto(ax, p)
        else:
            np.subtract(p, ax, out=t)
            t *= mu
            ax += t


class Rprop(ElementwiseOptimizer):
    """`torch.optim.Rprop`: Riedmiller and Braun (1993).

    State: `step`, `prev` (the gradient before this), `step_size`.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_at_least_zero(lr=lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        check_hints(capturable=capturable, differentiable=differentiable)
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _kept(self, group: ParamGroup) -> Names:
        return ("prev", "step_size")

    def _first_state(self, param: Tensor, group: ParamGroup) -> State:
        state = super()._first_state(param, group)
        state["step_size"].array.fill(group["lr"])
        return state

    def _move(self, p: Array, g: Array, kept: Kept, work: Work, now: Values) -> None:
        """p -= sign(g) * step_size, which grows while g keeps its sign and shrinks when it turns.

        Where it turned, the element rests for one step and its gradient is forgotten.
        """
        slower, faster = now["etas"]
        prev, step_size = kept["prev"], kept["step_size"]
        product, t = work
        np.multiply(g, prev, out=product)
        turned = product < 0
        step_size[turned] *= slower
        step_size[product > 0] *= faster
        np.clip(step_size, *now["step_sizes"], out=step_size)
        np.copyto(prev, g)
        prev[turned] = 0
        np.sign(prev, out=t)
        t *= step_size
        p -= t
