"""What a tensor says about its memory: sizes, layout, single values.

Nothing here knows of gradients; `Tensor` inherits it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from ddp.autograd.devices import CPU, device
from ddp.autograd.dtypes import Dtype, is_floating
from ddp.autograd.node import Array


class Size(tuple[int, ...]):
    """A shape: a tuple that prints as what it is and can be multiplied out."""

    __slots__ = ()

    def __new__(cls, lengths: Iterable[int] = ()) -> Size:
        return super().__new__(cls, lengths)

    def numel(self) -> int:
        """How many elements a tensor of this shape has."""
        return math.prod(self)

    def __getitem__(self, index: Any) -> Any:
        entry = super().__getitem__(index)
        return Size(entry) if isinstance(index, slice) else entry

    def __add__(self, other: Any) -> Size:
        return Size(super().__add__(tuple(other)))

    def __repr__(self) -> str:
        return f"ddp.Size({list(self)})"


class Memory:
    """Answers that need `array` only."""

    __slots__ = ()

    array: Array
    _base: Any  # of a view: the tensor that owns the memory

    @property
    def shape(self) -> Size:
        return Size(self.array.shape)

    @property
    def device(self) -> device:
        """The CPU."""
        return CPU

    @property
    def dtype(self) -> Dtype:
        return self.array.dtype

    @property
    def ndim(self) -> int:
        return self.array.ndim

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return self.array.itemsize

    @property
    def nbytes(self) -> int:
        return self.array.nbytes

    def size(self, dim: int | None = None) -> Any:
        """The shape, or its entry `dim`."""
        if dim is None:
            return Size(self.array.shape)
        if not -self.array.ndim <= dim < self.array.ndim:
            raise IndexError(
                "Dimension out of range (expected to be in range of "
                f"[{-max(self.array.ndim, 1)}, {max(self.array.ndim, 1) - 1}], but got {dim})"
            )
        return self.array.shape[dim]

    def dim(self) -> int:
        """The number of axes."""
        return self.array.ndim

    ndimension = dim

    def numel(self) -> int:
        """The number of elements."""
        return self.array.size

    nelement = numel

    def get_device(self) -> int:
        """-1: the CPU."""
        return -1

    is_cuda = is_sparse = is_quantized = is_meta = False

    def is_complex(self) -> bool:
        """There are no complex tensors."""
        return False

    def is_signed(self) -> bool:
        """Whether the dtype has negative numbers."""
        return self.array.dtype.kind in "if"

    def element_size(self) -> int:
        """Bytes per element."""
        return self.array.itemsize

    def is_floating_point(self) -> bool:
        return is_floating(self.array.dtype)

    def is_contiguous(self) -> bool:
        """Whether the memory is dense in C order, as `stride` tells it."""
        if self.array.flags.c_contiguous and self._base is None:
            return True
        dense = dense_strides(self.array.shape)
        lengths = zip(self.array.shape, self.stride(), dense, strict=True)
        return self.array.size == 0 or all(n == 1 or step == c for n, step, c in lengths)

    def stride(self, dim: int | None = None) -> Any:
        """Elements (not bytes) from one entry to the next, per axis.

        Channels-last memory is an inner matter of the engine: it is told as if it were in C order,
        and a view of it as if it were a view of memory in C order.
        """
        owner = self.array if self._base is None else self._base.array
        steps = self.array.strides
        if is_channels_last(owner):
            strides = tuple([_told(step, owner) for step in steps])
        else:
            strides = tuple([step // self.array.itemsize for step in steps])
        return strides if dim is None else strides[dim]

    def data_ptr(self) -> int:
        """Address of the first element."""
        return self.array.ctypes.data

    def item(self) -> Any:
        """The one element as a Python number."""
        if self.array.size != 1:
            raise RuntimeError(
                f"a Tensor with {self.array.size} elements cannot be converted to Scalar"
            )
        return self.array.item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers; a number for a 0-d tensor."""
        return self.array.tolist()

    def __float__(self) -> float:
        return float(self._one())

    def __int__(self) -> int:
        return int(self._one())

    def __complex__(self) -> complex:
        return complex(self._one())

    def _one(self) -> Any:
        if self.array.size != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        return self.array.item()

    def __index__(self) -> int:
        if self.array.dtype.kind not in "iub" or self.array.size != 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.array.item())

    def __bool__(self) -> bool:
        if self.array.size > 1:
            raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
        if self.array.size == 0:
            raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
        return bool(self.array.item())

    def __len__(self) -> int:
        if self.array.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return self.array.shape[0]


def dense_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Elements from one entry to the next, per axis, in C order."""
    return tuple([math.prod(shape[axis + 1 :]) for axis in range(len(shape))])


def is_channels_last(array: Array) -> bool:
    """Whether (N, C, ...) lies in memory as (N, ..., C), dense, and not in C order as well."""
    if array.ndim < 3 or array.flags.c_contiguous:
        return False
    return array.transpose(0, *range(2, array.ndim), 1).flags.c_contiguous


def _told(step: int, owner: Array) -> int:
    """A step of so many bytes in the memory of `owner`, in elements as if it were in C order."""
    told = 0
    axes = sorted(zip(owner.strides, owner.shape, dense_strides(owner.shape), strict=True))
    for stride, length, dense in reversed(axes):
        if length > 1:
            count, step = divmod(step, stride)
            told += count * dense
    return told
