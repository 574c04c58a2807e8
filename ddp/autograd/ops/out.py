"""The functions with `out=`: the result is written into a given tensor, which is returned.

As in PyTorch the tensor takes the result's shape if it has another, and its dtype must be able to
hold the result. Nothing is recorded, so operands that require a gradient are refused.
"""

from __future__ import annotations

import functools
from typing import Any, TypeVar

import numpy as np

from ddp.autograd.dtypes import can_cast
from ddp.autograd.grad_mode import is_grad_enabled
from ddp.autograd.ops import (
    activation,
    arithmetic,
    blend,
    elementwise,
    exponential,
    index,
    join,
    logic,
    products,
    reduce,
    rounding,
    select,
    statistics,
    trigonometric,
)
from ddp.autograd.ops import matmul as products_of_matrices
from ddp.autograd.tensor import Tensor

Operation = TypeVar("Operation")


def accepts_out(operation: Operation, tensors: int = 0) -> Operation:
    """`operation` with the keyword `out`; its first `tensors` arguments must not be numbers."""
    plain: Any = operation

    @functools.wraps(plain)
    def with_out(*args: Any, out: Tensor | None = None, **kwargs: Any) -> Any:
        for place, argument in enumerate(args[:tensors], 1):
            if not isinstance(argument, Tensor):
                raise TypeError(
                    f"{plain.__name__}(): argument {place} must be Tensor, not "
                    f"{type(argument).__name__}"
                )
        result = plain(*args, **kwargs)
        return result if out is None else _write(plain.__name__, result, out)

    return with_out  # type: ignore[return-value]


def _write(name: str, result: Tensor, out: Tensor) -> Tensor:
    if is_grad_enabled() and (result.requires_grad or out.requires_grad):
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, "
            "but one of the arguments requires grad."
        )
    if not can_cast(result.dtype, out.dtype):
        raise RuntimeError(
            f"result type {result.dtype} can't be cast to the desired output type {out.dtype}"
        )
    if out.array.shape != result.array.shape:
        out.array = np.empty(result.array.shape, out.array.dtype)
    return out.copy_(result)


sigmoid = accepts_out(activation.sigmoid)
tanh = accepts_out(activation.tanh)
abs = accepts_out(arithmetic.abs)
add = accepts_out(arithmetic.add)
floor_divide = accepts_out(arithmetic.floor_divide)
mul = accepts_out(arithmetic.mul)
neg = accepts_out(arithmetic.neg)
pow = accepts_out(arithmetic.pow)
reciprocal = accepts_out(arithmetic.reciprocal)
remainder = accepts_out(arithmetic.remainder)
square = accepts_out(arithmetic.square)
sub = accepts_out(arithmetic.sub)
addcdiv = accepts_out(blend.addcdiv)
addcmul = accepts_out(blend.addcmul)
div = accepts_out(blend.div)
fmax = accepts_out(blend.fmax, 2)
fmin = accepts_out(blend.fmin, 2)
lerp = accepts_out(blend.lerp)
cos = accepts_out(elementwise.cos)
exp = accepts_out(elementwise.exp)
log = accepts_out(elementwise.log)
log1p = accepts_out(elementwise.log1p)
rsqrt = accepts_out(elementwise.rsqrt)
sin = accepts_out(elementwise.sin)
sqrt = accepts_out(elementwise.sqrt)
erf = accepts_out(exponential.erf)
erfinv = accepts_out(exponential.erfinv)
exp2 = accepts_out(exponential.exp2)
expm1 = accepts_out(exponential.expm1)
log10 = accepts_out(exponential.log10)
log2 = accepts_out(exponential.log2)
logaddexp = accepts_out(exponential.logaddexp, 2)
gather = accepts_out(index.gather)
index_select = accepts_out(index.index_select)
cat = accepts_out(join.cat)
stack = accepts_out(join.stack)
bitwise_and = accepts_out(logic.bitwise_and)
bitwise_or = accepts_out(logic.bitwise_or)
bitwise_xor = accepts_out(logic.bitwise_xor)
logical_and = accepts_out(logic.logical_and, 2)
logical_not = accepts_out(logic.logical_not)
logical_or = accepts_out(logic.logical_or, 2)
logical_xor = accepts_out(logic.logical_xor, 2)
bmm = accepts_out(products_of_matrices.bmm)
dot = accepts_out(products_of_matrices.dot)
matmul = accepts_out(products_of_matrices.matmul)
mm = accepts_out(products_of_matrices.mm)
mv = accepts_out(products_of_matrices.mv)
cumsum = accepts_out(statistics.cumsum)
addmm = accepts_out(products.addmm)
addmv = accepts_out(products.addmv)
baddbmm = accepts_out(products.baddbmm)
outer = accepts_out(products.outer)
argmax = accepts_out(reduce.argmax)
argmin = accepts_out(reduce.argmin)
mean = accepts_out(reduce.mean)
sum = accepts_out(reduce.sum)
ceil = accepts_out(rounding.ceil)
floor = accepts_out(rounding.floor)
fmod = accepts_out(rounding.fmod, 1)
frac = accepts_out(rounding.frac)
round = accepts_out(rounding.round)
sign = accepts_out(rounding.sign)
trunc = accepts_out(rounding.trunc)
clamp = accepts_out(select.clamp)
eq = accepts_out(select.eq, 1)
ge = accepts_out(select.ge, 1)
gt = accepts_out(select.gt, 1)
le = accepts_out(select.le, 1)
lt = accepts_out(select.lt, 1)
maximum = accepts_out(select.maximum, 2)
minimum = accepts_out(select.minimum, 2)
ne = accepts_out(select.ne, 1)
tril = accepts_out(select.tril)
triu = accepts_out(select.triu)
cumprod = accepts_out(statistics.cumprod)
logsumexp = accepts_out(statistics.logsumexp)
acos = accepts_out(trigonometric.acos)
asin = accepts_out(trigonometric.asin)
atan = accepts_out(trigonometric.atan)
atan2 = accepts_out(trigonometric.atan2, 2)
cosh = accepts_out(trigonometric.cosh)
sinh = accepts_out(trigonometric.sinh)
tan = accepts_out(trigonometric.tan)
