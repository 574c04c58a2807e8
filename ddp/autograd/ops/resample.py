"""Other sizes of images: interpolation, and channels traded for pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.ops.adaptive_pool import span
from ddp.autograd.tensor import Tensor, wrap


def interpolate(input: Tensor, weights: list[Array], kind: str) -> Tensor:
    """Every axis after (N, C) made of its old places: `weights` has a matrix (new, old) for each.

    `kind` is the first part of the node's name.
    """
    output = wrap(applied(np.ascontiguousarray(input.array), weights))
    if node := UpsampleBackward.record(output, input):
        node.kind = f"{kind}{len(weights)}D"
        node.save(*weights)
    return output


def applied(x: Array, matrices: list[Array]) -> Array:
    """Each matrix times the axis it belongs to, the last axes of x."""
    for axis, matrix in enumerate(matrices, x.ndim - len(matrices)):
        if axis == x.ndim - 1:
            x = x @ matrix.T
        else:
            x = np.moveaxis(np.moveaxis(x, axis, -1) @ matrix.T, -1, axis)
    return np.ascontiguousarray(x)


def nearest_weights(old: int, new: int, scale: float) -> Array:
    """A 1 at the place ⌊i · scale⌋ that place i repeats (computed in float32, as in PyTorch)."""
    place = np.floor(np.arange(new, dtype=np.float32) * np.float32(scale)).astype(np.int64)
    return np.eye(old, dtype=np.float32)[np.minimum(place, old - 1)]


def nearest_exact_weights(old: int, new: int, scale: float) -> Array:
    """A 1 at the place whose centre is nearest to that of place i (in float32 too)."""
    centre = np.arange(new, dtype=np.float32) + np.float32(0.5)
    place = np.floor(centre * np.float32(scale)).astype(np.int64)
    return np.eye(old, dtype=np.float32)[np.minimum(place, old - 1)]


def area_weights(old: int, new: int) -> Array:
    """Equal shares of the places that each of `new` cells covers, as in `adaptive_pool.py`."""
    weights = np.zeros((new, old))
    for i in range(new):
        cell = span(i, old, new)
        weights[i, cell] = 1 / (cell.stop - cell.start)
    return weights


def linear_weights(
    old: int, new: int, scale: float, align_corners: bool, dtype: DTypeLike
) -> Array:
    """Two neighbours' shares of every new place, computed in `dtype`."""
    place, ratio, half = np.arange(new, dtype=dtype), np.array(scale, dtype), np.array(0.5, dtype)
    source = place * ratio if align_corners else np.maximum((place + half) * ratio - half, 0)
    left = np.minimum(np.floor(source).astype(np.int64), old - 1)
    share = source - left
    weights = np.zeros((new, old), dtype)
    rows = np.arange(new)
    weights[rows, left] = 1 - share
    weights[rows, np.minimum(left + 1, old - 1)] += share
    return weights


def cubic_weights(old: int, new: int, scale: float, align_corners: bool, dtype: DTypeLike) -> Array:
    """Four neighbours' shares of every new place: Keys' cubic convolution with a = -3/4."""
    place, ratio, half = np.arange(new, dtype=dtype), np.array(scale, dtype), np.array(0.5, dtype)
    source = place * ratio if align_corners else (place + half) * ratio - half
    left = np.floor(source)
    t = source - left
    weights = np.zeros((new, old), dtype)
    for offset, share in enumerate((_far(t + 1), _near(t), _near(1 - t), _far(2 - t)), -1):
        column = np.clip(left.astype(np.int64) + offset, 0, old - 1)
        weights[np.arange(new), column] += share
    return weights


CUBIC = -0.75


def _near(x: Array) -> Array:
    """The cubic at a distance up to 1."""
    return ((CUBIC + 2) * x - (CUBIC + 3)) * x * x + 1


def _far(x: Array) -> Array:
    """The cubic at a distance from 1 to 2."""
    return ((CUBIC * x - 5 * CUBIC) * x + 8 * CUBIC) * x - 4 * CUBIC


class UpsampleBackward(Node):
    """y = W x along each axis;  dx = Wᵀ dy."""

    __slots__ = ("kind",)

    kind: str

    def backward(self, dy: Array) -> Gradients:
        return (applied(np.ascontiguousarray(dy), [matrix.T for matrix in self.saved]),)

    def name(self) -> str:
        return f"{self.kind}Backward0"


def pixel_shuffle(input: Tensor, factor: int) -> Tensor:
    """(..., C·r², H, W) → (..., C, H·r, W·r)."""
    output = wrap(shuffled(input.array, factor))
    if node := PixelShuffleBackward0.record(output, input):
        node.factor = factor
    return output


def shuffled(x: Array, r: int) -> Array:
    """Channels to pixels."""
    *batch, channels, height, width = x.shape
    x = x.reshape(*batch, channels // (r * r), r, r, height, width)
    n = len(batch)
    x = x.transpose(*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return x.reshape(*batch, channels // (r * r), height * r, width * r)


def unshuffled(x: Array, r: int) -> Array:
    """Pixels to channels."""
    *batch, channels, height, width = x.shape
    x = x.reshape(*batch, channels, height // r, r, width // r, r)
    n = len(batch)
    x = x.transpose(*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return x.reshape(*batch, channels * r * r, height // r, width // r)


class PixelShuffleBackward0(Node):
    """dx = dy, every pixel back in its channel."""

    __slots__ = ("factor",)

    factor: int

    def backward(self, dy: Array) -> Gradients:
        return (unshuffled(dy, self.factor),)


def pixel_unshuffle(input: Tensor, factor: int) -> Tensor:
    """(..., C, H·r, W·r) → (..., C·r², H, W)."""
    output = wrap(unshuffled(input.array, factor))
    if node := PixelUnshuffleBackward0.record(output, input):
        node.factor = factor
    return output


class PixelUnshuffleBackward0(Node):
    """dx = dy, every channel back among the pixels."""

    __slots__ = ("factor",)

    factor: int

    def backward(self, dy: Array) -> Gradients:
        return (shuffled(dy, self.factor),)
