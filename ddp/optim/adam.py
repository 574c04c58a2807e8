"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ddp.autograd.tensor import Tensor
from ddp.optim import updates
from ddp.optim.checks import check_at_least_zero, check_betas, check_hints, check_tensors
from ddp.optim.optimizer import Optimizer, ParamGroup
from ddp.optim.pieces import pieces


class Adam(Optimizer):
    """`torch.optim.Adam`; the formula stands at `ddp.optim.updates.adam`.

    State: `step` (0-d float32, as in PyTorch), `exp_avg`, `exp_avg_sq`, with amsgrad also
    `max_exp_avg_sq`. `foreach` and `fused` are PyTorch's hints for speed; they are accepted and
    change nothing here.
    """

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

    def _update(self, param: Tensor, group: ParamGroup) -> None:
        assert param.grad is not None
        state = self.state[param]
        if not state:
            state.update(self._initial_state(param, group["amsgrad"]))
        state["step"].array += 1
        averages = [state[key].array for key in AVERAGES if key in state]
        for p, g, exp_avg, exp_avg_sq, *max_exp_avg_sq in pieces(
            param.array, param.grad.array, *averages
        ):
            updates.adam(
                p,
                g,
                exp_avg,
                exp_avg_sq,
                max_exp_avg_sq[0] if max_exp_avg_sq else None,
                *self._scratch.like(p),
                step=int(state["step"].array),
                lr=group["lr"],
                betas=group["betas"],
                eps=group["eps"],
                weight_decay=group["weight_decay"],
                decoupled_weight_decay=group["decoupled_weight_decay"],
                maximize=group["maximize"],
            )

    @staticmethod
    def _initial_state(param: Tensor, amsgrad: bool) -> dict[str, Tensor]:
        averages = AVERAGES if amsgrad else AVERAGES[:2]
        state = {"step": Tensor(np.zeros((), np.float32))}
        return state | {key: Tensor(np.zeros_like(param.array)) for key in averages}


AVERAGES = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")


class AdamW(Adam):
    """`torch.optim.AdamW`: Adam whose weight decay acts on the parameter, not on the gradient."""

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
