"""Learning-rate schedules of the service, as pure functions of the step.

`learning_rate(name, base_lr, step, total_steps, ...)` is what the coordinator asks before every
step: no state, so a resumed run continues exactly. `step` counts from 0. The formulas are those of
PyTorch's schedulers stepped once per optimizer step (named at each function); a warm-up is
`SequentialLR([LinearLR, the schedule], [warmup_steps])`: the schedule itself starts at its own step
0 when the warm-up ends. Everything is float64 arithmetic on Python floats.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any


def constant(base_lr: float, step: int, total_steps: int) -> float:
    """`base_lr` throughout."""
    return base_lr


def cosine(base_lr: float, step: int, total_steps: int, *, final_lr: float = 0.0) -> float:
    """Half a cosine from `base_lr` to `final_lr`: CosineAnnealingLR(T_max=total_steps, eta_min)."""
    phase = math.pi * min(step, total_steps) / max(total_steps, 1)
    return final_lr + (base_lr - final_lr) * (1 + math.cos(phase)) / 2


def linear(base_lr: float, step: int, total_steps: int, *, final_lr: float = 0.0) -> float:
    """A line from `base_lr` to `final_lr`: LinearLR(1.0, final_lr / base_lr, total_steps)."""
    return base_lr + (final_lr - base_lr) * min(step, total_steps) / max(total_steps, 1)


def step_decay(
    base_lr: float, step: int, total_steps: int, *, step_size: int, gamma: float = 0.1
) -> float:
    """Times `gamma` after every `step_size` steps: StepLR."""
    return base_lr * gamma ** (step // step_size)


SCHEDULES: dict[str, Callable[..., float]] = {
    "constant": constant,
    "cosine": cosine,
    "linear": linear,
    "step": step_decay,
}


def learning_rate(
    name: str,
    base_lr: float,
    step: int,
    total_steps: int,
    *,
    warmup_steps: int = 0,
    warmup_factor: float = 1 / 3,
    **arguments: Any,
) -> float:
    """The learning rate for step `step` of `total_steps` (both counted from the run's start).

    During the first `warmup_steps` it rises in a line from `base_lr * warmup_factor` (LinearLR's
    `start_factor`, by default a third) and reaches `base_lr` at step `warmup_steps`, where the
    schedule `name` takes over for the remaining steps. `arguments` are those of the schedule:
    `final_lr` for "cosine" and "linear", `step_size` and `gamma` for "step". Raises ValueError for
    an unknown name and for arguments the schedule does not have.
    """
    if name not in SCHEDULES:
        raise ValueError(f"unknown schedule '{name}': expected one of {', '.join(SCHEDULES)}")
    if step < warmup_steps:
        return base_lr * (warmup_factor + (1 - warmup_factor) * step / warmup_steps)
    try:
        return SCHEDULES[name](
            base_lr, step - warmup_steps, total_steps - warmup_steps, **arguments
        )
    except TypeError as error:
        given = ", ".join(sorted(arguments)) or "no arguments"
        raise ValueError(f"schedule '{name}' does not fit {given}: {error}") from None
