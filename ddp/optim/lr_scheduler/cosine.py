"""Cosine schedules: Loshchilov and Hutter, arXiv:1608.03983."""

from __future__ import annotations

import math
from typing import Any

from ddp.optim.lr_scheduler.base import LRScheduler
from ddp.optim.optimizer import Optimizer


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from the initial rate to `eta_min` in `T_max` epochs, and up again."""

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def _rates(self) -> list[float]:
        epoch, T_max, low = self.last_epoch, self.T_max, self.eta_min
        if self._is_initial:
            return self._current()
        if self._step_count == 1 and epoch > 0:
            # PyTorch rounds epoch * pi here, and pi * epoch / T_max in the closed form.
            raised = 1 + math.cos(epoch * math.pi / T_max)
            return [low + (base - low) * raised / 2 for base in self.base_lrs]
        if (epoch - 1 - T_max) % (2 * T_max) == 0:  # just after the lowest point
            rise = 1 - math.cos(math.pi / T_max)
            pairs = zip(self._current(), self.base_lrs, strict=True)
            return [rate + (base - low) * rise / 2 for rate, base in pairs]
        raised = 1 + math.cos(math.pi * epoch / T_max)
        raised_before = 1 + math.cos(math.pi * (epoch - 1) / T_max)
        return [raised / raised_before * (rate - low) + low for rate in self._current()]

    def _get_closed_form_lr(self) -> list[float]:
        raised = 1 + math.cos(math.pi * self.last_epoch / self.T_max)
        return [self.eta_min + (base - self.eta_min) * raised / 2 for base in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine down to `eta_min`, then from the top, each `T_mult` times as long.

    `step(epoch)` takes a fraction too: `step(epoch + batch / batches)`.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        if T_0 <= 0 or not isinstance(T_0, int):
            raise ValueError(f"Expected positive integer T_0, but got {T_0}")
        if T_mult < 1 or not isinstance(T_mult, int):
            raise ValueError(f"Expected integer T_mult >= 1, but got {T_mult}")
        if not isinstance(eta_min, float | int):
            raise ValueError(
                f"Expected float or int eta_min, but got {eta_min} of type {type(eta_min)}"
            )
        self.T_0 = T_0
        self.T_i = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def _rates(self) -> list[float]:
        raised = 1 + math.cos(math.pi * self.T_cur / self.T_i)
        return [self.eta_min + (base - self.eta_min) * raised / 2 for base in self.base_lrs]

    def step(self, epoch: Any = None) -> None:
        """Go on by one epoch, or to `epoch`, which may be fractional (ValueError if negative)."""
        if epoch is None and self.last_epoch >= 0:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        else:
            self._go_to(0 if epoch is None else epoch)
            epoch = epoch or 0
        self.last_epoch = math.floor(epoch)
        self._set_rates(self._asked_within_step())

    def _go_to(self, epoch: float) -> None:
        if epoch < 0:
            raise ValueError(f"Expected non-negative epoch, but got {epoch}")
        if epoch < self.T_0:
            self.T_i, self.T_cur = self.T_0, epoch
        elif self.T_mult == 1:
            self.T_cur = epoch % self.T_0
        else:
            restarts = int(math.log(epoch / self.T_0 * (self.T_mult - 1) + 1, self.T_mult))
            before = self.T_0 * (self.T_mult**restarts - 1) / (self.T_mult - 1)
            self.T_cur = epoch - before
            self.T_i = self.T_0 * self.T_mult**restarts
