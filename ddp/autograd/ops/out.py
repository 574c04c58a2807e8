"""The functions of `ddp` with PyTorch's `input=` and `out=`; Tensor's methods are the plain ones.

With `out` the result is written into a given tensor (or several), which is returned. As in PyTorch
the tensor takes the result's shape if it has another, its dtype must be able to hold the result,
and nothing is recorded, so operands that require a gradient are refused. The result is whole
before it is written: an `out` that shares memory with an operand does no harm, and is refused
only where PyTorch always refuses it.
"""

from __future__ import annotations

import functools
from typing import Any, TypeVar

import numpy as np

from ddp.autograd.dtypes import can_cast, message_name
from ddp.autograd.grad_mode import is_grad_enabled
from ddp.autograd.node import Array
from ddp.autograd.ops import (
    activation,
    arithmetic,
    arrange,
    blend,
    elementwise,
    exponential,
    grid,
    index,
    join,
    linalg,
    logic,
    moments,
    order,
    products,
    reduce,
    rounding,
    sampling,
    select,
    statistics,
    trigonometric,
)
from ddp.autograd.ops import matmul as matrices
from ddp.autograd.ops import scatter as scattering
from ddp.autograd.ops import softmax as normalised
from ddp.autograd.ops.broadcast import require_tensors
from ddp.autograd.tensor import Tensor

Operation = TypeVar("Operation")

EITHER = -1  # one of the first two arguments must be a tensor, the other may be a number


def accepts_out(
    operation: Operation, tensors: int = 1, *, apart: bool = False, exact: bool = False
) -> Operation:
    """`operation` with the keywords `input`, `other` (the second operand) and `out`.

    Its first `tensors` arguments must be tensors. `apart`: `out` must not share memory with an
    operand; `exact`: it must have the result's dtype.
    """
    plain: Any = operation
    name = plain.__name__
    second = _second_parameter(plain)

    @functools.wraps(plain)
    def with_out(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        if "input" in kwargs:
            args = (kwargs.pop("input"), *args)
        if "other" in kwargs:
            kwargs[second] = kwargs.pop("other")
        if tensors == EITHER:
            _require_a_tensor(name, args[:2])
        else:
            for argument in args[:tensors]:
                if not isinstance(argument, Tensor):
                    _refuse_number(name, args[:tensors])
        result = plain(*args, **kwargs)
        if out is None:
            return result
        if apart:
            _require_apart((*args, *kwargs.values()), out)
        if isinstance(result, tuple):
            pairs = zip(result, out, strict=True)
            return type(result)(*[_write(name, part, into, exact) for part, into in pairs])
        return _write(name, result, out, exact)

    return with_out  # type: ignore[return-value]


def _second_parameter(function: Any) -> str:
    """Its name, which is "other" with PyTorch."""
    code = getattr(function, "__wrapped__", function).__code__
    return str(code.co_varnames[1]) if code.co_argcount > 1 else "other"


def _refuse_number(name: str, arguments: tuple[Any, ...]) -> None:
    names = ("input", "other", "third")
    require_tensors(name, **dict(zip(names, arguments, strict=False)))


def _require_a_tensor(name: str, arguments: tuple[Any, ...]) -> None:
    if not [argument for argument in arguments if isinstance(argument, Tensor)]:
        got = ", ".join(type(argument).__name__ for argument in arguments)
        raise TypeError(
            f"{name}() received an invalid combination of arguments - got ({got}), but expected "
            "at least one Tensor"
        )


def _require_apart(arguments: tuple[Any, ...], out: Any) -> None:
    for into in _tensors(out):
        for operand in _tensors(arguments):
            if _share_memory(operand.array, into.array):
                raise RuntimeError(
                    "unsupported operation: some elements of the input tensor and the written-to "
                    "tensor refer to a single memory location. Please clone() the tensor before "
                    "performing the operation."
                )


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, (tuple, list)):
        return [tensor for member in value for tensor in _tensors(member)]
    return [value] if isinstance(value, Tensor) else []


def _share_memory(a: Array, b: Array) -> bool:
    return bool(a.size and b.size and np.shares_memory(a, b))


def _write(name: str, result: Tensor, out: Tensor, exact: bool) -> Tensor:
    if is_grad_enabled() and (result.requires_grad or out.requires_grad):
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, "
            "but one of the arguments requires grad."
        )
    if exact and result.dtype != out.dtype:
        raise RuntimeError(
            f"{name}(): Expected out tensor to have dtype {result.dtype}, but got {out.dtype} "
            "instead"
        )
    if not can_cast(result.dtype, out.dtype):
        raise RuntimeError(
            f"result type {message_name(result.dtype)} can't be cast to the desired output type "
            f"{message_name(out.dtype)}"
        )
    if out.array.shape != result.array.shape and out.array.flags.writeable:
        out.array = np.empty(result.array.shape, out.array.dtype)
    return out.copy_(result)


sigmoid = accepts_out(activation.sigmoid)
tanh = accepts_out(activation.tanh)
abs = accepts_out(arithmetic.abs)
add = accepts_out(arithmetic.add, tensors=0)
floor_divide = accepts_out(arithmetic.floor_divide, tensors=0)
mul = accepts_out(arithmetic.mul, tensors=0)
neg = accepts_out(arithmetic.neg)
pow = accepts_out(arithmetic.pow, tensors=EITHER)
reciprocal = accepts_out(arithmetic.reciprocal)
remainder = accepts_out(arithmetic.remainder, tensors=EITHER)
square = accepts_out(arithmetic.square)
sub = accepts_out(arithmetic.sub, tensors=0)
diag = accepts_out(arrange.diag)
addcdiv = accepts_out(blend.addcdiv, tensors=2)
addcmul = accepts_out(blend.addcmul, tensors=2)
copysign = accepts_out(blend.copysign)
div = accepts_out(blend.div, tensors=0)
float_power = accepts_out(blend.float_power, tensors=EITHER)
fmax = accepts_out(blend.fmax, tensors=2)
fmin = accepts_out(blend.fmin, tensors=2)
heaviside = accepts_out(blend.heaviside, tensors=2)
lerp = accepts_out(blend.lerp, tensors=2)
true_divide = accepts_out(blend.true_divide, tensors=0)
where = accepts_out(blend.where, tensors=0)
cos = accepts_out(elementwise.cos)
exp = accepts_out(elementwise.exp)
log = accepts_out(elementwise.log)
log1p = accepts_out(elementwise.log1p)
rsqrt = accepts_out(elementwise.rsqrt)
sin = accepts_out(elementwise.sin)
sqrt = accepts_out(elementwise.sqrt)
erf = accepts_out(exponential.erf)
erfc = accepts_out(exponential.erfc)
erfinv = accepts_out(exponential.erfinv)
exp2 = accepts_out(exponential.exp2)
expm1 = accepts_out(exponential.expm1)
lgamma = accepts_out(exponential.lgamma)
log10 = accepts_out(exponential.log10)
log2 = accepts_out(exponential.log2)
logaddexp = accepts_out(exponential.logaddexp, tensors=2)
logit = accepts_out(exponential.logit)
xlogy = accepts_out(exponential.xlogy, tensors=EITHER)
column_stack = accepts_out(grid.column_stack, tensors=0)
dstack = accepts_out(grid.dstack, tensors=0)
hstack = accepts_out(grid.hstack, tensors=0)
kron = accepts_out(grid.kron)
vstack = accepts_out(grid.vstack, tensors=0)
gather = accepts_out(index.gather, apart=True, exact=True)
index_select = accepts_out(index.index_select, apart=True, exact=True)
cat = accepts_out(join.cat, tensors=0, apart=True)
stack = accepts_out(join.stack, tensors=0)
matrix_power = accepts_out(linalg.matrix_power)
bitwise_and = accepts_out(logic.bitwise_and, tensors=EITHER)
bitwise_left_shift = accepts_out(logic.bitwise_left_shift, tensors=EITHER)
bitwise_or = accepts_out(logic.bitwise_or, tensors=EITHER)
bitwise_right_shift = accepts_out(logic.bitwise_right_shift, tensors=EITHER)
bitwise_xor = accepts_out(logic.bitwise_xor, tensors=EITHER)
logical_and = accepts_out(logic.logical_and, tensors=2)
logical_not = accepts_out(logic.logical_not)
logical_or = accepts_out(logic.logical_or, tensors=2)
logical_xor = accepts_out(logic.logical_xor, tensors=2)
bmm = accepts_out(matrices.bmm, tensors=2)
dot = accepts_out(matrices.dot, tensors=2)
matmul = accepts_out(matrices.matmul)
mm = accepts_out(matrices.mm, tensors=2)
mv = accepts_out(matrices.mv, tensors=2)
norm = accepts_out(linalg.old_norm)
prod = accepts_out(moments.prod)
std = accepts_out(moments.std)
var = accepts_out(moments.var)
argsort = accepts_out(order.argsort)
bucketize = accepts_out(order.bucketize, tensors=0)
histc = accepts_out(order.histc)
kthvalue = accepts_out(order.kthvalue, apart=True, exact=True)
median = accepts_out(order.median)
mode = accepts_out(order.mode)
msort = accepts_out(order.msort)
searchsorted = accepts_out(order.searchsorted, tensors=0)
sort = accepts_out(order.sort)
topk = accepts_out(order.topk)
addbmm = accepts_out(products.addbmm, tensors=2)
addmm = accepts_out(products.addmm, tensors=2)
addmv = accepts_out(products.addmv, tensors=2)
addr = accepts_out(products.addr, tensors=2)
baddbmm = accepts_out(products.baddbmm, tensors=2)
cross = accepts_out(products.cross, tensors=2)
inner = accepts_out(products.inner, tensors=2)
outer = accepts_out(products.outer, tensors=2)
tensordot = accepts_out(products.tensordot)
vdot = accepts_out(products.vdot, tensors=2)
all = accepts_out(reduce.all)
amax = accepts_out(reduce.amax, exact=True)
amin = accepts_out(reduce.amin, exact=True)
any = accepts_out(reduce.any)
argmax = accepts_out(reduce.argmax)
argmin = accepts_out(reduce.argmin)
max = accepts_out(reduce.max)
mean = accepts_out(reduce.mean)
min = accepts_out(reduce.min)
sum = accepts_out(reduce.sum)
ceil = accepts_out(rounding.ceil)
floor = accepts_out(rounding.floor)
fmod = accepts_out(rounding.fmod)
frac = accepts_out(rounding.frac)
isneginf = accepts_out(rounding.isneginf)
isposinf = accepts_out(rounding.isposinf)
nan_to_num = accepts_out(rounding.nan_to_num)
round = accepts_out(rounding.round)
sign = accepts_out(rounding.sign)
signbit = accepts_out(rounding.signbit)
trunc = accepts_out(rounding.trunc)
bernoulli = accepts_out(sampling.bernoulli, apart=True)
multinomial = accepts_out(sampling.multinomial, exact=True)
index_add = accepts_out(scattering.index_add)
masked_select = accepts_out(scattering.masked_select, apart=True, exact=True)
nonzero = accepts_out(scattering.nonzero)
scatter = accepts_out(scattering.scatter)
scatter_add = accepts_out(scattering.scatter_add)
scatter_reduce = accepts_out(scattering.scatter_reduce)
take = accepts_out(scattering.take, apart=True, exact=True)
take_along_dim = accepts_out(scattering.take_along_dim)
bitwise_not = accepts_out(select.bitwise_not)
clamp = accepts_out(select.clamp)
clamp_max = accepts_out(select.clamp_max)
clamp_min = accepts_out(select.clamp_min)
eq = accepts_out(select.eq)
ge = accepts_out(select.ge)
gt = accepts_out(select.gt)
le = accepts_out(select.le)
lt = accepts_out(select.lt)
maximum = accepts_out(select.maximum, tensors=2)
minimum = accepts_out(select.minimum, tensors=2)
ne = accepts_out(select.ne)
tril = accepts_out(select.tril)
triu = accepts_out(select.triu)
log_softmax = accepts_out(normalised.log_softmax)
softmax = accepts_out(normalised.softmax)
aminmax = accepts_out(statistics.aminmax, exact=True)
cummax = accepts_out(statistics.cummax)
cummin = accepts_out(statistics.cummin)
cumprod = accepts_out(statistics.cumprod)
cumsum = accepts_out(moments.cumsum)
diff = accepts_out(statistics.diff)
logaddexp2 = accepts_out(statistics.logaddexp2, tensors=2)
logcumsumexp = accepts_out(statistics.logcumsumexp)
logsumexp = accepts_out(statistics.logsumexp)
nanmean = accepts_out(statistics.nanmean)
nansum = accepts_out(statistics.nansum)
quantile = accepts_out(statistics.quantile)
renorm = accepts_out(statistics.renorm)
acos = accepts_out(trigonometric.acos)
acosh = accepts_out(trigonometric.acosh)
asin = accepts_out(trigonometric.asin)
asinh = accepts_out(trigonometric.asinh)
atan = accepts_out(trigonometric.atan)
atan2 = accepts_out(trigonometric.atan2, tensors=2)
atanh = accepts_out(trigonometric.atanh)
cosh = accepts_out(trigonometric.cosh)
deg2rad = accepts_out(trigonometric.deg2rad)
hypot = accepts_out(trigonometric.hypot, tensors=2)
rad2deg = accepts_out(trigonometric.rad2deg)
sinh = accepts_out(trigonometric.sinh)
tan = accepts_out(trigonometric.tan)
