"""`LRScheduler`: when the rates are computed, where they are written, what is saved.

A scheduler says its rates twice. `_rates` is the chainable form: it goes from the rate that
stands in the group, so that several schedulers can act on one optimizer. `_get_closed_form_lr`,
where there is one, gives the rate of any epoch at once. A user's own scheduler overrides `get_lr`.
The arithmetic is that of PyTorch, operation by operation, on Python floats.
"""

from __future__ import annotations

import warnings
from typing import Any

from ddp.autograd.tensor import Tensor
from ddp.optim.optimizer import Optimizer, ParamGroup

StateDict = dict[str, Any]

EPOCH_WARNING = (
    "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where "
    "possible. Please use `scheduler.step()` to step the scheduler."
)


class LRScheduler:
    """Base of all schedulers: `step()` after every epoch sets the groups' `lr`.

    Construction notes each group's rate as `initial_lr` and sets the rate of epoch 0. With
    `last_epoch` ≥ 0, to continue, the groups must have `initial_lr` already (KeyError).
    """

    _get_lr_called_within_step = False
    _is_initial = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        for number, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", plain(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{number}] when resuming "
                    "scheduler with last_epoch >= 0: load the optimizer's state first"
                )
        self.base_lrs = [plain(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        _watch_steps(optimizer)
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def state_dict(self) -> StateDict:
        """Everything but the optimizer."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: StateDict) -> None:
        """Take over what `state_dict` returned; the rates in the groups stay as they are."""
        self.__dict__.update(state_dict)

    def get_last_lr(self) -> list[float]:
        """The rates set last, one per group."""
        return self._last_lr

    def get_lr(self) -> list[float]:
        """The rates of `last_epoch`, one per group. For `step`; to look, use `get_last_lr()`."""
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use "
                "`get_last_lr()`.",
                stacklevel=2,
            )
        return self._rates()

    def _rates(self) -> list[float]:
        raise NotImplementedError

    def step(self, epoch: int | None = None) -> None:
        """Go to the next epoch, or (deprecated) to `epoch`, and set its rates."""
        if self._step_count == 1 and not self.optimizer._stepped:
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`. They should be "
                "called in the opposite order: `optimizer.step()` before `lr_scheduler.step()`. "
                "Failure to do this will result in skipping the first value of the learning rate "
                "schedule.",
                stacklevel=2,
            )
        self._step_count += 1
        if epoch is not None:
            warnings.warn(EPOCH_WARNING, stacklevel=2)
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        closed_form = getattr(self, "_get_closed_form_lr", None)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if epoch is not None and closed_form is not None:
            self._set_rates(closed_form())
        else:
            self._set_rates(self._asked_within_step())

    def _asked_within_step(self) -> list[float]:
        self._get_lr_called_within_step = True
        try:
            return self.get_lr()
        finally:
            self._get_lr_called_within_step = False

    def _set_rates(self, rates: list[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            set_lr(group, rate)
        self._last_lr = self._current()

    def _current(self) -> list[float]:
        """The rates that stand in the groups."""
        return [plain(group["lr"]) for group in self.optimizer.param_groups]

    def _times(self, factor: float) -> list[float]:
        """The rates that stand in the groups, times `factor`."""
        return [rate * factor for rate in self._current()]


def check_optimizer(optimizer: Any) -> None:
    """Raise TypeError for what is no optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")


def plain(rate: Any) -> Any:
    """A rate as a number, also where the group holds it as a tensor."""
    return rate.item() if isinstance(rate, Tensor) else rate


def set_lr(group: ParamGroup, rate: float) -> None:
    """Write a group's rate; a tensor stays the same tensor."""
    if isinstance(group["lr"], Tensor):
        group["lr"].array.fill(rate)
    else:
        group["lr"] = rate


def per_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """`value` for every group; a list must have one for each (ValueError)."""
    groups = len(optimizer.param_groups)
    if not isinstance(value, list | tuple):
        return [value] * groups
    if len(value) != groups:
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups. {name} has {len(value)} "
            f"values, param_groups has {groups}."
        )
    return list(value)


def _watch_steps(optimizer: Optimizer) -> None:
    """Have the optimizer note its steps from now on."""
    if optimizer._stepped is None:
        optimizer._stepped = False
        optimizer.register_step_post_hook(_note_step)


def _note_step(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
    optimizer._stepped = True
