"""Sizes along two axes, as arguments give them."""

from __future__ import annotations

from ddp.autograd.ops.window import Pair
from ddp.autograd.tensor import Tensor

Size = int | tuple[int, ...]


def pair(size: Size) -> Pair:
    """A size along both axes, from one number (alone or in a tuple) or two."""
    if isinstance(size, int):
        return size, size
    height, width = size if len(size) > 1 else (*size, *size)
    return height, width


def along(size: Size, other: int = 0) -> Pair:
    """A size along the horizontal axis alone: `size` is a number or a tuple of one."""
    (length,) = (size,) if isinstance(size, int) else size
    return other, length


def symmetric(padding: Pair) -> tuple[Pair, Pair]:
    """The same padding before and after."""
    return (padding[0], padding[0]), (padding[1], padding[1])


def by(sizes: tuple[int, ...], sign: str = "x") -> str:
    """Sizes as messages show them: 3x4."""
    return sign.join(map(str, sizes))


def image_size(input: Tensor) -> Pair:
    """Height and width of images (N, C, H, W); RuntimeError for another rank."""
    shape = input.array.shape
    if len(shape) != 4:
        raise RuntimeError(f"expected 3D or 4D (batched) input, but got shape {input.shape}")
    return shape[2], shape[3]
