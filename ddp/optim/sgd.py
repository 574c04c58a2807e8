"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ddp.autograd.tensor import Tensor
from ddp.optim import updates
from ddp.optim.checks import check_at_least_zero, check_hints
from ddp.optim.optimizer import Optimizer, ParamGroup
from ddp.optim.pieces import pieces


class SGD(Optimizer):
    """`torch.optim.SGD`; the formula stands at `ddp.optim.updates.sgd`.

    State: `momentum_buffer`, when momentum is not 0. `foreach` and `fused` are PyTorch's hints
    for speed; they are accepted and change nothing here.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_at_least_zero(lr=lr, momentum=momentum, weight_decay=weight_decay)
        check_hints(differentiable=differentiable, foreach=foreach, fused=fused)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def _update(self, param: Tensor, group: ParamGroup) -> None:
        assert param.grad is not None
        arrays = [param.array, param.grad.array]
        first = False
        if group["momentum"] != 0:
            state = self.state[param]
            first = "momentum_buffer" not in state
            if first:
                state["momentum_buffer"] = Tensor(np.empty_like(param.array))
            arrays.append(state["momentum_buffer"].array)
        for p, g, *momentum_buffer in pieces(*arrays):
            updates.sgd(
                p,
                g,
                momentum_buffer[0] if momentum_buffer else None,
                *self._scratch.like(p),
                lr=group["lr"],
                momentum=group["momentum"],
                dampening=group["dampening"],
                weight_decay=group["weight_decay"],
                nesterov=group["nesterov"],
                maximize=group["maximize"],
                first=first,
            )
