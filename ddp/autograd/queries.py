"""Questions about tensors and settings of the process that PyTorch answers as functions."""

from __future__ import annotations

from ddp.autograd.dtypes import Dtype
from ddp.autograd.ops.broadcast import Operand, operands
from ddp.autograd.tensor import Tensor


def is_tensor(obj: object) -> bool:
    """Whether `obj` is a tensor."""
    return isinstance(obj, Tensor)


def is_floating_point(x: Tensor) -> bool:
    """Whether x's dtype has fractions."""
    return x.is_floating_point()


def is_complex(x: Tensor) -> bool:
    """There are no complex tensors."""
    return False


def numel(x: Tensor) -> int:
    """How many elements x has."""
    return x.numel()


def result_type(a: Operand, b: Operand) -> Dtype:
    """The dtype of a result of a and b, tensors or numbers."""
    return operands(a, b)[0].dtype


def get_num_threads() -> int:
    """One: parallel work is done by workers, each with one thread."""
    return 1


def set_num_threads(count: int) -> None:
    """Accepted; workers have one thread each, so that their bits do not depend on it."""


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Accepted: every algorithm here is deterministic."""


def set_float32_matmul_precision(precision: str) -> None:
    """Accepted; products are computed in full float32."""
