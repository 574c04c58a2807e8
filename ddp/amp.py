"""Mixed precision: PyTorch's `torch.amp`, as it is where there is float32 on a CPU and no more."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any


class autocast:
    """A context manager and decorator without effect; asking it for lower precision is refused.

    For a device that is not there it warns and is disabled, as in PyTorch.
    """

    def __init__(
        self,
        device_type: str,
        dtype: Any = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        if enabled and device_type == "cpu":
            raise NotImplementedError(
                "ddp computes in float32, without autocast to lower precision: leave it out or "
                "pass enabled=False"
            )
        if enabled:
            warnings.warn(
                f"User provided device_type of '{device_type}', but it is not available. Disabling",
                stacklevel=2,
            )

    def __enter__(self) -> None:
        """Nothing changes."""

    def __exit__(self, *exc_info: object) -> None:
        """Nothing to put back."""

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def decorated(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return decorated


class GradScaler:
    """Loss scaling for float16 on CUDA: without CUDA PyTorch's does nothing, and so does this."""

    def __init__(self, device: Any = None, *, enabled: bool = True, **options: Any) -> None:
        """All arguments are accepted."""

    def scale(self, outputs: Any) -> Any:
        """`outputs` as they are."""
        return outputs

    def unscale_(self, optimizer: Any) -> None:
        """Nothing to undo."""

    def step(self, optimizer: Any) -> Any:
        """`optimizer.step()`."""
        return optimizer.step()

    def update(self) -> None:
        """There is no scale to change."""

    def is_enabled(self) -> bool:
        """Never."""
        return False
