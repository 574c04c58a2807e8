"""PyTorch's `torch.nn.modules.utils`: a size from one number, for as many axes as needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


def _repeated(count: int) -> Callable[[Any], tuple[Any, ...]]:
    def parse(x: Any) -> tuple[Any, ...]:
        return tuple(x) if isinstance(x, Iterable) else (x,) * count

    return parse


_single = _repeated(1)
_pair = _repeated(2)
_triple = _repeated(3)
_quadruple = _repeated(4)
