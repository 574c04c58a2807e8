"""Gradient clipping: PyTorch's `torch.nn.utils.clip_grad`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Generator, Iterable, Sequence

import numpy as np

from ddp.autograd.node import Array
from ddp.autograd.tensor import Tensor

FLOAT32 = np.dtype(np.float32)
BLOCK_ELEMENTS = 16_384
FAINT = 1e-20  # a sum of squares below which float32 squares may have come out as 0


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float | str = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients in place so that their norm, taken together, is at most `max_norm`.

    Returns the norm before clipping, 0-d. Parameters without gradient do not count. `foreach` is
    PyTorch's hint for speed and changes nothing.
    """
    if isinstance(parameters, Generator):
        parameters = list(parameters)
        if not parameters:
            warnings.warn(
                "`parameters` is an empty generator, no gradient clipping will occur.",
                stacklevel=2,
            )
    parameters = _listed(parameters)
    total_norm = get_total_norm(_gradients(parameters), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(parameters, max_norm, total_norm)
    return total_norm


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float | str = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of the norms of `tensors`, 0-d; summed in float64, rounded to their dtype.

    With `norm_type` 0 that is the number of tensors that are not all zero, as in PyTorch. Raises
    RuntimeError for a norm that is not finite when `error_if_nonfinite`.
    """
    arrays = [tensor.array for tensor in _listed(tensors)]
    if not arrays:
        return Tensor(np.zeros((), np.float32))
    order = float(norm_type)
    total = np.asarray(_norm_of_norms(arrays, order), arrays[0].dtype)
    if error_if_nonfinite and not math.isfinite(total):
        raise RuntimeError(
            f"The total norm of order {order} for gradients from `parameters` is non-finite, so "
            "it cannot be clipped. To disable this error and scale the gradients by the "
            "non-finite norm anyway, set `error_if_nonfinite=False`"
        )
    return Tensor(total)


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    total_norm: Tensor,
    foreach: bool | None = None,
) -> None:
    """Scale the gradients in place by min(1, max_norm / (total_norm + 1e-6))."""
    coefficient = np.minimum(max_norm / (total_norm.array + 1e-6), 1.0)
    gradients = _gradients(parameters)
    if coefficient != 1.0:
        with np.errstate(invalid="ignore"):  # infinite gradients become NaN, as in PyTorch
            for gradient in gradients:
                gradient.array *= coefficient
    for gradient in gradients:
        gradient._version_cell[0] += 1


def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Clamp every gradient in place to ±`clip_value`."""
    clip_value = float(clip_value)
    for gradient in _gradients(parameters):
        values = gradient.array
        np.minimum(np.maximum(values, -clip_value, out=values), clip_value, out=values)
        gradient._version_cell[0] += 1


def _norm_of_norms(arrays: Sequence[Array], order: float) -> float:
    if order == 2.0 and all(array.dtype == FLOAT32 for array in arrays):
        square = _sum_of_squares(arrays)
        if FAINT < square < math.inf:
            return math.sqrt(square)
    return _norm(np.array([_norm(array.reshape(-1), order) for array in arrays]), order)


@np.errstate(over="ignore", invalid="ignore")
def _sum_of_squares(arrays: Sequence[Array]) -> float:
    """By BLAS, in blocks so short that float32 loses nothing; infinite where a block overflows."""
    squares: list[float] = []
    for array in arrays:
        values = array.ravel(order="K")
        whole = values.size // BLOCK_ELEMENTS * BLOCK_ELEMENTS
        if whole:
            blocks = values[:whole].reshape(-1, BLOCK_ELEMENTS)
            squares += np.vecdot(blocks, blocks).tolist()
        rest = values[whole:]
        squares.append(float(rest.dot(rest)))
    return math.fsum(squares)


def _norm(values: Array, order: float) -> float:
    """The norm of a flat array, summed in float64."""
    return float(np.linalg.norm(values.astype(np.float64), order)) if values.size else 0.0


def _listed(tensors: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    gradients = [param.grad for param in _listed(parameters)]
    return [gradient for gradient in gradients if gradient is not None]
