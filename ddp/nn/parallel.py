"""PyTorch's `torch.nn.parallel`: its names, so that programs which mention them can be read.

A model is wrapped by nothing here: `ddp train` gives the gradients of all workers.
"""

from __future__ import annotations

from typing import Any

from ddp.nn.module import Module


class DistributedDataParallel(Module):
    """Refused when it is made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(
            f"ddp has no {type(self).__name__}: name the model in a config, and the command "
            "`ddp train` trains it on several workers"
        )


class DataParallel(DistributedDataParallel):
    """Refused when it is made."""
