"""What the element-wise optimizers share: state made on first use, and the walk over pieces.

A subclass says which arrays of the parameter's shape it keeps (`_kept`) and how one piece of a
parameter moves (`_move`, whose docstring is the formula). Everything is done in place on pieces
that stay in the cache, and no result depends on where a parameter is cut.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ddp.autograd.tensor import Tensor
from ddp.optim.optimizer import Optimizer, ParamGroup
from ddp.optim.pieces import Array, pieces
from ddp.optim.updates import decayed

State = dict[str, Any]
Kept = dict[str, Array]
Work = tuple[Array, Array]


class ElementwiseOptimizer(Optimizer):
    """An optimizer that counts its steps per parameter and updates each element by itself.

    State: `step` (0-d float32, as in PyTorch), then the arrays named by `_kept`.
    """

    def _kept(self, group: ParamGroup) -> tuple[str, ...]:
        """The names of the state arrays that have the parameter's shape."""
        raise NotImplementedError

    def _first_state(self, param: Tensor, group: ParamGroup) -> State:
        """The state before the first step: zeros."""
        kept = {name: Tensor(np.zeros_like(param.array)) for name in self._kept(group)}
        return {"step": zero_dimensional(0.0), **kept}

    def _numbers(self, state: State, group: ParamGroup) -> dict[str, float]:
        """The numbers that all elements of a parameter share in this step."""
        return {"step": float(state["step"].array)}

    def _move(
        self,
        p: Array,
        g: Array,
        kept: Kept,
        work: Work,
        group: ParamGroup,
        numbers: dict[str, float],
    ) -> None:
        """Move `p` against `g`, which already is negated by `maximize` and decayed.

        `work` are two temporaries; `g` is left as it is.
        """
        raise NotImplementedError

    def _update(self, param: Tensor, group: ParamGroup) -> None:
        assert param.grad is not None
        state = self.state[param]
        if not state:
            state.update(self._first_state(param, group))
        state["step"].array += 1
        numbers = self._numbers(state, group)
        names = self._kept(group)
        arrays = [state[name].array for name in names]
        for p, gradient, *kept in pieces(param.array, param.grad.array, *arrays):
            s, *work = self._scratch.like(p, 3)
            g = self._decay(p, gradient, s, group)
            self._move(
                p, g, dict(zip(names, kept, strict=True)), (work[0], work[1]), group, numbers
            )

    @staticmethod
    def _decay(p: Array, g: Array, s: Array, group: ParamGroup) -> Array:
        """The gradient with weight decay; decoupled, the parameter itself shrinks instead."""
        weight_decay = group.get("weight_decay", 0.0)
        if weight_decay != 0 and group.get("decoupled_weight_decay", False):
            p *= 1 - group["lr"] * weight_decay
            weight_decay = 0.0
        return decayed(p, g, s, weight_decay=weight_decay, maximize=group["maximize"])


def zero_dimensional(value: float) -> Tensor:
    """A number of the state, as PyTorch keeps it: a 0-d float32 tensor."""
    return Tensor(np.array(value, np.float32))
