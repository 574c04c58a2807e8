"""The one device there is, and the names by which scripts ask for others.

`device("cuda")` may be named, as in PyTorch without CUDA; putting a tensor there is refused.
`cuda`, `backends` and their kin answer that nothing is available, so that scripts which ask first
go on with the CPU.
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


def _no() -> bool:
    return False


def _nothing(*args: Any, **kwargs: Any) -> None:
    """What asks a device that is not there has no effect."""


def _absent(**more: Any) -> SimpleNamespace:
    """A kind of device that is not there."""
    none = {"is_available": _no, "device_count": lambda: 0, "manual_seed": _nothing}
    quiet = {"manual_seed_all": _nothing, "synchronize": _nothing, "empty_cache": _nothing}
    return SimpleNamespace(**none, **quiet, **more)


cuda = _absent(amp=SimpleNamespace(GradScaler=GradScaler), is_bf16_supported=_no)
mps = _absent()
xpu = _absent()
accelerator = _absent(current_accelerator=lambda: None)
amp = SimpleNamespace(GradScaler=GradScaler)
backends = SimpleNamespace(  # scripts set switches here; they have no effect
    cudnn=SimpleNamespace(is_available=_no, benchmark=False, deterministic=False, enabled=False),
    cuda=SimpleNamespace(matmul=SimpleNamespace(allow_tf32=False)),
    mps=SimpleNamespace(is_available=_no, is_built=_no),
)
