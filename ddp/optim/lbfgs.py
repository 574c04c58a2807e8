"""L-BFGS."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ddp.autograd.grad_mode import enable_grad
from ddp.autograd.tensor import Tensor
from ddp.optim.checks import check_at_least_zero
from ddp.optim.line_search import Array, Number, Search, Trial
from ddp.optim.optimizer import Optimizer, ParamGroup

Closure = Callable[[], Any]


class LBFGS(Optimizer):
    """`torch.optim.LBFGS`: Nocedal and Wright, Numerical Optimization (2006), algorithm 7.5.

    All parameters are one vector, so there is one group, and no cutting into slices: this is not
    an optimizer for the service. One `step(closure)` is up to `max_iter` iterations with up to
    `max_eval` (by default 1.25 times as many) evaluations of the closure, which clears the
    gradients, computes them and returns the loss.

    State, of the first parameter: `func_evals`, `n_iter`, the last direction `d` and step `t`,
    the pairs `old_dirs` (changes of the gradient) and `old_stps` (of the parameters) with `ro`
    (1 over their product), `H_diag`, `prev_flat_grad`, `prev_loss`, and `al`, which is scratch.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_at_least_zero(lr=lr)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        self._params: list[Tensor] = self.param_groups[0]["params"]

    def step(self, closure: Closure | None = None) -> Any:
        """Minimise for up to `max_iter` iterations; returns the loss `closure` gave first."""
        if closure is None:
            raise TypeError("LBFGS.step() needs a closure that computes the loss and gradients")
        group = self.param_groups[0]
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first_loss = self._call(closure)
        state["func_evals"] += 1
        gradient = self._flat_gradient()
        if np.abs(gradient).max() > group["tolerance_grad"]:
            self._minimise(closure, group, state, float(first_loss), gradient)
        return first_loss

    def _minimise(
        self,
        closure: Closure,
        group: ParamGroup,
        state: dict[str, Any],
        loss: Number,
        gradient: Array,
    ) -> None:
        memory = Memory(state)
        lr = float(group["lr"])
        tolerance_grad, tolerance_change = group["tolerance_grad"], group["tolerance_change"]
        evaluations = 1
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            memory.take_direction(gradient, group["history_size"], first=state["n_iter"] == 1)
            previous_loss, memory.prev_loss = loss, loss
            t: Number = lr
            if state["n_iter"] == 1:
                t = min(1.0, 1.0 / np.abs(gradient).sum()) * lr
            memory.t = t
            slope = gradient.dot(memory.d)
            if slope > -tolerance_change:
                break
            spent = 0
            if group["line_search_fn"] is not None:
                start = Trial(0, loss, gradient, slope)
                left = group["max_eval"] - evaluations
                found, spent = self._search(closure, group, memory.d, start, t, left)
                t, loss, gradient = found.t, found.loss, found.gradient
                memory.t = t
                self._move(t, memory.d)
            else:
                self._move(t, memory.d)
                if iteration != group["max_iter"]:  # what the last move gave, the next step asks
                    loss, gradient, spent = float(self._call(closure)), self._flat_gradient(), 1
            evaluations += spent
            state["func_evals"] += spent
            if (
                evaluations >= group["max_eval"]
                or np.abs(gradient).max() <= tolerance_grad
                or np.abs(memory.d * t).max() <= tolerance_change
                or abs(loss - previous_loss) < tolerance_change
            ):
                break
        memory.save(state)

    def _search(
        self,
        closure: Closure,
        group: ParamGroup,
        direction: Array,
        start: Trial,
        t: Number,
        max_evaluations: int,
    ) -> tuple[Trial, int]:
        if group["line_search_fn"] != "strong_wolfe":
            raise RuntimeError("only 'strong_wolfe' is supported")
        origin = [param.array.copy() for param in self._params]

        def evaluate(t: Number) -> Trial:
            self._move(t, direction)
            loss, gradient = float(self._call(closure)), self._flat_gradient()
            for param, array in zip(self._params, origin, strict=True):
                np.copyto(param.array, array)
            return Trial(t, loss, gradient, gradient.dot(direction))

        size = np.abs(direction).max()
        search = Search(evaluate, start, size, max_evaluations, group["tolerance_change"])
        return search.run(t), search.evaluations

    @staticmethod
    def _call(closure: Closure) -> Any:
        with enable_grad():
            return closure()

    def _flat_gradient(self) -> Array:
        """All gradients as one new vector; zeros where there is none."""
        return np.concatenate(
            [
                np.zeros(param.array.size, param.array.dtype)
                if param.grad is None
                else param.grad.array.reshape(-1)
                for param in self._params
            ]
        )

    def _move(self, t: Number, direction: Array) -> None:
        """Add t times the direction to the parameters."""
        start = 0
        for param in self._params:
            stop = start + param.array.size
            param.array += (direction[start:stop] * t).reshape(param.array.shape)
            param._version_cell[0] += 1
            start = stop


class Memory:
    """What L-BFGS remembers between iterations, as arrays; tensors in the optimizer's state."""

    def __init__(self, state: dict[str, Any]) -> None:
        self.d: Array = _number(state.get("d"))
        self.t: Number = _number(state.get("t"))
        self.prev_flat_grad: Array = _number(state.get("prev_flat_grad"))
        self.prev_loss: Number = state.get("prev_loss")
        self.h_diag: Number = _number(state.get("H_diag"))
        self.old_dirs = [_number(value) for value in state.get("old_dirs", [])]
        self.old_stps = [_number(value) for value in state.get("old_stps", [])]
        self.ro = [_number(value) for value in state.get("ro", [])]
        self.al = [_number(value) for value in state.get("al", [])]

    def save(self, state: dict[str, Any]) -> None:
        """Write everything into the optimizer's state, as PyTorch keeps it."""
        if self.al:
            state["al"] = [_kept(value) for value in self.al]
        for name in ("d", "t", "old_dirs", "old_stps", "ro"):
            value = getattr(self, name)
            listed = isinstance(value, list)
            state[name] = [_kept(member) for member in value] if listed else _kept(value)
        state["H_diag"] = _kept(self.h_diag)
        state["prev_flat_grad"] = _kept(self.prev_flat_grad)
        state["prev_loss"] = self.prev_loss

    def take_direction(self, gradient: Array, history_size: int, *, first: bool) -> None:
        """Set `d`: minus the gradient, later times the inverse Hessian's estimate."""
        if first:
            self.d, self.h_diag = -gradient, 1
            self.old_dirs, self.old_stps, self.ro = [], [], []
        else:
            self._remember(gradient - self.prev_flat_grad, self.d * self.t, history_size)
            self.al = self.al or [None] * history_size
            self.d = self._times_inverse_hessian(-gradient)
        self.prev_flat_grad = gradient.copy()

    def _remember(self, y: Array, s: Array, history_size: int) -> None:
        """Keep a pair of changes, unless the curvature along it is not clearly positive."""
        ys = y.dot(s)
        if ys <= 1e-10:
            return
        if len(self.old_dirs) == history_size:
            for kept in (self.old_dirs, self.old_stps, self.ro):
                kept.pop(0)
        self.old_dirs.append(y)
        self.old_stps.append(s)
        self.ro.append(1.0 / ys)
        self.h_diag = ys / y.dot(y)

    def _times_inverse_hessian(self, q: Array) -> Array:
        """The two loops over the remembered pairs; `q` is used up."""
        pairs = list(zip(self.old_dirs, self.old_stps, self.ro, strict=True))
        for i, (y, s, ro) in reversed(list(enumerate(pairs))):
            self.al[i] = s.dot(q) * ro
            q -= self.al[i] * y
        q *= self.h_diag
        for i, (y, s, ro) in enumerate(pairs):
            q += (self.al[i] - y.dot(q) * ro) * s
        return q


def _number(value: Any) -> Any:
    """A tensor of the state as an array, a 0-d one as a NumPy scalar; numbers as they are."""
    return value.array[()] if isinstance(value, Tensor) else value


def _kept(value: Any) -> Any:
    """A NumPy scalar or array as a tensor; numbers as they are."""
    return Tensor(np.asarray(value)) if isinstance(value, np.ndarray | np.generic) else value
