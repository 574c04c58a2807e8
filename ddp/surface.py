"""The tensor-level names under PyTorch's names: what `import ddp as torch` offers.

Read by `ddp/__init__.py` when the first of them is asked for, and by nobody else: inside the
project every name is imported from the module that defines it.
"""

from __future__ import annotations

import numpy as _np

from ddp import amp as amp
from ddp import autograd as autograd
from ddp import backends as backends
from ddp import cuda as cuda
from ddp.amp import autocast as autocast
from ddp.autograd import random as random
from ddp.autograd.creation import BoolTensor as BoolTensor
from ddp.autograd.creation import ByteTensor as ByteTensor
from ddp.autograd.creation import DoubleTensor as DoubleTensor
from ddp.autograd.creation import FloatTensor as FloatTensor
from ddp.autograd.creation import IntTensor as IntTensor
from ddp.autograd.creation import LongTensor as LongTensor
from ddp.autograd.creation import arange as arange
from ddp.autograd.creation import as_tensor as as_tensor
from ddp.autograd.creation import empty as empty
from ddp.autograd.creation import empty_like as empty_like
from ddp.autograd.creation import eye as eye
from ddp.autograd.creation import from_numpy as from_numpy
from ddp.autograd.creation import full as full
from ddp.autograd.creation import full_like as full_like
from ddp.autograd.creation import linspace as linspace
from ddp.autograd.creation import logspace as logspace
from ddp.autograd.creation import ones as ones
from ddp.autograd.creation import ones_like as ones_like
from ddp.autograd.creation import rand as rand
from ddp.autograd.creation import rand_like as rand_like
from ddp.autograd.creation import randint as randint
from ddp.autograd.creation import randint_like as randint_like
from ddp.autograd.creation import randn as randn
from ddp.autograd.creation import randn_like as randn_like
from ddp.autograd.creation import randperm as randperm
from ddp.autograd.creation import scalar_tensor as scalar_tensor
from ddp.autograd.creation import tensor as tensor
from ddp.autograd.creation import zeros as zeros
from ddp.autograd.creation import zeros_like as zeros_like
from ddp.autograd.devices import accelerator as accelerator
from ddp.autograd.devices import device as device
from ddp.autograd.devices import get_default_device as get_default_device
from ddp.autograd.devices import mps as mps
from ddp.autograd.devices import set_default_device as set_default_device
from ddp.autograd.devices import xpu as xpu
from ddp.autograd.dtypes import bfloat16 as bfloat16
from ddp.autograd.dtypes import can_cast as can_cast
from ddp.autograd.dtypes import finfo as finfo
from ddp.autograd.dtypes import get_default_dtype as get_default_dtype
from ddp.autograd.dtypes import iinfo as iinfo
from ddp.autograd.dtypes import promote_types as promote_types
from ddp.autograd.dtypes import set_default_dtype as set_default_dtype
from ddp.autograd.grad_mode import enable_grad as enable_grad
from ddp.autograd.grad_mode import inference_mode as inference_mode
from ddp.autograd.grad_mode import is_grad_enabled as is_grad_enabled
from ddp.autograd.grad_mode import is_inference_mode_enabled as is_inference_mode_enabled
from ddp.autograd.grad_mode import no_grad as no_grad
from ddp.autograd.grad_mode import set_grad_enabled as set_grad_enabled
from ddp.autograd.memory import Size as Size
from ddp.autograd.ops import linalg as linalg
from ddp.autograd.ops.activation import relu as relu
from ddp.autograd.ops.arrange import broadcast_shapes as broadcast_shapes
from ddp.autograd.ops.arrange import broadcast_tensors as broadcast_tensors
from ddp.autograd.ops.arrange import broadcast_to as broadcast_to
from ddp.autograd.ops.arrange import diag_embed as diag_embed
from ddp.autograd.ops.arrange import diagonal as diagonal
from ddp.autograd.ops.arrange import fliplr as fliplr
from ddp.autograd.ops.arrange import flipud as flipud
from ddp.autograd.ops.arrange import hsplit as hsplit
from ddp.autograd.ops.arrange import movedim as movedim
from ddp.autograd.ops.arrange import ravel as ravel
from ddp.autograd.ops.arrange import repeat_interleave as repeat_interleave
from ddp.autograd.ops.arrange import roll as roll
from ddp.autograd.ops.arrange import rot90 as rot90
from ddp.autograd.ops.arrange import select as select
from ddp.autograd.ops.arrange import swapaxes as swapaxes
from ddp.autograd.ops.arrange import tensor_split as tensor_split
from ddp.autograd.ops.arrange import tile as tile
from ddp.autograd.ops.arrange import trace as trace
from ddp.autograd.ops.arrange import unflatten as unflatten
from ddp.autograd.ops.arrange import vsplit as vsplit
from ddp.autograd.ops.blend import positive as positive
from ddp.autograd.ops.blend import rsub as rsub
from ddp.autograd.ops.casts import clone as clone
from ddp.autograd.ops.einsum import einsum as einsum
from ddp.autograd.ops.elementwise import isfinite as isfinite
from ddp.autograd.ops.elementwise import isinf as isinf
from ddp.autograd.ops.elementwise import isnan as isnan
from ddp.autograd.ops.grid import atleast_1d as atleast_1d
from ddp.autograd.ops.grid import atleast_2d as atleast_2d
from ddp.autograd.ops.grid import atleast_3d as atleast_3d
from ddp.autograd.ops.grid import block_diag as block_diag
from ddp.autograd.ops.grid import cartesian_prod as cartesian_prod
from ddp.autograd.ops.grid import combinations as combinations
from ddp.autograd.ops.grid import meshgrid as meshgrid
from ddp.autograd.ops.grid import tril_indices as tril_indices
from ddp.autograd.ops.grid import triu_indices as triu_indices
from ddp.autograd.ops.join import chunk as chunk
from ddp.autograd.ops.join import narrow as narrow
from ddp.autograd.ops.join import split as split
from ddp.autograd.ops.join import unbind as unbind
from ddp.autograd.ops.linalg import cholesky as cholesky
from ddp.autograd.ops.linalg import det as det
from ddp.autograd.ops.linalg import logdet as logdet
from ddp.autograd.ops.linalg import pinv as pinv
from ddp.autograd.ops.linalg import slogdet as slogdet
from ddp.autograd.ops.logic import allclose as allclose
from ddp.autograd.ops.logic import count_nonzero as count_nonzero
from ddp.autograd.ops.logic import equal as equal
from ddp.autograd.ops.logic import is_nonzero as is_nonzero
from ddp.autograd.ops.logic import isclose as isclose
from ddp.autograd.ops.logic import isin as isin
from ddp.autograd.ops.order import bincount as bincount
from ddp.autograd.ops.order import unique as unique
from ddp.autograd.ops.order import unique_consecutive as unique_consecutive
from ddp.autograd.ops.out import abs as abs
from ddp.autograd.ops.out import acos as acos
from ddp.autograd.ops.out import acosh as acosh
from ddp.autograd.ops.out import add as add
from ddp.autograd.ops.out import addbmm as addbmm
from ddp.autograd.ops.out import addcdiv as addcdiv
from ddp.autograd.ops.out import addcmul as addcmul
from ddp.autograd.ops.out import addmm as addmm
from ddp.autograd.ops.out import addmv as addmv
from ddp.autograd.ops.out import addr as addr
from ddp.autograd.ops.out import all as all
from ddp.autograd.ops.out import amax as amax
from ddp.autograd.ops.out import amin as amin
from ddp.autograd.ops.out import aminmax as aminmax
from ddp.autograd.ops.out import any as any
from ddp.autograd.ops.out import argmax as argmax
from ddp.autograd.ops.out import argmin as argmin
from ddp.autograd.ops.out import argsort as argsort
from ddp.autograd.ops.out import asin as asin
from ddp.autograd.ops.out import asinh as asinh
from ddp.autograd.ops.out import atan as atan
from ddp.autograd.ops.out import atan2 as atan2
from ddp.autograd.ops.out import atanh as atanh
from ddp.autograd.ops.out import baddbmm as baddbmm
from ddp.autograd.ops.out import bernoulli as bernoulli
from ddp.autograd.ops.out import bitwise_and as bitwise_and
from ddp.autograd.ops.out import bitwise_left_shift as bitwise_left_shift
from ddp.autograd.ops.out import bitwise_not as bitwise_not
from ddp.autograd.ops.out import bitwise_or as bitwise_or
from ddp.autograd.ops.out import bitwise_right_shift as bitwise_right_shift
from ddp.autograd.ops.out import bitwise_xor as bitwise_xor
from ddp.autograd.ops.out import bmm as bmm
from ddp.autograd.ops.out import bucketize as bucketize
from ddp.autograd.ops.out import cat as cat
from ddp.autograd.ops.out import ceil as ceil
from ddp.autograd.ops.out import clamp as clamp
from ddp.autograd.ops.out import clamp_max as clamp_max
from ddp.autograd.ops.out import clamp_min as clamp_min
from ddp.autograd.ops.out import column_stack as column_stack
from ddp.autograd.ops.out import copysign as copysign
from ddp.autograd.ops.out import cos as cos
from ddp.autograd.ops.out import cosh as cosh
from ddp.autograd.ops.out import cross as cross
from ddp.autograd.ops.out import cummax as cummax
from ddp.autograd.ops.out import cummin as cummin
from ddp.autograd.ops.out import cumprod as cumprod
from ddp.autograd.ops.out import cumsum as cumsum
from ddp.autograd.ops.out import deg2rad as deg2rad
from ddp.autograd.ops.out import diag as diag
from ddp.autograd.ops.out import diff as diff
from ddp.autograd.ops.out import div as div
from ddp.autograd.ops.out import dot as dot
from ddp.autograd.ops.out import dstack as dstack
from ddp.autograd.ops.out import eq as eq
from ddp.autograd.ops.out import erf as erf
from ddp.autograd.ops.out import erfc as erfc
from ddp.autograd.ops.out import erfinv as erfinv
from ddp.autograd.ops.out import exp as exp
from ddp.autograd.ops.out import exp2 as exp2
from ddp.autograd.ops.out import expm1 as expm1
from ddp.autograd.ops.out import float_power as float_power
from ddp.autograd.ops.out import floor as floor
from ddp.autograd.ops.out import floor_divide as floor_divide
from ddp.autograd.ops.out import fmax as fmax
from ddp.autograd.ops.out import fmin as fmin
from ddp.autograd.ops.out import fmod as fmod
from ddp.autograd.ops.out import frac as frac
from ddp.autograd.ops.out import gather as gather
from ddp.autograd.ops.out import ge as ge
from ddp.autograd.ops.out import gt as gt
from ddp.autograd.ops.out import heaviside as heaviside
from ddp.autograd.ops.out import histc as histc
from ddp.autograd.ops.out import hstack as hstack
from ddp.autograd.ops.out import hypot as hypot
from ddp.autograd.ops.out import index_add as index_add
from ddp.autograd.ops.out import index_select as index_select
from ddp.autograd.ops.out import inner as inner
from ddp.autograd.ops.out import isneginf as isneginf
from ddp.autograd.ops.out import isposinf as isposinf
from ddp.autograd.ops.out import kron as kron
from ddp.autograd.ops.out import kthvalue as kthvalue
from ddp.autograd.ops.out import le as le
from ddp.autograd.ops.out import lerp as lerp
from ddp.autograd.ops.out import lgamma as lgamma
from ddp.autograd.ops.out import log as log
from ddp.autograd.ops.out import log1p as log1p
from ddp.autograd.ops.out import log2 as log2
from ddp.autograd.ops.out import log10 as log10
from ddp.autograd.ops.out import log_softmax as log_softmax
from ddp.autograd.ops.out import logaddexp as logaddexp
from ddp.autograd.ops.out import logaddexp2 as logaddexp2
from ddp.autograd.ops.out import logcumsumexp as logcumsumexp
from ddp.autograd.ops.out import logical_and as logical_and
from ddp.autograd.ops.out import logical_not as logical_not
from ddp.autograd.ops.out import logical_or as logical_or
from ddp.autograd.ops.out import logical_xor as logical_xor
from ddp.autograd.ops.out import logit as logit
from ddp.autograd.ops.out import logsumexp as logsumexp
from ddp.autograd.ops.out import lt as lt
from ddp.autograd.ops.out import masked_select as masked_select
from ddp.autograd.ops.out import matmul as matmul
from ddp.autograd.ops.out import matrix_power as matrix_power
from ddp.autograd.ops.out import max as max
from ddp.autograd.ops.out import maximum as maximum
from ddp.autograd.ops.out import mean as mean
from ddp.autograd.ops.out import median as median
from ddp.autograd.ops.out import min as min
from ddp.autograd.ops.out import minimum as minimum
from ddp.autograd.ops.out import mm as mm
from ddp.autograd.ops.out import mode as mode
from ddp.autograd.ops.out import msort as msort
from ddp.autograd.ops.out import mul as mul
from ddp.autograd.ops.out import multinomial as multinomial
from ddp.autograd.ops.out import mv as mv
from ddp.autograd.ops.out import nan_to_num as nan_to_num
from ddp.autograd.ops.out import nanmean as nanmean
from ddp.autograd.ops.out import nansum as nansum
from ddp.autograd.ops.out import ne as ne
from ddp.autograd.ops.out import neg as neg
from ddp.autograd.ops.out import nonzero as nonzero
from ddp.autograd.ops.out import norm as norm
from ddp.autograd.ops.out import outer as outer
from ddp.autograd.ops.out import pow as pow
from ddp.autograd.ops.out import prod as prod
from ddp.autograd.ops.out import quantile as quantile
from ddp.autograd.ops.out import rad2deg as rad2deg
from ddp.autograd.ops.out import reciprocal as reciprocal
from ddp.autograd.ops.out import remainder as remainder
from ddp.autograd.ops.out import renorm as renorm
from ddp.autograd.ops.out import round as round
from ddp.autograd.ops.out import rsqrt as rsqrt
from ddp.autograd.ops.out import scatter as scatter
from ddp.autograd.ops.out import scatter_add as scatter_add
from ddp.autograd.ops.out import scatter_reduce as scatter_reduce
from ddp.autograd.ops.out import searchsorted as searchsorted
from ddp.autograd.ops.out import sigmoid as sigmoid
from ddp.autograd.ops.out import sign as sign
from ddp.autograd.ops.out import signbit as signbit
from ddp.autograd.ops.out import sin as sin
from ddp.autograd.ops.out import sinh as sinh
from ddp.autograd.ops.out import softmax as softmax
from ddp.autograd.ops.out import sort as sort
from ddp.autograd.ops.out import sqrt as sqrt
from ddp.autograd.ops.out import square as square
from ddp.autograd.ops.out import stack as stack
from ddp.autograd.ops.out import std as std
from ddp.autograd.ops.out import sub as sub
from ddp.autograd.ops.out import sum as sum
from ddp.autograd.ops.out import take as take
from ddp.autograd.ops.out import take_along_dim as take_along_dim
from ddp.autograd.ops.out import tan as tan
from ddp.autograd.ops.out import tanh as tanh
from ddp.autograd.ops.out import tensordot as tensordot
from ddp.autograd.ops.out import topk as topk
from ddp.autograd.ops.out import tril as tril
from ddp.autograd.ops.out import triu as triu
from ddp.autograd.ops.out import true_divide as true_divide
from ddp.autograd.ops.out import trunc as trunc
from ddp.autograd.ops.out import var as var
from ddp.autograd.ops.out import vdot as vdot
from ddp.autograd.ops.out import vstack as vstack
from ddp.autograd.ops.out import where as where
from ddp.autograd.ops.out import xlogy as xlogy
from ddp.autograd.ops.overwrite import zero_ as zero_
from ddp.autograd.ops.products import cdist as cdist
from ddp.autograd.ops.products import chain_matmul as chain_matmul
from ddp.autograd.ops.sampling import normal as normal
from ddp.autograd.ops.scatter import argwhere as argwhere
from ddp.autograd.ops.scatter import index_copy as index_copy
from ddp.autograd.ops.scatter import index_fill as index_fill
from ddp.autograd.ops.scatter import index_put as index_put
from ddp.autograd.ops.scatter import masked_scatter as masked_scatter
from ddp.autograd.ops.select import masked_fill as masked_fill
from ddp.autograd.ops.shape import flatten as flatten
from ddp.autograd.ops.shape import flip as flip
from ddp.autograd.ops.shape import permute as permute
from ddp.autograd.ops.shape import reshape as reshape
from ddp.autograd.ops.shape import squeeze as squeeze
from ddp.autograd.ops.shape import t as t
from ddp.autograd.ops.shape import transpose as transpose
from ddp.autograd.ops.shape import unsqueeze as unsqueeze
from ddp.autograd.ops.statistics import corrcoef as corrcoef
from ddp.autograd.ops.statistics import cov as cov
from ddp.autograd.ops.statistics import dist as dist
from ddp.autograd.ops.statistics import std_mean as std_mean
from ddp.autograd.ops.statistics import trapezoid as trapezoid
from ddp.autograd.ops.statistics import var_mean as var_mean
from ddp.autograd.printing import set_printoptions as set_printoptions
from ddp.autograd.queries import get_num_threads as get_num_threads
from ddp.autograd.queries import is_complex as is_complex
from ddp.autograd.queries import is_floating_point as is_floating_point
from ddp.autograd.queries import is_tensor as is_tensor
from ddp.autograd.queries import numel as numel
from ddp.autograd.queries import result_type as result_type
from ddp.autograd.queries import set_float32_matmul_precision as set_float32_matmul_precision
from ddp.autograd.queries import set_num_threads as set_num_threads
from ddp.autograd.queries import use_deterministic_algorithms as use_deterministic_algorithms
from ddp.autograd.random import Generator as Generator
from ddp.autograd.random import default_generator as default_generator
from ddp.autograd.random import get_rng_state as get_rng_state
from ddp.autograd.random import initial_seed as initial_seed
from ddp.autograd.random import manual_seed as manual_seed
from ddp.autograd.random import seed as seed
from ddp.autograd.random import set_rng_state as set_rng_state
from ddp.autograd.tensor import Tensor as Tensor

# Second names for the same.
absolute = abs
arccos = acos
arcsin = asin
arctan = atan
concat = cat
concatenate = cat
clip = clamp
divide = div
greater_equal = ge
greater = gt
less_equal = le
less = lt
moveaxis = movedim
multiply = mul
not_equal = ne
inverse = linalg.inv
negative = neg
ger = outer
sgn = sign
subtract = sub
swapdims = swapaxes
trapz = trapezoid
fix = trunc
row_stack = vstack

float16 = half = _np.dtype(_np.float16)
float32 = float = _np.dtype(_np.float32)
float64 = double = _np.dtype(_np.float64)
uint8 = _np.dtype(_np.uint8)
int8 = _np.dtype(_np.int8)
int16 = short = _np.dtype(_np.int16)
int32 = int = _np.dtype(_np.int32)
int64 = long = _np.dtype(_np.int64)
bool = _np.dtype(_np.bool_)
dtype = _np.dtype

inf, nan, pi, e = _np.inf, _np.nan, _np.pi, _np.e

# Where things lie in memory is an inner matter of ours: the names are accepted and mean nothing.
strided = contiguous_format = preserve_format = channels_last = "memory"
