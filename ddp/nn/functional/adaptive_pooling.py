"""Pooling to a given size as functions: as many cells as asked for, whatever the input's size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ddp.autograd.ops import adaptive_max_pool as max_op
from ddp.autograd.ops import adaptive_pool
from ddp.autograd.ops.window import Pair
from ddp.autograd.tensor import Tensor
from ddp.nn.functional.pooling import as_images
from ddp.nn.functional.sizes import Size, along, image_size

OutputSize = int | Sequence[int | None] | None


def adaptive_avg_pool2d(input: Tensor, output_size: OutputSize) -> Tensor:
    """The means of a grid of cells: (N, C, H, W) or (C, H, W) → (…, C, *output_size).

    None in `output_size` keeps the input's size.
    """
    if input.ndim == 3:
        return adaptive_avg_pool2d(input.unsqueeze(0), output_size)[0]
    size = _grid("adaptive_avg_pool2d", input, output_size)
    if size == (1, 1):
        return input.mean((-1, -2), keepdim=True)
    return adaptive_pool.adaptive_avg_pool2d(input, size)


def adaptive_max_pool2d(
    input: Tensor, output_size: OutputSize, return_indices: bool = False
) -> Any:
    """The maxima of a grid of cells, sizes as in `adaptive_avg_pool2d`.

    With `return_indices` also where each lies in its plane, as row · W + column (int64).
    """
    if input.ndim == 3:
        found = adaptive_max_pool2d_with_indices(input.unsqueeze(0), output_size)
        return (found[0][0], found[1][0]) if return_indices else found[0][0]
    found = max_op.adaptive_max_pool2d(input, _grid("adaptive_max_pool2d", input, output_size))
    return found if return_indices else found[0]


def adaptive_max_pool2d_with_indices(
    input: Tensor, output_size: OutputSize, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """`adaptive_max_pool2d` with the indices, whatever `return_indices` says."""
    maxima, indices = adaptive_max_pool2d(input, output_size, return_indices=True)
    return maxima, indices


def adaptive_avg_pool1d(input: Tensor, output_size: Size) -> Tensor:
    """The means of `output_size` parts of (N, C, L) or (C, L)."""
    size = _length("adaptive_avg_pool1d", output_size)
    return adaptive_avg_pool2d(as_images(input), size).squeeze(-2)


def adaptive_max_pool1d(input: Tensor, output_size: Size, return_indices: bool = False) -> Any:
    """The maxima of `output_size` parts of (N, C, L) or (C, L), perhaps with their places."""
    size = _length("adaptive_max_pool1d", output_size)
    found = adaptive_max_pool2d_with_indices(as_images(input), size)
    return (found[0].squeeze(-2), found[1].squeeze(-2)) if return_indices else found[0].squeeze(-2)


def adaptive_max_pool1d_with_indices(
    input: Tensor, output_size: Size, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """`adaptive_max_pool1d` with the indices, whatever `return_indices` says."""
    maxima, indices = adaptive_max_pool1d(input, output_size, return_indices=True)
    return maxima, indices


def _grid(name: str, input: Tensor, output_size: OutputSize) -> Pair:
    """Rows and columns of the output."""
    if input.ndim < 3:
        raise ValueError(f"Input dimension should be at least 3, got {input.ndim}")
    image = image_size(input)
    repeated = output_size is None or isinstance(output_size, int)
    wanted: Any = (output_size,) * 2 if repeated else tuple(output_size)  # type: ignore[arg-type]
    if len(wanted) != 2:
        raise RuntimeError(f"{name}: output_size must be 2")
    if any(size is not None and size < 0 for size in wanted):
        raise RuntimeError(f"{name}: output_size must not be negative, got {wanted}")
    height, width = (n if w is None else w for n, w in zip(image, wanted, strict=True))
    return height, width


def _length(name: str, output_size: Size) -> Pair:
    if not isinstance(output_size, int) and len(output_size) != 1:
        raise RuntimeError(
            f"{name}() argument 'output_size' should contain one int (got {len(output_size)})"
        )
    return along(output_size, 1)
