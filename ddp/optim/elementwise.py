"""The frame of the element-wise optimizers: state made on first use, and the walk over pieces.

A subclass says which arrays of the parameter's shape it keeps (`_kept`) and how one piece of a
parameter moves (`_move`, whose docstring is the formula). Everything is done in place on pieces
that stay in the cache: a large parameter is cut into them, small ones are put together to one. No
result depends on where a parameter is cut, or on what it is put together with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ddp.autograd.tensor import Tensor
from ddp.kernels import stand_in
from ddp.optim.optimizer import Optimizer, ParamGroup
from ddp.optim.pieces import PIECE_ELEMENTS, Array, Together, pieces
from ddp.optim.updates import wanted

State = dict[str, Any]
Numbers = dict[str, float]
Kept = dict[str, Array]
Work = Sequence[Array]
Values = dict[str, Any]
Names = tuple[str, ...]

MANY = 8  # fewer small parameters are done sooner one by one
SMALL = PIECE_ELEMENTS // 8  # elements; gathering a larger parameter costs more than its own walk


class ElementwiseOptimizer(Optimizer):
    """An optimizer that updates each element by itself.

    State: `step` (0-d float32, as in PyTorch), then the arrays named by `_kept`.

    `gradient_factor` multiplies all gradients of a step (the coefficient of gradient clipping,
    which so costs no pass over the gradients of its own).
    """

    gradient_factor: float = 1.0

    # Where a subclass has its formula in a kernel: the arrays of a piece, then `_arguments`.
    _kernel: Callable[..., None] | None = None

    def _kept(self, group: ParamGroup) -> Names:
        """The names of the state arrays that have the parameter's shape."""
        raise NotImplementedError

    def _first_state(self, param: Tensor, group: ParamGroup) -> State:
        """The state before the first step: zeros."""
        kept = {name: Tensor(np.zeros_like(param.array)) for name in self._kept(group)}
        return {"step": zero_dimensional(0.0), **kept}

    def _begin(self, param: Tensor, state: State, group: ParamGroup) -> Numbers:
        """Count the step in the parameter's state, made on first use; what `_numbers` gives."""
        if not state:
            state.update(self._first_state(param, group))
        step = state["step"].array
        step.fill(step.item() + 1.0)
        return self._numbers(state, group)

    def _numbers(self, state: State, group: ParamGroup) -> Numbers:
        """The numbers that all elements of a parameter share in this step."""
        return {"step": state["step"].array.item()}

    def _move(self, p: Array, g: Array, kept: Kept, work: Work, now: Values) -> None:
        """Move `p` against `g`, which already is negated by `maximize` and decayed.

        `work` are two temporaries; `g` is left as it is. `now` has the hyper-parameters of the
        group, and what `_numbers` gave.
        """
        raise NotImplementedError

    def _arguments(self, names: Names, work: Work | None, now: Values) -> tuple[Any, ...]:
        """What the kernel is called with after parameter, gradient, and what is kept under `names`.

        Compiled it needs no `work`.
        """
        raise NotImplementedError

    def _update(self, params: Sequence[Tensor], group: ParamGroup) -> None:
        names = self._kept(group)
        kernel = None if self._kernel is None else stand_in(self._kernel)
        if kernel is not None:
            params = self._move_whole(kernel, params, names, group)
            if not params:
                return
        small = Together(self._scratch) if len(params) >= MANY else None
        shared, now = None, group
        for param in params:
            state = self.state[param] if names else {}
            numbers = self._begin(param, state, group)
            if numbers != shared:
                if small is not None:
                    small = self._move_together(small, names, now)
                shared, now = numbers, group | numbers
            arrays = [param.array, param._grad.array]  # type: ignore[union-attr]  # all have one
            for name in names:
                arrays.append(state[name].array)
            if param.array.size > SMALL:
                self._move_pieces(arrays, names, now)
            elif small is None:
                self._move_piece(arrays, names, now)
            else:
                if not small.takes(arrays):
                    small = self._move_together(small, names, now)
                small.add(arrays)
        if small is not None:
            self._move_together(small, names, now)

    def _move_whole(
        self,
        kernel: Callable[..., None],
        params: Sequence[Tensor],
        names: Names,
        group: ParamGroup,
    ) -> list[Tensor]:
        """Move parameters by the compiled kernel, in one pass each; return those not in float32."""
        left, shared = [], None
        for param in params:
            if param.array.dtype.char != "f":
                left.append(param)
                continue
            state = self.state[param] if names else {}
            numbers = self._begin(param, state, group)
            if numbers != shared:
                shared, arguments = numbers, self._arguments(names, None, group | numbers)
            arrays = [param.array, param._grad.array]  # type: ignore[union-attr]  # all have one
            for name in names:
                arrays.append(state[name].array)
            for array in arrays:
                if not array.flags.c_contiguous or array.ndim == 0:
                    self._move_copies(kernel, arrays, arguments)
                    break
            else:
                kernel(*arrays, *arguments)
        return left

    @staticmethod
    def _move_copies(
        kernel: Callable[..., None], arrays: Sequence[Array], arguments: tuple[Any, ...]
    ) -> None:
        """Move what is not dense as a copy that is."""
        copies = [array.reshape(-1).copy() for array in arrays]
        kernel(*copies, *arguments)
        for number, copy in enumerate(copies):
            if number != 1:  # the gradient is as it was
                arrays[number][...] = copy.reshape(arrays[number].shape)

    def _move_together(self, small: Together, names: Names, now: Values) -> Together:
        """Move small parameters as one, unless one must see what is done to another."""
        if len(small.members) > 1 and small.are_apart():
            self._move_piece(small.gathered(), names, now)
            small.put_back()
        else:
            for arrays in small.members:
                self._move_piece(arrays, names, now)
        return Together(self._scratch)

    def _move_pieces(self, arrays: Sequence[Array], names: Names, now: Values) -> None:
        for piece in pieces(*arrays):
            self._move_piece(piece, names, now)

    def _move_piece(self, arrays: Sequence[Array], names: Names, now: Values) -> None:
        """Move one piece; `arrays` are parameter, gradient, and what is kept under `names`."""
        work = self._scratch.like(arrays[0])
        if self._kernel is not None:
            self._kernel(*arrays, *self._arguments(names, work, now))
            return
        p, g, *kept = arrays
        weight_decay = now.get("weight_decay", 0.0)
        decoupled = now.get("decoupled_weight_decay", False)
        if decoupled:
            weight_decay *= now["lr"]
        g = wanted(p, g, work, self.gradient_factor, weight_decay, decoupled, now["maximize"])
        self._move(p, g, dict(zip(names, kept, strict=True)), work[2:], now)


def zero_dimensional(value: float) -> Tensor:
    """A number of the state, as PyTorch keeps it: a 0-d float32 tensor."""
    return Tensor(np.array(value, np.float32))
