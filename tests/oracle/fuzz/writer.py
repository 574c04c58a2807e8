"""Makes up statements: a `Writer` looks at PyTorch's tensors and says what comes next.

Most statements fit their operands; about one in twenty is written without looking, so that errors
are compared too. Tensors that are no longer of moderate size are left alone: their rounding says
nothing. What there is to write is in `phrases`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

FLOATS = ("float32", "float32", "float32", "float64")
DTYPES = (*FLOATS, "float32", "int64", "int32", "bool", "uint8")
SHAPES: tuple[tuple[int, ...], ...] = (
    (), (1,), (3,), (2, 3), (2, 3), (3, 3), (1, 3), (2, 1), (2, 2, 3), (2, 1, 3), (0, 3),
)  # fmt: skip
LARGEST = 100.0
BLIND = 0.05  # how often operands are taken without a look at their shapes


class Writer:
    """A stream of random choices over the tensors that exist by now."""

    def __init__(self, seed: int, names: dict[str, Any], tensor_type: type) -> None:
        self.rng = random.Random(seed)
        self.names, self.tensor_type = names, tensor_type
        self.count = 0

    # Choices

    def one(self, options: Any) -> Any:
        """One of `options`."""
        return options[int(self.rng.random() * len(options))]

    def chance(self, p: float) -> bool:
        """True with probability `p`."""
        return self.rng.random() < p

    def number(self) -> str:
        """A small number, of either kind."""
        return self.one(("2", "-1", "3", "0.5", "-1.5", "0.25", "1.0", "0"))

    def new(self) -> str:
        """A name that is not taken."""
        self.count += 1
        return f"v{self.count}"

    # Tensors

    def pick(self, wanted: Callable[[Any], bool] = lambda tensor: True) -> str:
        """A tensor of moderate size for which `wanted` holds, newer ones more often."""
        names = list(self.names)
        for _ in range(6):
            place = max(self.rng.random(), self.rng.random() * 1.2 - 0.2)
            name = names[int(place * len(names))]
            tensor = self.names[name]
            if self.is_tensor(tensor) and holds(wanted, tensor) and self.moderate(name):
                return name
        return self.one([n for n in names if self.is_tensor(self.names[n])])

    def is_tensor(self, value: Any) -> bool:
        """Whether a name stands for a tensor (and not for a hook's handle)."""
        return isinstance(value, self.tensor_type)

    def moderate(self, name: str) -> bool:
        """Whether all values are finite and not large."""
        values = self.names[name].detach().numpy()
        return values.dtype == bool or values.size == 0 or bool(np.abs(values).max() <= LARGEST)

    def floating(self) -> str:
        """A tensor of floating-point numbers."""
        return self.pick(lambda tensor: tensor.dtype.is_floating_point)

    def tracked(self) -> str:
        """A tensor that requires a gradient."""
        return self.pick(lambda tensor: tensor.requires_grad)

    def with_dims(self, *counts: int) -> str:
        """A floating tensor with one of these numbers of dimensions."""
        return self.pick(lambda tensor: tensor.dtype.is_floating_point and tensor.dim() in counts)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor."""
        return tuple(self.names[name].shape)

    def beside(self, name: str, only: Callable[[Any], bool] = lambda tensor: True) -> str:
        """A tensor that broadcasts with `name`."""
        if self.chance(BLIND):
            return self.pick()
        shape = self.shape(name)
        return self.pick(lambda tensor: only(tensor) and broadcasts(tuple(tensor.shape), shape))

    def into(self, name: str) -> str:
        """A tensor that can be written into `name`."""
        if self.chance(BLIND):
            return self.pick()
        shape, target = self.shape(name), self.names[name]
        return self.pick(
            lambda tensor: (
                tensor.dim() <= len(shape)
                # PyTorch may read what it has written where the two overlap in part.
                and (tensor is target or not shares_memory(tensor, target))
                and all(a in (1, b) for a, b in zip(tensor.shape[::-1], shape[::-1], strict=False))
            )
        )

    def dim(self, name: str) -> int:
        """A dimension of `name`, sometimes counted from the end, sometimes none of its own."""
        count = len(self.shape(name))
        if self.chance(BLIND) or count == 0:
            return self.one((0, -1, 1, 2))
        return int(self.rng.random() * 2 * count) - count

    def size(self, name: str, dim: int) -> int:
        """The length of `name` along `dim`; 1 if it has no such dimension."""
        shape = self.shape(name)
        return shape[dim] if -len(shape) <= dim < len(shape) else 1

    def place(self, length: int) -> int:
        """An index along a dimension, from either end."""
        if self.chance(BLIND) or length == 0:
            return self.one((0, 5, -7))
        return int(self.rng.random() * 2 * length) - length

    def literal(self, shape: tuple[int, ...], dtype: str) -> str:
        """Nested lists of numbers with two digits (or whole, or truth values), ties among them."""
        if shape:
            return "[" + ", ".join(self.literal(shape[1:], dtype) for _ in range(shape[0])) + "]"
        if dtype == "bool":
            return str(self.chance(0.5))
        if dtype == "uint8":
            return str(self.rng.randrange(6))
        if dtype.startswith("int"):
            return str(self.rng.randrange(-4, 6))
        return str(self.rng.randrange(-20, 21) / 10)

    def leaf(self, trained: bool | None = None) -> str:
        """A new tensor of given numbers."""
        dtype = self.one(DTYPES if trained is None else FLOATS)
        shape = self.one(SHAPES)
        text = f"torch.tensor({self.literal(shape, dtype)}, dtype=torch.{dtype}"
        if shape == (0, 3):
            text = f"torch.zeros(0, 3, dtype=torch.{dtype}"
        asks = trained or (trained is None and dtype.startswith("float") and self.chance(0.5))
        if asks or (dtype == "int64" and self.chance(0.03)):
            text += ", requires_grad=True"
        return text + ")"


def shares_memory(one: Any, other: Any) -> bool:
    """Whether two tensors have one storage."""
    return one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()


def holds(wanted: Callable[[Any], bool], tensor: Any) -> bool:
    """Whether a tensor is what is wanted; one that may not be asked (see `machine.fact`) is not."""
    try:
        return wanted(tensor)
    except RuntimeError:
        return False


def broadcasts(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether two shapes broadcast."""
    return all(a == b or 1 in (a, b) for a, b in zip(one[::-1], other[::-1], strict=False))
