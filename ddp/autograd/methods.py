"""The table of Tensor's operations: which function each method and operator is.

The functions stand in `ddp/autograd/ops` and take the tensor as their first argument. Type
checkers see this class as Tensor's base; at run time `install` puts its entries on Tensor
itself, so that a method call costs nothing more than the function.
"""

from __future__ import annotations

from typing import Any

from ddp.autograd import engine
from ddp.autograd.ops import elementwise, index, reduce, shape
from ddp.autograd.ops import matmul as products


class Methods:
    """One line per method."""

    __slots__ = ()

    backward = engine.tensor_backward

    __add__ = elementwise.add
    __radd__ = elementwise.add
    __sub__ = elementwise.sub
    __rsub__ = elementwise.rsub
    __mul__ = elementwise.mul
    __rmul__ = elementwise.mul
    __truediv__ = elementwise.div
    __rtruediv__ = elementwise.rdiv
    __neg__ = elementwise.neg
    add = elementwise.add
    sub = elementwise.sub
    mul = elementwise.mul
    div = elementwise.div
    neg = elementwise.neg
    exp = elementwise.exp
    log = elementwise.log
    sqrt = elementwise.sqrt

    __matmul__ = products.matmul
    matmul = products.matmul
    mm = products.mm
    bmm = products.bmm
    mv = products.mv
    dot = products.dot

    sum = reduce.sum
    mean = reduce.mean

    reshape = shape.reshape
    view = shape.view
    flatten = shape.flatten
    transpose = shape.transpose
    t = shape.t
    permute = shape.permute

    __getitem__ = index.getitem


def install(tensor_class: type[Any]) -> None:
    """Put the operations on `tensor_class`."""
    for name, function in vars(Methods).items():
        if callable(function):
            setattr(tensor_class, name, function)
