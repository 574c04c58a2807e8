"""The table of Tensor's operations: which function each method and operator is.

The functions stand in `ddp/autograd/ops` and take the tensor as their first argument. Type
checkers see this class as Tensor's base; at run time `install` puts its entries on Tensor
itself, so that a method call costs nothing more than the function.
"""

from __future__ import annotations

from typing import Any

from ddp.autograd import creation, gradients
from ddp.autograd.ops import (
    activation,
    arithmetic,
    arrange,
    blend,
    casts,
    convert,
    elementwise,
    exponential,
    index,
    inplace,
    inplace_methods,
    join,
    linalg,
    logic,
    moments,
    order,
    overwrite,
    products,
    reduce,
    rounding,
    sampling,
    shape,
    statistics,
    trigonometric,
)
from ddp.autograd.ops import matmul as matrices
from ddp.autograd.ops import scatter as scattering
from ddp.autograd.ops import select as selection
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
    div = blend.div
    neg = arithmetic.neg
    abs = arithmetic.abs
    pow = arithmetic.pow
    square = arithmetic.square
    reciprocal = arithmetic.reciprocal
    remainder = arithmetic.remainder
    floor_divide = arithmetic.floor_divide
    subtract = arithmetic.sub
    multiply = arithmetic.mul
    divide = blend.div
    true_divide = blend.true_divide
    negative = arithmetic.neg
    absolute = arithmetic.abs
    float_power = blend.float_power
    rsub = blend.rsub
    positive = blend.positive
    __pos__ = blend.positive

    exp = elementwise.exp
    log = elementwise.log
    log1p = elementwise.log1p
    sqrt = elementwise.sqrt
    rsqrt = elementwise.rsqrt
    sin = elementwise.sin
    cos = elementwise.cos
    isnan = elementwise.isnan
    isinf = elementwise.isinf
    isfinite = elementwise.isfinite

    relu = activation.relu
    sigmoid = activation.sigmoid
    tanh = activation.tanh

    softmax = normalised.softmax
    log_softmax = normalised.log_softmax

    __eq__ = selection.eq
    __ne__ = selection.ne
    __lt__ = selection.lt
    __le__ = selection.le
    __gt__ = selection.gt
    __ge__ = selection.ge
    __and__ = logic.bitwise_and
    __or__ = logic.bitwise_or
    __xor__ = logic.bitwise_xor
    __invert__ = selection.bitwise_not
    eq = selection.eq
    ne = selection.ne
    lt = selection.lt
    le = selection.le
    gt = selection.gt
    ge = selection.ge
    maximum = selection.maximum
    minimum = selection.minimum
    clamp = selection.clamp
    clamp_min = selection.clamp_min
    clamp_max = selection.clamp_max
    clip = selection.clamp
    masked_fill = selection.masked_fill
    tril = selection.tril
    triu = selection.triu

    __matmul__ = matrices.matmul
    matmul = matrices.matmul
    mm = matrices.mm
    bmm = matrices.bmm
    mv = matrices.mv
    dot = matrices.dot

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
    norm = linalg.old_norm
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

    clone = casts.clone
    contiguous = casts.contiguous
    to = casts.to
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
    zero_ = overwrite.zero_
    fill_ = overwrite.fill_
    copy_ = overwrite.copy_
    subtract_ = inplace.sub_
    multiply_ = inplace.mul_
    divide_ = inplace.div_
    clip_ = inplace.clamp_

    tan = trigonometric.tan
    asin = trigonometric.asin
    acos = trigonometric.acos
    atan = trigonometric.atan
    atan2 = trigonometric.atan2
    sinh = trigonometric.sinh
    cosh = trigonometric.cosh
    asinh = trigonometric.asinh
    acosh = trigonometric.acosh
    atanh = trigonometric.atanh
    hypot = trigonometric.hypot
    deg2rad = trigonometric.deg2rad
    rad2deg = trigonometric.rad2deg
    arcsin = trigonometric.asin
    arccos = trigonometric.acos
    arctan = trigonometric.atan
    arctan2 = trigonometric.atan2

    expm1 = exponential.expm1
    exp2 = exponential.exp2
    log2 = exponential.log2
    log10 = exponential.log10
    erf = exponential.erf
    erfc = exponential.erfc
    erfinv = exponential.erfinv
    lgamma = exponential.lgamma
    logit = exponential.logit
    xlogy = exponential.xlogy
    logaddexp = exponential.logaddexp

    round = rounding.round
    floor = rounding.floor
    ceil = rounding.ceil
    trunc = rounding.trunc
    frac = rounding.frac
    fmod = rounding.fmod
    sign = rounding.sign
    signbit = rounding.signbit
    nan_to_num = rounding.nan_to_num
    isposinf = rounding.isposinf
    isneginf = rounding.isneginf
    fix = rounding.trunc
    sgn = rounding.sign

    fmin = blend.fmin
    fmax = blend.fmax
    lerp = blend.lerp
    addcmul = blend.addcmul
    addcdiv = blend.addcdiv
    copysign = blend.copysign
    heaviside = blend.heaviside
    where = blend.where_method

    __rand__ = logic.bitwise_and
    __ror__ = logic.bitwise_or
    __rxor__ = logic.bitwise_xor
    __lshift__ = logic.bitwise_left_shift
    __rshift__ = logic.bitwise_right_shift
    __rlshift__ = logic.rbitwise_left_shift
    __rrshift__ = logic.rbitwise_right_shift
    __contains__ = logic.contains
    bitwise_not = selection.bitwise_not
    bitwise_and = logic.bitwise_and
    bitwise_or = logic.bitwise_or
    bitwise_xor = logic.bitwise_xor
    bitwise_left_shift = logic.bitwise_left_shift
    bitwise_right_shift = logic.bitwise_right_shift
    logical_and = logic.logical_and
    logical_or = logic.logical_or
    logical_xor = logic.logical_xor
    logical_not = logic.logical_not
    isclose = logic.isclose
    allclose = logic.allclose
    equal = logic.equal
    isin = logic.isin
    count_nonzero = logic.count_nonzero
    is_nonzero = logic.is_nonzero
    greater = selection.gt
    greater_equal = selection.ge
    less = selection.lt
    less_equal = selection.le
    not_equal = selection.ne

    __rmatmul__ = products.rmatmul
    addmm = products.addmm
    addmv = products.addmv
    addr = products.addr
    addbmm = products.addbmm
    baddbmm = products.baddbmm
    outer = products.outer
    inner = products.inner
    vdot = products.vdot
    cross = products.cross
    ger = products.outer
    det = linalg.det
    logdet = linalg.logdet
    slogdet = linalg.slogdet
    inverse = linalg.inv
    matrix_power = linalg.matrix_power
    cholesky = linalg.cholesky
    pinverse = linalg.pinv

    sort = order.sort
    argsort = order.argsort
    msort = order.msort
    topk = order.topk
    kthvalue = order.kthvalue
    median = order.median
    mode = order.mode
    unique = order.unique
    unique_consecutive = order.unique_consecutive
    bincount = order.bincount
    histc = order.histc

    logsumexp = statistics.logsumexp
    cumprod = statistics.cumprod
    logcumsumexp = statistics.logcumsumexp
    cummax = statistics.cummax
    cummin = statistics.cummin
    aminmax = statistics.aminmax
    nansum = statistics.nansum
    nanmean = statistics.nanmean
    dist = statistics.dist
    renorm = statistics.renorm
    diff = statistics.diff
    cov = statistics.cov
    corrcoef = statistics.corrcoef
    quantile = statistics.quantile
    logaddexp2 = statistics.logaddexp2

    roll = arrange.roll
    tile = arrange.tile
    repeat_interleave = arrange.repeat_interleave
    swapaxes = arrange.swapaxes
    movedim = arrange.movedim
    unflatten = arrange.unflatten
    ravel = arrange.ravel
    view_as = arrange.view_as
    broadcast_to = arrange.broadcast_to
    select = arrange.select
    fliplr = arrange.fliplr
    flipud = arrange.flipud
    rot90 = arrange.rot90
    diagonal = arrange.diagonal
    diag_embed = arrange.diag_embed
    diag = arrange.diag
    trace = arrange.trace
    unfold = arrange.unfold
    tensor_split = arrange.tensor_split
    hsplit = arrange.hsplit
    vsplit = arrange.vsplit
    swapdims = arrange.swapaxes
    moveaxis = arrange.movedim
    reshape_as = arrange.view_as

    scatter = scattering.scatter
    scatter_add = scattering.scatter_add
    scatter_reduce = scattering.scatter_reduce
    index_add = scattering.index_add
    index_copy = scattering.index_copy
    index_fill = scattering.index_fill
    index_put = scattering.index_put
    masked_select = scattering.masked_select
    masked_scatter = scattering.masked_scatter
    take = scattering.take
    take_along_dim = scattering.take_along_dim
    nonzero = scattering.nonzero
    argwhere = scattering.argwhere

    type_as = casts.type_as
    short = casts.short
    char = casts.char
    byte = casts.byte
    bfloat16 = casts.bfloat16
    cuda = casts.cuda
    type = casts.type_
    pin_memory = casts.stay
    share_memory_ = casts.stay

    new_tensor = creation.new_tensor
    new_zeros = creation.new_zeros
    new_ones = creation.new_ones
    new_empty = creation.new_empty
    new_full = creation.new_full

    uniform_ = sampling.uniform_
    normal_ = sampling.normal_
    exponential_ = sampling.exponential_
    cauchy_ = sampling.cauchy_
    geometric_ = sampling.geometric_
    bernoulli_ = sampling.bernoulli_
    random_ = sampling.random_
    bernoulli = sampling.bernoulli
    multinomial = sampling.multinomial

    acos_ = inplace_methods.acos_
    asin_ = inplace_methods.asin_
    atan_ = inplace_methods.atan_
    atan2_ = inplace_methods.atan2_
    cosh_ = inplace_methods.cosh_
    sinh_ = inplace_methods.sinh_
    tan_ = inplace_methods.tan_
    cos_ = inplace_methods.cos_
    sin_ = inplace_methods.sin_
    log_ = inplace_methods.log_
    log1p_ = inplace_methods.log1p_
    rsqrt_ = inplace_methods.rsqrt_
    log2_ = inplace_methods.log2_
    log10_ = inplace_methods.log10_
    expm1_ = inplace_methods.expm1_
    exp2_ = inplace_methods.exp2_
    erf_ = inplace_methods.erf_
    erfinv_ = inplace_methods.erfinv_
    lgamma_ = inplace_methods.lgamma_
    logit_ = inplace_methods.logit_
    round_ = inplace_methods.round_
    floor_ = inplace_methods.floor_
    ceil_ = inplace_methods.ceil_
    trunc_ = inplace_methods.trunc_
    frac_ = inplace_methods.frac_
    sign_ = inplace_methods.sign_
    fmod_ = inplace_methods.fmod_
    nan_to_num_ = inplace_methods.nan_to_num_
    square_ = inplace_methods.square_
    reciprocal_ = inplace_methods.reciprocal_
    remainder_ = inplace_methods.remainder_
    floor_divide_ = inplace_methods.floor_divide_
    sigmoid_ = inplace_methods.sigmoid_
    tanh_ = inplace_methods.tanh_
    relu_ = inplace_methods.relu_
    lerp_ = inplace_methods.lerp_
    addcmul_ = inplace_methods.addcmul_
    addcdiv_ = inplace_methods.addcdiv_
    addmm_ = inplace_methods.addmm_
    addmv_ = inplace_methods.addmv_
    addr_ = inplace_methods.addr_
    baddbmm_ = inplace_methods.baddbmm_
    addbmm_ = inplace_methods.addbmm_
    clamp_min_ = inplace_methods.clamp_min_
    clamp_max_ = inplace_methods.clamp_max_
    masked_fill_ = inplace_methods.masked_fill_
    tril_ = inplace_methods.tril_
    triu_ = inplace_methods.triu_
    eq_ = inplace_methods.eq_
    ne_ = inplace_methods.ne_
    lt_ = inplace_methods.lt_
    le_ = inplace_methods.le_
    gt_ = inplace_methods.gt_
    ge_ = inplace_methods.ge_
    bitwise_and_ = inplace_methods.bitwise_and_
    bitwise_or_ = inplace_methods.bitwise_or_
    bitwise_xor_ = inplace_methods.bitwise_xor_
    logical_and_ = inplace_methods.logical_and_
    logical_or_ = inplace_methods.logical_or_
    logical_xor_ = inplace_methods.logical_xor_
    logical_not_ = inplace_methods.logical_not_
    scatter_ = inplace_methods.scatter_
    scatter_add_ = inplace_methods.scatter_add_
    scatter_reduce_ = inplace_methods.scatter_reduce_
    index_add_ = inplace_methods.index_add_
    index_copy_ = inplace_methods.index_copy_
    index_fill_ = inplace_methods.index_fill_
    index_put_ = inplace_methods.index_put_
    masked_scatter_ = inplace_methods.masked_scatter_
    cumsum_ = inplace_methods.cumsum_
    cumprod_ = inplace_methods.cumprod_
    renorm_ = inplace_methods.renorm_
    fill_diagonal_ = inplace_methods.fill_diagonal_
    unsqueeze_ = inplace_methods.unsqueeze_
    squeeze_ = inplace_methods.squeeze_
    resize_ = inplace_methods.resize_
    transpose_ = inplace_methods.transpose_
    t_ = inplace_methods.t_
    __ifloordiv__ = inplace_methods.floor_divide_
    __imod__ = inplace_methods.remainder_
    __iand__ = inplace_methods.bitwise_and_
    __ior__ = inplace_methods.bitwise_or_
    __ixor__ = inplace_methods.bitwise_xor_


def install(tensor_class: type[Any]) -> None:
    """Put the operations on `tensor_class`."""
    for name, function in vars(Methods).items():
        if callable(function) or isinstance(function, property):
            setattr(tensor_class, name, function)
