"""One list of operations for the gradient check and the comparison with PyTorch.

A case is a name, the shapes of its inputs, and a function that finds its operations as methods of
the tensors it gets, or in `lib`: `ddp` or `torch`. Values lie in (0.3, 1.7) and are all distinct,
away from the kinks of abs, max and clamp.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Case(NamedTuple):
    name: str
    shapes: tuple[tuple[int, ...], ...]
    function: Callable[..., Any]  # (lib, *tensors) -> a tensor or a tuple of them


def inputs(case: Case, dtype: type[np.floating[Any]]) -> list[np.ndarray[Any, Any]]:
    """The arrays a case is run on: fixed, distinct, positive."""
    random = np.random.RandomState(sum(map(ord, case.name)))
    arrays = []
    for shape in case.shapes:
        size = int(np.prod(shape))
        values = 0.3 + 1.4 * (random.permutation(size) + random.uniform(0.2, 0.8)) / max(size, 1)
        arrays.append(values.reshape(shape).astype(dtype))
    return arrays


def _mask(lib: Any, x: Any) -> Any:
    return x.detach() > 1


def _index(lib: Any) -> Any:
    return lib.tensor([[0, 2, 1, 1], [1, 0, 0, 2]])


def _write(x: Any, index: Any, value: Any) -> Any:
    y = x * 1.5
    y[index] = value
    return y


def _through_view(x: Any, value: Any) -> Any:
    y = x * 1.5
    row = y[1]
    row.mul_(value)
    return y * row


S = (3, 4)
PAIRS = [
    ("", (S, S)),
    (" row", (S, (4,))),
    (" column", (S, (3, 1))),
    (" scalar", (S, ())),
    (" both ways", ((3, 1), (1, 4))),
    (" from scalar", ((), S)),
    (" empty", ((0, 4), (4,))),
]
BINARY: list[tuple[str, Callable[..., Any]]] = [
    ("add", lambda lib, a, b: a + b),
    ("sub", lambda lib, a, b: a - b),
    ("mul", lambda lib, a, b: a * b),
    ("div", lambda lib, a, b: a / b),
    ("pow", lambda lib, a, b: a**b),
    ("remainder", lambda lib, a, b: a % (b * 0.3)),
    ("maximum", lambda lib, a, b: lib.maximum(a, b)),
    ("minimum", lambda lib, a, b: lib.minimum(a, b)),
    ("where", lambda lib, a, b: lib.where(_mask(lib, a), a, b)),
]
UNARY: list[tuple[str, Callable[..., Any]]] = [
    ("neg", lambda lib, x: -x),
    ("abs", lambda lib, x: (x - 1.01).abs()),
    ("add number", lambda lib, x: 2 + x + 1.5),
    ("add alpha", lambda lib, x: x.add(x, alpha=3).sub(x, alpha=0.5)),
    ("rsub", lambda lib, x: 1 - x),
    ("mul number", lambda lib, x: 2 * x * 1.5),
    ("div number", lambda lib, x: x / 3),
    ("rdiv", lambda lib, x: 3 / x),
    ("square", lambda lib, x: x**2),
    ("cube", lambda lib, x: x**3),
    ("power 0", lambda lib, x: x**0),
    ("power -1.5", lambda lib, x: x**-1.5),
    ("rpow", lambda lib, x: 2**x),
    ("exp", lambda lib, x: x.exp()),
    ("log", lambda lib, x: x.log()),
    ("log1p", lambda lib, x: x.log1p()),
    ("sqrt", lambda lib, x: x.sqrt()),
    ("rsqrt", lambda lib, x: x.rsqrt()),
    ("reciprocal", lambda lib, x: x.reciprocal()),
    ("sin", lambda lib, x: x.sin()),
    ("cos", lambda lib, x: x.cos()),
    ("relu", lambda lib, x: (x - 1).relu()),
    ("sigmoid", lambda lib, x: x.sigmoid()),
    ("tanh", lambda lib, x: x.tanh()),
    ("clamp", lambda lib, x: x.clamp(0.6, 1.2)),
    ("clamp min", lambda lib, x: x.clamp(min=0.9)),
    ("clamp max", lambda lib, x: x.clamp(max=0.9)),
    ("masked_fill", lambda lib, x: x.masked_fill(_mask(lib, x), 7.0)),
    ("tril", lambda lib, x: x.tril()),
    ("triu", lambda lib, x: x.triu(1)),
    ("sum", lambda lib, x: x.sum()),
    ("sum 0", lambda lib, x: x.sum(0)),
    ("sum keep", lambda lib, x: x.sum(1, keepdim=True)),
    ("sum both", lambda lib, x: x.sum((0, -1))),
    ("mean", lambda lib, x: x.mean()),
    ("mean 1", lambda lib, x: x.mean(-1)),
    ("max", lambda lib, x: x.max()),
    ("max 0", lambda lib, x: x.max(0).values),
    ("max keep", lambda lib, x: x.max(1, keepdim=True).values),
    ("min", lambda lib, x: x.min()),
    ("min 1", lambda lib, x: x.min(1).values),
    ("amax", lambda lib, x: x.amax((0, 1))),
    ("amin", lambda lib, x: x.amin(1, keepdim=True)),
    ("var", lambda lib, x: x.var()),
    ("var 0", lambda lib, x: x.var(0, unbiased=False)),
    ("var correction", lambda lib, x: x.var(1, correction=2, keepdim=True)),
    ("std", lambda lib, x: x.std()),
    ("std 1", lambda lib, x: x.std(1, keepdim=True)),
    ("norm", lambda lib, x: x.norm()),
    ("norm 1", lambda lib, x: x.norm(1, dim=1)),
    ("norm 3", lambda lib, x: x.norm(3, dim=0, keepdim=True)),
    ("norm inf", lambda lib, x: x.norm(float("inf"))),
    ("prod", lambda lib, x: x.prod()),
    ("prod 0", lambda lib, x: x.prod(0)),
    ("cumsum", lambda lib, x: x.cumsum(1)),
    ("softmax", lambda lib, x: x.softmax(1)),
    ("log_softmax", lambda lib, x: x.log_softmax(0)),
    ("reshape", lambda lib, x: x.reshape(2, 6)),
    ("reshape copy", lambda lib, x: x.t().reshape(-1)),
    ("flatten", lambda lib, x: x.flatten()),
    ("transpose", lambda lib, x: x.transpose(0, 1) * 2),
    ("T", lambda lib, x: x.T),
    ("mT", lambda lib, x: x.mT),
    ("permute", lambda lib, x: x.unsqueeze(0).permute(2, 0, 1)),
    ("movedim", lambda lib, x: x.movedim(0, 1)),
    ("expand", lambda lib, x: x.unsqueeze(1).expand(2, 3, 5, -1)),
    ("squeeze", lambda lib, x: x[None, :, None].squeeze() + x[None].squeeze(0)),
    ("squeeze dims", lambda lib, x: x[None, :, None].squeeze((0, 2))),
    ("flip", lambda lib, x: x.flip(0, 1)),
    ("repeat", lambda lib, x: x.repeat(2, 3, 1)),
    ("cat self", lambda lib, x: lib.cat([x, x * 2, x], 1)),
    ("stack self", lambda lib, x: lib.stack([x, x * 2], 1)),
    ("split", lambda lib, x: x.split(3, 1)),
    ("a part of a split", lambda lib, x: x.split(2)[1]),
    ("an entry of unbind", lambda lib, x: x.unbind(1)[2]),
    ("split sizes", lambda lib, x: x.split([1, 3], 1)),
    ("chunk", lambda lib, x: x.chunk(2)),
    ("unbind", lambda lib, x: x.unbind(1)),
    ("narrow", lambda lib, x: x.narrow(1, 1, 2)),
    ("index row", lambda lib, x: x[1]),
    ("index element", lambda lib, x: x[1, 2]),
    ("index slice", lambda lib, x: x[1:, ::2]),
    ("index none", lambda lib, x: x[..., None, 1]),
    ("index list", lambda lib, x: x[[0, 0, 2]]),
    ("index tensors", lambda lib, x: x[lib.tensor([0, 2, 0]), lib.tensor([1, 1, 1])]),
    ("index mask", lambda lib, x: x[_mask(lib, x)]),
    ("gather", lambda lib, x: x.gather(0, _index(lib))),
    ("index_select", lambda lib, x: x.index_select(1, lib.tensor([3, 0, 3]))),
    ("clone", lambda lib, x: x.clone()),
    ("contiguous", lambda lib, x: x.t().contiguous()),
    ("add_", lambda lib, x: (x * 1).add_(x).add_(2)),
    ("mul_", lambda lib, x: (x * 1).mul_(x).mul_(3)),
    ("div_ sub_", lambda lib, x: (x * 1).div_(x + 1).sub_(x, alpha=2)),
    ("neg_ exp_", lambda lib, x: (x * 1).neg_().exp_()),
    ("sqrt_", lambda lib, x: (x * 1).sqrt_()),
    ("pow_ clamp_", lambda lib, x: (x * 1).pow_(2).clamp_(0.3, 1.3).abs_()),
    ("augmented", lambda lib, x: (lambda y: y.__iadd__(x).__imul__(x))(x * 2)),
    ("zero_", lambda lib, x: x.clone().zero_() + x),
]
OTHER = [
    Case("mm", ((3, 4), (4, 2)), lambda lib, a, b: a @ b),
    Case("mm transposed", ((4, 3), (2, 4)), lambda lib, a, b: a.t() @ b.t()),
    Case("mv", ((3, 4), (4,)), lambda lib, a, b: a @ b),
    Case("vm", ((3,), (3, 4)), lambda lib, a, b: a @ b),
    Case("dot", ((4,), (4,)), lambda lib, a, b: a @ b),
    Case("bmm", ((2, 3, 4), (2, 4, 2)), lambda lib, a, b: a @ b),
    Case("stack by matrix", ((2, 5, 3, 4), (4, 2)), lambda lib, a, b: a @ b),
    Case("stack by vector", ((2, 3, 4), (4,)), lambda lib, a, b: a @ b),
    Case("vector by stack", ((3,), (2, 3, 4)), lambda lib, a, b: a @ b),
    Case("matrix by stack", ((3, 4), (2, 4, 2)), lambda lib, a, b: a @ b),
    Case("broadcast stacks", ((5, 1, 3, 4), (2, 4, 2)), lambda lib, a, b: lib.matmul(a, b)),
    Case("empty product", ((0, 4), (4, 2)), lambda lib, a, b: a @ b),
    Case("cat", ((3, 4), (3, 2), (3, 0)), lambda lib, *xs: lib.cat(xs, -1)),
    Case("stack", ((3, 4), (3, 4)), lambda lib, *xs: lib.stack(xs, -1)),
    Case("write row", ((3, 4), (4,)), lambda lib, x, v: _write(x, 1, v)),
    Case("write column", ((3, 4), ()), lambda lib, x, v: _write(x, (slice(None), 2), v)),
    Case("write mask", ((3, 4), ()), lambda lib, x, v: _write(x, _mask(lib, x), v)),
    Case("write through view", ((3, 4), (4,)), lambda lib, x, v: _through_view(x, v)),
    Case("copy_", ((3, 4), (4,)), lambda lib, x, v: (x * 2).copy_(v) + x),
    Case("into zeros", ((4,),), lambda lib, v: _write(lib.zeros(3, 4, dtype=v.dtype), 0, v)),
    Case("var of one axis of 3", ((2, 3, 4),), lambda lib, x: x.var((0, 2))),
    Case("prod of axis 1 of 3", ((2, 3, 4),), lambda lib, x: x.prod(1)),
    Case("max of 3", ((2, 3, 4),), lambda lib, x: x.max(1).values),
    Case("scalar", ((),), lambda lib, x: (x * x).exp().sum()),
    Case("scalar functions", ((),), lambda lib, x: x.tanh() + x.sigmoid() * x.relu() - x.sqrt()),
    Case("clamp by tensors", ((3, 4), (4,)), lambda lib, x, b: x.clamp(min=b, max=b + 0.2)),
    Case("fill with tensor", ((3, 4), ()), lambda lib, x, v: x.masked_fill(_mask(lib, x), v)),
    Case("used often", ((4,),), lambda lib, x: x * x + x.exp() * x - x / (x + 1)),
]
CASES = [
    *[Case(name + suffix, shapes, f) for name, f in BINARY for suffix, shapes in PAIRS],
    *[Case(name, (S,), f) for name, f in UNARY],
    *OTHER,
]
