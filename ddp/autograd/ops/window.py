"""Where the windows of convolution and pooling lie."""

from __future__ import annotations

from typing import NamedTuple

from ddp.autograd.node import Array

Pair = tuple[int, int]


class Window(NamedTuple):
    """A kernel's windows on an image; pairs are (vertical, horizontal), in pixels."""

    kernel: Pair
    stride: Pair
    padding: tuple[Pair, Pair]  # ((top, bottom), (left, right))
    dilation: Pair
    input: Pair
    output: Pair

    @property
    def padded(self) -> Pair:
        """Height and width of the image with its padding."""
        (top, bottom), (left, right) = self.padding
        return self.input[0] + top + bottom, self.input[1] + left + right

    @property
    def reach(self) -> Pair:
        """How far a window's last pixel lies from its first."""
        (kh, kw), (dh, dw) = self.kernel, self.dilation
        return dh * (kh - 1), dw * (kw - 1)

    @property
    def is_padded(self) -> bool:
        """Whether the image needs a frame."""
        return self.padded != self.input

    @property
    def is_pointwise(self) -> bool:
        """Whether the columns are the image itself."""
        return self.kernel == self.stride == (1, 1) and self.padded == self.input

    @property
    def is_disjoint(self) -> bool:
        """Whether no pixel lies in two windows."""
        (kh, kw), (sh, sw) = self.reach, self.stride
        return kh < sh and kw < sw

    def interior(self, padded: Array) -> Array:
        """The image inside a padded (N, Hp, Wp, C) array."""
        (top, _), (left, _) = self.padding
        return padded[:, top : top + self.input[0], left : left + self.input[1]]

    def shifted(self, image: Array, row: int, column: int) -> Array:
        """The pixels of (N, Hp, Wp, C) that position (row, column) of the windows sees."""
        top, left = row * self.dilation[0], column * self.dilation[1]
        height = (self.output[0] - 1) * self.stride[0] + 1
        width = (self.output[1] - 1) * self.stride[1] + 1
        return image[:, top : top + height : self.stride[0], left : left + width : self.stride[1]]

    def inside(self, axis: int, place: int, first: int, last: int) -> tuple[slice, slice]:
        """The windows `first` to `last` along `axis` whose `place` is in the image, and where."""
        stride = self.stride[axis]
        offset = place * self.dilation[axis] - self.padding[axis][0]
        first = max(first, -(offset // stride))
        last = min(last, (self.input[axis] - 1 - offset) // stride + 1)
        if last <= first:
            return slice(0, 0), slice(0, 0)
        pixel = first * stride + offset
        return slice(first, last), slice(pixel, pixel + (last - first - 1) * stride + 1, stride)


def window_on(
    image: Pair,
    kernel: Pair,
    stride: Pair,
    padding: tuple[Pair, Pair],
    dilation: Pair,
    ceil_mode: bool = False,
) -> Window:
    """The windows on an image of size `image`; whether there are any is the caller's to check.

    With `ceil_mode` a last window may hang over the lower or right edge, but must begin inside the
    image or its upper or left padding: the padding grows by what hangs over.
    """
    rows, vertical = _along(image[0], kernel[0], stride[0], padding[0], dilation[0], ceil_mode)
    columns, horizontal = _along(image[1], kernel[1], stride[1], padding[1], dilation[1], ceil_mode)
    return Window(kernel, stride, (vertical, horizontal), dilation, image, (rows, columns))


def _along(
    size: int, kernel: int, stride: int, padding: Pair, dilation: int, ceil_mode: bool
) -> tuple[int, Pair]:
    before, after = padding
    reach = dilation * (kernel - 1) + 1
    room = size + before + after - reach
    count = room // stride + 1
    if ceil_mode and room % stride != 0 and count * stride < size + before:
        after += count * stride - room
        count += 1
    return count, (before, after)
