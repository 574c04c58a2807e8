"""The in-place twins of operations: `x.sin_()` computes `x.sin()` and writes it into x's memory.

`inplace.py` has the common ones, each as one ufunc without a temporary, and the rules. Here an
operation's result is computed first and copied, which is always right.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ddp.autograd.grad_mode import set_grad_enabled
from ddp.autograd.ops import (
    activation,
    arithmetic,
    arrange,
    blend,
    elementwise,
    exponential,
    logic,
    moments,
    products,
    rounding,
    scatter,
    select,
    shape,
    statistics,
    trigonometric,
)
from ddp.autograd.ops.inplace import become_view, check_and_see_whether_recorded, update
from ddp.autograd.ops.shape import as_shape
from ddp.autograd.tensor import Tensor

Operation = Callable[..., Tensor]


def in_place(operation: Operation) -> Operation:
    """The method that writes `operation(x, …)` into x and returns x."""

    @functools.wraps(operation)
    def method(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        named = functools.partial(operation, **kwargs) if kwargs else operation
        return update(x, None, named, *args)

    return method


acos_ = in_place(trigonometric.acos)
asin_ = in_place(trigonometric.asin)
atan_ = in_place(trigonometric.atan)
atan2_ = in_place(trigonometric.atan2)
cosh_ = in_place(trigonometric.cosh)
sinh_ = in_place(trigonometric.sinh)
tan_ = in_place(trigonometric.tan)
cos_ = in_place(elementwise.cos)
sin_ = in_place(elementwise.sin)
log_ = in_place(elementwise.log)
log1p_ = in_place(elementwise.log1p)
rsqrt_ = in_place(elementwise.rsqrt)
log2_ = in_place(exponential.log2)
log10_ = in_place(exponential.log10)
expm1_ = in_place(exponential.expm1)
exp2_ = in_place(exponential.exp2)
erf_ = in_place(exponential.erf)
erfinv_ = in_place(exponential.erfinv)
lgamma_ = in_place(exponential.lgamma)
logit_ = in_place(exponential.logit)
round_ = in_place(rounding.round)
floor_ = in_place(rounding.floor)
ceil_ = in_place(rounding.ceil)
trunc_ = in_place(rounding.trunc)
frac_ = in_place(rounding.frac)
sign_ = in_place(rounding.sign)
fmod_ = in_place(rounding.fmod)
nan_to_num_ = in_place(rounding.nan_to_num)
square_ = in_place(arithmetic.square)
reciprocal_ = in_place(arithmetic.reciprocal)
remainder_ = in_place(arithmetic.remainder)
floor_divide_ = in_place(arithmetic.floor_divide)
sigmoid_ = in_place(activation.sigmoid)
tanh_ = in_place(activation.tanh)
relu_ = in_place(activation.relu)
lerp_ = in_place(blend.lerp)
addcmul_ = in_place(blend.addcmul)
addcdiv_ = in_place(blend.addcdiv)
addmm_ = in_place(products.addmm)
addmv_ = in_place(products.addmv)
addr_ = in_place(products.addr)
baddbmm_ = in_place(products.baddbmm)
addbmm_ = in_place(products.addbmm)
clamp_min_ = in_place(select.clamp_min)
clamp_max_ = in_place(select.clamp_max)
masked_fill_ = in_place(select.masked_fill)
tril_ = in_place(select.tril)
triu_ = in_place(select.triu)
eq_ = in_place(select.eq)
ne_ = in_place(select.ne)
lt_ = in_place(select.lt)
le_ = in_place(select.le)
gt_ = in_place(select.gt)
ge_ = in_place(select.ge)
bitwise_and_ = in_place(logic.bitwise_and)
bitwise_or_ = in_place(logic.bitwise_or)
bitwise_xor_ = in_place(logic.bitwise_xor)
logical_and_ = in_place(logic.logical_and)
logical_or_ = in_place(logic.logical_or)
logical_xor_ = in_place(logic.logical_xor)
logical_not_ = in_place(logic.logical_not)
scatter_ = in_place(scatter.scatter)
scatter_add_ = in_place(scatter.scatter_add)
scatter_reduce_ = in_place(scatter.scatter_reduce)
index_add_ = in_place(scatter.index_add)
index_copy_ = in_place(scatter.index_copy)
index_fill_ = in_place(scatter.index_fill)
index_put_ = in_place(scatter.index_put)
masked_scatter_ = in_place(scatter.masked_scatter)
cumsum_ = in_place(moments.cumsum)
cumprod_ = in_place(statistics.cumprod)
renorm_ = in_place(statistics.renorm)


def fill_diagonal_(x: Tensor, value: float) -> Tensor:
    """The diagonal of a matrix = value."""
    arrange.diagonal(x).fill_(value)
    return x


def as_view_in_place(operation: Operation) -> Operation:
    """The method that makes x itself the view `operation(x, …)`, over the same memory.

    It is recorded wherever x has a history, under `no_grad` too: gradients must fit what x becomes.
    """

    @functools.wraps(operation)
    def method(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        check_and_see_whether_recorded(x)
        with set_grad_enabled(x._edge is not None):
            view = operation(x, *args, **kwargs)
        return become_view(x, view)

    return method


transpose_ = as_view_in_place(shape.transpose)
t_ = as_view_in_place(shape.t)
unsqueeze_ = as_view_in_place(shape.unsqueeze)
squeeze_ = as_view_in_place(shape.squeeze)


def resize_(x: Tensor, *sizes: Any) -> Tensor:
    """x in another shape: its elements in C order, and as many more as it takes; no history."""
    if x.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    if x._base is not None:
        raise NotImplementedError("a view is not resized: clone() it, or resize its base")
    x.array = np.resize(x.array, as_shape(sizes))
    return x
