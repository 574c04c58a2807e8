"""The one device there is, and the names by which scripts ask for others.

`device("cuda")` may be named, as in PyTorch without CUDA; putting a tensor there is refused.
`ddp.cuda`, `ddp.backends` and their kin here answer that nothing is available, so that scripts
which ask first go on with the CPU.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class device:
    """A place for tensors: a kind and perhaps a number. Also a context manager without effect."""

    __slots__ = ("index", "type")

    index: int | None
    type: str

    def __init__(self, type: Any = "cpu", index: int | None = None) -> None:
        if isinstance(type, device):
            type, index = type.type, type.index
        kind, colon, number = str(type).partition(":")
        if colon and not number.isdigit():
            raise RuntimeError(f"Invalid device string: '{type}'")
        self.type = kind
        self.index = int(number) if colon else index

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, device):
            return False
        return self.type == other.type and self.index == other.index

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __repr__(self) -> str:
        number = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{number})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __enter__(self) -> device:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Nothing to put back."""


CPU = device("cpu")


def require_cpu(place: Any) -> None:
    """Raise RuntimeError unless `place` is None or the CPU."""
    if place is not None and device(place).type != "cpu":
        raise RuntimeError(f"ddp computes on the CPU only, but the device '{place}' was asked for")


def get_default_device() -> device:
    """The CPU."""
    return CPU


def set_default_device(place: Any) -> None:
    """The CPU is accepted."""
    require_cpu(place)


def is_available() -> bool:
    """No device but the CPU ever is."""
    return False


def no_effect(*args: Any, **kwargs: Any) -> None:
    """What is asked of a device that is not there."""


def device_count() -> int:
    """No device but the CPU is there."""
    return 0


def _absent(**more: Any) -> SimpleNamespace:
    """A kind of device that is not there."""
    return SimpleNamespace(
        is_available=is_available,
        device_count=device_count,
        manual_seed=no_effect,
        manual_seed_all=no_effect,
        synchronize=no_effect,
        empty_cache=no_effect,
        **more,
    )


mps = _absent()
xpu = _absent()
accelerator = _absent(current_accelerator=lambda: None)


def nothing_allocated(device: Any = None) -> int:
    """Bytes in use on an accelerator: 0."""
    return 0
