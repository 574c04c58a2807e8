"""The table of Tensor's operations: which function each method and operator is.

The functions stand in `ddp/autograd/ops` and take the tensor as their first argument. Type
checkers see this class as Tensor's base; at run time `install` puts its entries on Tensor
itself, so that a method call costs nothing more than the function.
"""

from __future__ import annotations

from typing import Any

from ddp.autograd import gradients
from ddp.autograd.ops import (
    activation,
    arithmetic,
    convert,
    elementwise,
    index,
    inplace,
    join,
    moments,
    reduce,
    select,
    shape,
)
from ddp.autograd.ops import matmul as products
from ddp.autograd.ops import softmax as normalised


class Methods:
    """One line per method."""

    __slots__ = ()

    backward = gradients.tensor_backward

    __add__ = arithmetic.add
    __radd__ = arithmetic.add
    __sub__ = arithmetic.sub
    __rsub__ = arithmetic.rsub
    __mul__ = arithmetic.mul
    __rmul__ = arithmetic.mul
    __truediv__ = arithmetic.div
    __rtruediv__ = arithmetic.rdiv
    __floordiv__ = arithmetic.floor_divide
    __mod__ = arithmetic.remainder
    __rfloordiv__ = arithmetic.rfloor_divide
    __rmod__ = arithmetic.rremainder
    __pow__ = arithmetic.pow
    __rpow__ = arithmetic.rpow
    __neg__ = arithmetic.neg
    __abs__ = arithmetic.abs
    add = arithmetic.add
    sub = arithmetic.sub
    mul = arithmetic.mul
    div = arithmetic.div
    neg = arithmetic.neg
    abs = arithmetic.abs
    pow = arithmetic.pow
    square = arithmetic.square
    reciprocal = arithmetic.reciprocal
    remainder = arithmetic.remainder
    floor_divide = arithmetic.floor_divide
    subtract = arithmetic.sub
    multiply = arithmetic.mul
    divide = arithmetic.div

    exp = elementwise.exp
    log = elementwise.log
    log1p = elementwise.log1p
    sqrt = elementwise.sqrt
    rsqrt = elementwise.rsqrt
    sin = elementwise.sin
    cos = elementwise.cos
    sign = elementwise.sign
    floor = elementwise.floor
    isnan = elementwise.isnan
    isinf = elementwise.isinf
    isfinite = elementwise.isfinite

    relu = activation.relu
    sigmoid = activation.sigmoid
    tanh = activation.tanh

    softmax = normalised.softmax
    log_softmax = normalised.log_softmax

    __eq__ = select.eq
    __ne__ = select.ne
    __lt__ = select.lt
    __le__ = select.le
    __gt__ = select.gt
    __ge__ = select.ge
    __and__ = select.bitwise_and
    __or__ = select.bitwise_or
    __xor__ = select.bitwise_xor
    __invert__ = select.bitwise_not
    eq = select.eq
    ne = select.ne
    lt = select.lt
    le = select.le
    gt = select.gt
    ge = select.ge
    maximum = select.maximum
    minimum = select.minimum
    clamp = select.clamp
    clamp_min = select.clamp_min
    clamp_max = select.clamp_max
    clip = select.clamp
    masked_fill = select.masked_fill
    tril = select.tril
    triu = select.triu

    __matmul__ = products.matmul
    matmul = products.matmul
    mm = products.mm
    bmm = products.bmm
    mv = products.mv
    dot = products.dot

    sum = reduce.sum
    mean = reduce.mean
    max = reduce.max
    min = reduce.min
    amax = reduce.amax
    amin = reduce.amin
    argmax = reduce.argmax
    argmin = reduce.argmin
    all = reduce.all
    any = reduce.any

    var = moments.var
    std = moments.std
    norm = moments.norm
    prod = moments.prod
    cumsum = moments.cumsum

    reshape = shape.reshape
    view = shape.view
    flatten = shape.flatten
    transpose = shape.transpose
    t = shape.t
    permute = shape.permute
    expand = shape.expand
    expand_as = shape.expand_as
    unsqueeze = shape.unsqueeze
    squeeze = shape.squeeze
    movedim = shape.movedim
    flip = shape.flip
    repeat = shape.repeat
    T = property(shape.reverse_axes)
    mT = property(shape.matrix_transpose)

    __getitem__ = index.getitem
    gather = index.gather
    index_select = index.index_select

    split = join.split
    chunk = join.chunk
    unbind = join.unbind
    narrow = join.narrow

    clone = convert.clone
    contiguous = convert.contiguous
    to = convert.to
    double = convert.double
    float = convert.float_
    half = convert.half
    long = convert.long
    int = convert.int_
    bool = convert.bool_
    cpu = convert.cpu

    __iadd__ = inplace.add_
    __isub__ = inplace.sub_
    __imul__ = inplace.mul_
    __itruediv__ = inplace.div_
    __ipow__ = inplace.pow_
    __setitem__ = inplace.setitem
    add_ = inplace.add_
    sub_ = inplace.sub_
    mul_ = inplace.mul_
    div_ = inplace.div_
    pow_ = inplace.pow_
    neg_ = inplace.neg_
    abs_ = inplace.abs_
    exp_ = inplace.exp_
    sqrt_ = inplace.sqrt_
    clamp_ = inplace.clamp_
    zero_ = inplace.zero_
    fill_ = inplace.fill_
    copy_ = inplace.copy_


def install(tensor_class: type[Any]) -> None:
    """Put the operations on `tensor_class`."""
    for name, function in vars(Methods).items():
        if callable(function) or isinstance(function, property):
            setattr(tensor_class, name, function)
