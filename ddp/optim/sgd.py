"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ddp.autograd.tensor import Tensor
from ddp.kernels import kernel, stand_in
from ddp.optim.checks import check_at_least_zero, check_hints
from ddp.optim.elementwise import ElementwiseOptimizer, Names, Numbers, State, Values, Work
from ddp.optim.optimizer import ParamGroup
from ddp.optim.pieces import PIECE_ELEMENTS, Array, pieces
from ddp.optim.updates import wanted


@kernel
def move(
    p: Array,
    g: Array,
    b: Array | None,
    work: Work,
    factor: float,
    weight_decay: float,
    maximize: bool,
    lr: float,
    momentum: float,
    dampening: float,
    nesterov: bool,
    is_first: bool,
) -> None:
    """b = momentum * b + (1 - dampening) * g;  p -= lr * b

    On the first step b = g, undamped, as in PyTorch. Nesterov: p -= lr * (g + momentum * b).
    """
    d = g = wanted(p, g, work, factor, weight_decay, False, maximize)
    t = work[-1]
    if b is not None:
        d = b
        if is_first:
            np.copyto(b, g)
        else:
            b *= momentum
            b += g if dampening == 0 else np.multiply(g, 1 - dampening, out=t)
        if nesterov:
            d = np.add(g, np.multiply(b, momentum, out=t), out=t)
    p -= np.multiply(d, lr, out=t)


class SGD(ElementwiseOptimizer):
    """`torch.optim.SGD`.

    State: `momentum_buffer`, when momentum is not 0. `foreach` and `fused` are PyTorch's hints
    for speed; they are accepted and change nothing here.
    """

    _kernel = staticmethod(move)

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

    def _kept(self, group: ParamGroup) -> Names:
        return ("momentum_buffer",) if group["momentum"] != 0 else ()

    def _begin(self, param: Tensor, state: State, group: ParamGroup) -> Numbers:
        """Steps are not counted; it matters only whether it is the first."""
        if group["momentum"] == 0:
            return {}
        is_first = state.get("momentum_buffer") is None
        if is_first:
            state["momentum_buffer"] = Tensor(np.empty_like(param.array))
        return {"is_first": is_first}

    def _update(self, params: Sequence[Tensor], group: ParamGroup) -> None:
        """The plain case is spelled out: with few small parameters, calls are what a step costs."""
        if stand_in(move) is not None or not self._is_plain(group):
            super()._update(params, group)
            return
        dtype, beginners = None, []
        for param in params:
            buffer = self.state[param].get("momentum_buffer")
            if buffer is None:
                beginners.append(param)
                continue
            if param.array.dtype is not dtype:  # arrays: numbers would be converted at every call
                dtype = param.array.dtype
                momentum, lr = np.array(group["momentum"], dtype), np.array(group["lr"], dtype)
            arrays = param.array, param._grad.array, buffer.array  # type: ignore[union-attr]
            for p, g, b in [arrays] if arrays[0].size <= PIECE_ELEMENTS else pieces(*arrays):
                np.multiply(b, momentum, b)
                np.add(b, g, b)
                np.subtract(p, np.multiply(b, lr), p)
        if beginners:
            super()._update(beginners, group)

    def _is_plain(self, group: ParamGroup) -> bool:
        """Whether a step is b = momentum * b + g;  p -= lr * b."""
        return (
            group["momentum"] != 0
            and group["dampening"] == 0
            and group["weight_decay"] == 0
            and not group["nesterov"]
            and not group["maximize"]
            and self.gradient_factor == 1.0
        )

    def _arguments(self, names: Names, work: Work | None, now: Values) -> tuple[Any, ...]:
        return (
            *(() if names else (None,)),
            work,
            self.gradient_factor,
            now["weight_decay"],
            now["maximize"],
            now["lr"],
            now["momentum"],
            now["dampening"],
            now["nesterov"],
            now.get("is_first", False),
        )
