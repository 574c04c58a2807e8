"""Stacks and grids: hstack and its kin, meshgrid, products of sets, triangles of indices."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ddp.autograd.dtypes import as_dtype
from ddp.autograd.ops.index import getitem
from ddp.autograd.ops.join import cat, require_list, stack
from ddp.autograd.ops.shape import expand, reshape
from ddp.autograd.tensor import Tensor, wrap


def _each(one: Any, tensors: tuple[Any, ...]) -> Any:
    """`one` of a single tensor, or of each of several (given one by one or as a sequence)."""
    if len(tensors) == 1 and isinstance(tensors[0], Tensor):
        return one(tensors[0])
    if len(tensors) == 1:
        tensors = tuple(tensors[0])
    return tuple([one(tensor) for tensor in tensors])


def atleast_1d(*tensors: Any) -> Any:
    """0-d tensors as vectors, others as they are."""
    return _each(lambda x: x if x.ndim else reshape(x, 1), tensors)


def atleast_2d(*tensors: Any) -> Any:
    """Vectors as one row, others as they are."""
    return _each(lambda x: x if x.ndim > 1 else reshape(x, 1, -1), tensors)


def atleast_3d(*tensors: Any) -> Any:
    """Vectors as (1, n, 1), matrices as (m, n, 1), others as they are."""
    return _each(
        lambda x: x if x.ndim > 2 else reshape(atleast_2d(x), (*atleast_2d(x).shape, 1)), tensors
    )


def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Side by side: along the second axis, vectors along their only one."""
    require_list("hstack", tensors)
    parts = atleast_1d(tensors)
    return cat(parts, 0 if parts[0].ndim == 1 else 1)


def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """One under the other, vectors as rows."""
    require_list("vstack", tensors)
    return cat(atleast_2d(tensors), 0)


def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """One behind the other, along the third axis."""
    require_list("dstack", tensors)
    return cat(atleast_3d(tensors), 2)


def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """Side by side, vectors as columns."""
    return hstack([x if x.ndim > 1 else reshape(x, -1, 1) for x in tensors])


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Grids of coordinates: the i-th vector varies along axis i ("xy": the first two swapped)."""
    if indexing not in ("ij", "xy"):
        raise RuntimeError(
            f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}'
        )
    vectors = tensors if isinstance(tensors[0], Tensor) else tuple(tensors[0])
    swapped = indexing == "xy" and len(vectors) >= 2
    if swapped:
        vectors = (vectors[1], vectors[0], *vectors[2:])
    shape = tuple([vector.numel() for vector in vectors])
    grids = [
        expand(reshape(vector, [-1 if j == i else 1 for j in range(len(shape))]), shape)
        for i, vector in enumerate(vectors)
    ]
    if not swapped:
        return tuple(grids)
    second, first, *rest = grids
    return first, second, *rest


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All tuples of an element of each vector, one per row."""
    if len(tensors) == 1:
        return tensors[0]
    return stack([reshape(grid, -1) for grid in meshgrid(*tensors)], 1)


def combinations(x: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of r elements of a vector, one per row."""
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = np.array(list(choose(range(x.numel()), r)), np.int64).reshape(-1, r)
    return getitem(x, rows)


def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: DTypeLike = np.int64, device: Any = None
) -> Tensor:
    """The (2, n) indices of a matrix's lower triangle, row by row."""
    return wrap(np.array(np.tril_indices(row, offset, col), as_dtype(dtype)))


def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: DTypeLike = np.int64, device: Any = None
) -> Tensor:
    """The (2, n) indices of a matrix's upper triangle, row by row."""
    return wrap(np.array(np.triu_indices(row, offset, col), as_dtype(dtype)))


def block_diag(*tensors: Tensor) -> Tensor:
    """The matrices along the diagonal, zeros elsewhere."""
    blocks = [atleast_2d(x) for x in tensors]
    width = sum(block.shape[1] for block in blocks)
    rows, left = [], 0
    for block in blocks:
        height, own = block.shape
        before = wrap(np.zeros((height, left), block.array.dtype))
        after = wrap(np.zeros((height, width - left - own), block.array.dtype))
        rows.append(cat([before, block, after], 1))
        left += own
    return cat(rows, 0)


def kron(a: Tensor, b: Tensor) -> Tensor:
    """Every element of a times the whole of b, laid out as blocks."""
    rank = max(a.ndim, b.ndim)
    a_shape = (1,) * (rank - a.ndim) + a.shape
    b_shape = (1,) * (rank - b.ndim) + b.shape
    tall = reshape(a, [n for length in a_shape for n in (length, 1)])
    wide = reshape(b, [n for length in b_shape for n in (1, length)])
    return reshape(tall * wide, [m * n for m, n in zip(a_shape, b_shape, strict=True)])
