"""Distributed data-parallel training for CPUs, on NumPy: the same bits on any number of workers.

This module re-exports the tensor-level names under PyTorch's names, for scripts; inside the
project every name is imported from the module that defines it. `ddp.nn`, `ddp.optim` and the
others are subpackages of their own: importing `ddp` imports none of them, and no transport.
"""

from __future__ import annotations

import numpy as _np

from ddp import autograd as autograd
from ddp.autograd.creation import arange as arange
from ddp.autograd.creation import as_tensor as as_tensor
from ddp.autograd.creation import empty as empty
from ddp.autograd.creation import empty_like as empty_like
from ddp.autograd.creation import eye as eye
from ddp.autograd.creation import from_numpy as from_numpy
from ddp.autograd.creation import full as full
from ddp.autograd.creation import full_like as full_like
from ddp.autograd.creation import linspace as linspace
from ddp.autograd.creation import ones as ones
from ddp.autograd.creation import ones_like as ones_like
from ddp.autograd.creation import rand as rand
from ddp.autograd.creation import randint as randint
from ddp.autograd.creation import randn as randn
from ddp.autograd.creation import randperm as randperm
from ddp.autograd.creation import tensor as tensor
from ddp.autograd.creation import zeros as zeros
from ddp.autograd.creation import zeros_like as zeros_like
from ddp.autograd.grad_mode import enable_grad as enable_grad
from ddp.autograd.grad_mode import is_grad_enabled as is_grad_enabled
from ddp.autograd.grad_mode import no_grad as no_grad
from ddp.autograd.grad_mode import set_grad_enabled as set_grad_enabled
from ddp.autograd.ops.activation import relu as relu
from ddp.autograd.ops.activation import sigmoid as sigmoid
from ddp.autograd.ops.activation import tanh as tanh
from ddp.autograd.ops.arithmetic import abs as abs
from ddp.autograd.ops.arithmetic import add as add
from ddp.autograd.ops.arithmetic import div as div
from ddp.autograd.ops.arithmetic import mul as mul
from ddp.autograd.ops.arithmetic import neg as neg
from ddp.autograd.ops.arithmetic import pow as pow
from ddp.autograd.ops.arithmetic import square as square
from ddp.autograd.ops.arithmetic import sub as sub
from ddp.autograd.ops.convert import clone as clone
from ddp.autograd.ops.elementwise import cos as cos
from ddp.autograd.ops.elementwise import exp as exp
from ddp.autograd.ops.elementwise import isfinite as isfinite
from ddp.autograd.ops.elementwise import isinf as isinf
from ddp.autograd.ops.elementwise import isnan as isnan
from ddp.autograd.ops.elementwise import log as log
from ddp.autograd.ops.elementwise import log1p as log1p
from ddp.autograd.ops.elementwise import rsqrt as rsqrt
from ddp.autograd.ops.elementwise import sign as sign
from ddp.autograd.ops.elementwise import sin as sin
from ddp.autograd.ops.elementwise import sqrt as sqrt
from ddp.autograd.ops.index import gather as gather
from ddp.autograd.ops.index import index_select as index_select
from ddp.autograd.ops.join import cat as cat
from ddp.autograd.ops.join import chunk as chunk
from ddp.autograd.ops.join import split as split
from ddp.autograd.ops.join import stack as stack
from ddp.autograd.ops.join import unbind as unbind
from ddp.autograd.ops.matmul import bmm as bmm
from ddp.autograd.ops.matmul import dot as dot
from ddp.autograd.ops.matmul import matmul as matmul
from ddp.autograd.ops.matmul import mm as mm
from ddp.autograd.ops.matmul import mv as mv
from ddp.autograd.ops.moments import cumsum as cumsum
from ddp.autograd.ops.moments import norm as norm
from ddp.autograd.ops.moments import prod as prod
from ddp.autograd.ops.moments import std as std
from ddp.autograd.ops.moments import var as var
from ddp.autograd.ops.reduce import all as all
from ddp.autograd.ops.reduce import amax as amax
from ddp.autograd.ops.reduce import amin as amin
from ddp.autograd.ops.reduce import any as any
from ddp.autograd.ops.reduce import argmax as argmax
from ddp.autograd.ops.reduce import argmin as argmin
from ddp.autograd.ops.reduce import max as max
from ddp.autograd.ops.reduce import mean as mean
from ddp.autograd.ops.reduce import min as min
from ddp.autograd.ops.reduce import sum as sum
from ddp.autograd.ops.select import clamp as clamp
from ddp.autograd.ops.select import eq as eq
from ddp.autograd.ops.select import maximum as maximum
from ddp.autograd.ops.select import minimum as minimum
from ddp.autograd.ops.select import tril as tril
from ddp.autograd.ops.select import triu as triu
from ddp.autograd.ops.select import where as where
from ddp.autograd.ops.shape import flatten as flatten
from ddp.autograd.ops.shape import flip as flip
from ddp.autograd.ops.shape import movedim as movedim
from ddp.autograd.ops.shape import permute as permute
from ddp.autograd.ops.shape import reshape as reshape
from ddp.autograd.ops.shape import squeeze as squeeze
from ddp.autograd.ops.shape import t as t
from ddp.autograd.ops.shape import transpose as transpose
from ddp.autograd.ops.shape import unsqueeze as unsqueeze
from ddp.autograd.ops.softmax import log_softmax as log_softmax
from ddp.autograd.ops.softmax import softmax as softmax
from ddp.autograd.random import Generator as Generator
from ddp.autograd.random import manual_seed as manual_seed
from ddp.autograd.tensor import Tensor as Tensor

float16 = _np.dtype(_np.float16)
float32 = _np.dtype(_np.float32)
float64 = _np.dtype(_np.float64)
uint8 = _np.dtype(_np.uint8)
int8 = _np.dtype(_np.int8)
int16 = _np.dtype(_np.int16)
int32 = _np.dtype(_np.int32)
int64 = _np.dtype(_np.int64)
long = int64
double = float64
bool = _np.dtype(_np.bool_)
