"""The compiled kernels: plain loops, one pass over memory each; the only home of numba.

A kernel has the name and the parameters of its reference in NumPy. Sums may be taken in the order
that suits the processor's vectors: LLVM decides it when it compiles, so the same version on the
same kind of processor gives the same bits, and `target.description` says which they are.
"""

from __future__ import annotations

from collections.abc import Callable

from ddp.kernels.compiled import (
    adam,
    attention,
    conv_columns,
    conv_few,
    conv_winograd,
    gelu,
    gemm,
    layer_norm,
    max_pool,
    norm,
    sgd,
)
from ddp.kernels.compiled.target import HAS_AVX512

KERNELS: dict[str, Callable[..., None]] = {
    "adam.move": adam.move,
    "conv_columns.scatter": conv_columns.scatter,
    "conv_few.correlate": conv_few.correlate,
    "conv_few.weight_gradient": conv_few.weight_gradient,
    "conv_winograd.transform": conv_winograd.transform,
    "conv_winograd.collect": conv_winograd.collect,
    "conv_winograd.spread": conv_winograd.spread,
    "attention.forward": attention.forward,
    "attention.backward": attention.backward,
    "gelu.forward": gelu.forward,
    "gelu.forward_by_tanh": gelu.forward_by_tanh,
    "gelu.backward_by_tanh": gelu.backward_by_tanh,
    "gemm.gemm": gemm.gemm,
    "max_pool.maxima": max_pool.maxima,
    "max_pool.give": max_pool.give,
    "norm.moments": norm.moments,
    "norm.scaled": norm.scaled,
    "norm.gradient_sums": norm.gradient_sums,
    "norm.combination": norm.combination,
    "sgd.move": sgd.move,
    "layer_norm.forward": layer_norm.forward,
    "layer_norm.backward": layer_norm.backward,
}

# With the half as wide vectors of AVX2, OpenBLAS is as fast, and faster for some shapes.
WITH_AVX512 = ("gemm.gemm",)


def for_this_processor() -> dict[str, Callable[..., None]]:
    """The kernels that gain something here."""
    return {
        name: kernel for name, kernel in KERNELS.items() if HAS_AVX512 or name not in WITH_AVX512
    }
