"""PyTorch's `torch.distributed`, as far as programs ask before they use it.

There are no process groups: the workers of a run are started by `ddp train`, and exchange
gradients there. So a program that finds itself alone goes on, and one that wants a group is told.
"""

from __future__ import annotations

from typing import Any, NoReturn


def is_available() -> bool:
    """False."""
    return False


def is_initialized() -> bool:
    """False."""
    return False


def is_torchelastic_launched() -> bool:
    """False."""
    return False


def init_process_group(*args: Any, **kwargs: Any) -> NoReturn:
    """Refused."""
    _refuse()


def destroy_process_group(*args: Any, **kwargs: Any) -> NoReturn:
    """Refused."""
    _refuse()


def _refuse() -> NoReturn:
    raise NotImplementedError(
        "ddp has no process groups: the command `ddp train` starts the workers and exchanges "
        "gradients"
    )
