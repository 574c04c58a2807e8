"""Matrix products in the pieces that OpenBLAS multiplies fastest.

For a product of at most 10⁶ multiplications OpenBLAS has kernels (on processors with AVX-512) that
read the operands where they lie; for larger ones it first copies both into an order of its own,
which pays when each copied number is used often. With few columns it does not: of a product of
(227, 147) and (147, 64) the pieces run at 200 GFLOP/s, the whole at 140. Pieces of few rows would
in turn cost the processors that have no such kernels, so they have at least LEAST_ROWS. Stacks of
matrices, and one that stays in the cache, are cut into strips of columns as well: with operands of
(64, 512) and (512, 512) pieces of 16 rows and 64 columns take three quarters of the time. Both
operands should begin on a cache line.

A large matrix beside the few rows of a batch is the exception: a product in pieces of 12 to 48 rows
takes a tenth to a third less time with those kernels, and a tenth more without.

The size of the pieces decides bits: it depends on shapes only.
"""

from __future__ import annotations

import numpy as np

from ddp.autograd.node import Array
from ddp.autograd.ops.blocks import aligned_copy
from ddp.autograd.ops.layout import ones

SMALL = 1_000_000
LEAST_ROWS = 48
ROWS = 16  # that the kernels work on together
IN_CACHE = 512 << 10  # bytes of a matrix that is read again for every piece
STRIP = 64  # columns that are worked on together, where whole rows are too long
TALL, WIDE = 32, 128  # rows and columns of a piece, where both are cut and rows are summed over
MOST_ROWS = 96  # that are added up at a time, where rows are what is summed over
FEW = 32  # rows of a batch up to which a large matrix is worth cutting into
ROWS_OF_LARGE = 12  # that the kernels work on together, there
MOST_OF_LARGE = 48  # rows of a piece, there


def product(a: Array, b: Array, out: Array) -> None:
    """a @ b into `out`: (..., M, K), (..., K, N), (..., M, N), with rows that lie densely."""
    most = piece_rows(b)
    if most == 0 and is_cut_into_strips(b):
        most = SMALL // (b.shape[-2] * STRIP) // ROWS * ROWS
        a, b, out = a[..., None, :, :], strips(b, STRIP), strips(out, STRIP)
    _product_in_pieces(a, b, out, most and fair_share(a.shape[-2], most))


def product_of_large(a: Array, b: Array, out: Array) -> None:
    """a @ b into `out` for a large (M, K), where K or N are the few rows of a batch.

    `out` (M, N) is dense.
    """
    piece = min(MOST_OF_LARGE, SMALL // max(1, b.size)) // ROWS_OF_LARGE * ROWS_OF_LARGE
    if piece == 0 or min(b.shape) > FEW or len(a) * b.size <= SMALL:
        np.matmul(a, b, out=out)
    else:
        _product_in_pieces(a, aligned_copy(b), out, piece)


def _product_in_pieces(a: Array, b: Array, out: Array, piece: int) -> None:
    whole = 0 if piece == 0 else a.shape[-2] // piece * piece
    if whole > 0:
        np.matmul(
            row_pieces(a[..., :whole, :], piece),
            b[..., None, :, :],
            out=row_pieces(out[..., :whole, :], piece),
        )
    if whole < a.shape[-2]:
        np.matmul(a[..., whole:, :], b, out=out[..., whole:, :])


def fair_share(count: int, most: int) -> int:
    """The size of each part, when as few parts as can be of at most `most` share `count` alike."""
    parts = max(1, -(-count // max(1, most)))
    return max(1, -(-count // parts))


def is_cut_into_strips(b: Array) -> bool:
    """Whether (..., K, N), of which whole rows are too long for a piece, is cut across as well."""
    depth, width = b.shape[-2:]
    fits = width % STRIP == 0 and depth * STRIP * ROWS <= SMALL
    return fits and (b.ndim > 2 or b.nbytes <= IN_CACHE)


def row_pieces(matrix: Array, rows: int) -> Array:
    """(..., M, N) → (..., M / rows, rows, N), a view."""
    *rest, height, width = matrix.shape
    return matrix.reshape(*rest, height // rows, rows, width)


def strips(matrix: Array, width: int) -> Array:
    """(..., M, N) → (..., N / width, M, width), a view."""
    *rest, columns = matrix.shape
    return matrix.reshape(*rest, columns // width, width).swapaxes(-2, -3)


def product_of_columns(a: Array, b: Array, out: Array) -> None:
    """aᵀ @ b into `out`: (M, N), (M, K), (N, K), all dense."""
    if out.shape[1] % ROWS > 0 == out.shape[0] % ROWS:  # the kernels like it the other way round
        turned = np.empty(out.shape[::-1], out.dtype)
        product_of_columns(b, a, turned)
        out[...] = turned.T
        return
    piece = min(MOST_ROWS, piece_rows(out))
    whole = 0 if piece == 0 else len(a) // piece * piece
    if piece == 0 and len(a) <= MOST_ROWS:
        products_of_columns(a[None], b[None], out[None])
    elif whole <= piece:
        np.matmul(a.T, b, out=out)
    else:
        parts = np.matmul(row_pieces(a[:whole], piece).swapaxes(1, 2), row_pieces(b[:whole], piece))
        np.matmul(ones(len(parts), out.dtype), parts.reshape(len(parts), -1), out=out.reshape(-1))
        if whole < len(a):
            out += a[whole:].T @ b[whole:]


def products_of_columns(a: Array, b: Array, out: Array) -> None:
    """aᵀ @ b into `out` for stacks of matrices: (S, M, K), (S, M, N), (S, K, N), all dense.

    A large `out` is not in the cache: pieces of more columns than rows are written faster.
    """
    a = a.swapaxes(-2, -1)
    if a.shape[1] % TALL or b.shape[2] % WIDE or a.shape[2] * TALL * WIDE > SMALL:
        np.matmul(a, b, out=out)
    else:
        np.matmul(
            row_pieces(a, TALL)[:, :, None],
            strips(b, WIDE)[:, None],
            out=strips(row_pieces(out, TALL), WIDE),
        )


def right_operand(b: Array) -> Array:
    """(..., K, N) as `product` likes it: in C order for pieces, else as it is."""
    return aligned_copy(b) if piece_rows(b) or is_cut_into_strips(b) else b


def piece_rows(matrix: Array) -> int:
    """How many rows make a piece with (K, N) multiplications each; 0 for the whole."""
    return rows_of_a_piece(matrix.shape[-2] * matrix.shape[-1])


def rows_of_a_piece(multiplications: int) -> int:
    """How many rows with so many multiplications each make a piece; 0 if they are too few."""
    rows = SMALL // max(1, multiplications) // ROWS * ROWS
    return rows if rows >= LEAST_ROWS else 0
