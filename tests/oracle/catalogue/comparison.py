"""Whether two results are the same: structure, shapes, dtypes, values, gradients.

Tolerances are those of `torch.testing.assert_close` for the dtype, or wider where PyTorch's own
catalogue says so of an operation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch

from ddp.autograd.tensor import Tensor
from tests.oracle.catalogue.translate import Translator

# torch.testing.assert_close's, as (rtol, atol).
DEFAULT = {
    torch.float16: (1e-3, 1e-5),
    torch.float32: (1.3e-6, 1e-5),
    torch.float64: (1e-7, 1e-7),
}
Tolerances = dict[Any, tuple[float, float]]


def leaves(result: Any) -> list[Any]:
    """The tensors and numbers of a result, in order."""
    if isinstance(result, tuple | list):
        return [leaf for member in result for leaf in leaves(member)]
    if isinstance(result, dict):
        return [leaf for member in result.values() for leaf in leaves(member)]
    return [result]


def difference(ours: Any, theirs: Any, tolerances: Tolerances, same_values: bool = True) -> str:
    """What differs between two results, in one line; empty if nothing does."""
    mine, other = leaves(ours), leaves(theirs)
    if len(mine) != len(other):
        return f"{len(mine)} results where PyTorch has {len(other)}"
    for place, (x, y) in enumerate(zip(mine, other, strict=True)):
        where = f"result {place}: " if len(mine) > 1 else ""
        if told := _leaf(x, y, tolerances, same_values):
            return where + told
    return ""


def _leaf(ours: Any, theirs: Any, tolerances: Tolerances, same_values: bool) -> str:
    if not isinstance(theirs, torch.Tensor):
        if isinstance(theirs, torch.dtype):
            same = str(ours) == str(theirs).removeprefix("torch.")
        else:
            same = bool(ours == theirs) or (ours != ours and theirs != theirs)
        return "" if same else f"{ours!r} where PyTorch has {theirs!r}"
    if not isinstance(ours, Tensor):
        return f"a {type(ours).__name__} where PyTorch has a tensor"
    theirs = theirs.detach()
    if ours.array.dtype.name != str(theirs.dtype).removeprefix("torch."):
        return f"dtype {ours.array.dtype.name} where PyTorch has {theirs.dtype}"
    if ours.array.shape != tuple(theirs.shape):
        return f"shape {ours.array.shape} where PyTorch has {tuple(theirs.shape)}"
    return _values(ours.array, theirs, tolerances) if same_values else ""


def _values(ours: np.ndarray[Any, Any], theirs: Any, tolerances: Tolerances) -> str:
    rtol, atol = tolerances.get(theirs.dtype, (0.0, 0.0))
    expected = theirs.resolve_neg().numpy()
    with np.errstate(all="ignore"):
        unlike = ~np.isclose(ours, expected, rtol, atol, equal_nan=ours.dtype.kind == "f")
    if not unlike.any():
        return ""
    at = tuple(int(index) for index in np.argwhere(unlike)[0])
    return f"{unlike.sum()} of {ours.size} values, at {at} {ours[at]!r} for {expected[at]!r}"


def gradients(
    ours: Any, theirs: Any, translator: Translator, tolerances: Tolerances
) -> Iterator[str]:
    """What differs between the gradients of the sample's inputs, input by input."""
    mine, other = list(_differentiable(leaves(ours))), list(_differentiable(leaves(theirs)))
    if len(mine) != len(other):
        yield f"{len(mine)} differentiable results where PyTorch has {len(other)}"
        return
    if not other or not translator.pairs:
        return
    weights = [np.cos(np.arange(y.numel())).reshape(tuple(y.shape)) for y in other]
    their_inputs = [pair[0] for pair in translator.pairs]
    our_inputs = [pair[1] for pair in translator.pairs]
    expected = torch.autograd.grad(
        other,
        their_inputs,
        [torch.tensor(w, dtype=y.dtype) for w, y in zip(weights, other, strict=True)],
        allow_unused=True,
    )
    got = _our_gradients(mine, our_inputs, weights)
    for place, (x, y) in enumerate(zip(got, expected, strict=True)):
        if (x is None) != (y is None):
            yield f"gradient {place}: {_presence(x)} where PyTorch has {_presence(y)}"
        elif y is not None and (told := difference(x, y, tolerances)):
            yield f"gradient {place}: {told}"


def _our_gradients(outputs: list[Tensor], inputs: list[Tensor], weights: list[Any]) -> Any:
    from ddp.autograd import grad

    seeds = [Tensor(w.astype(y.array.dtype)) for w, y in zip(weights, outputs, strict=True)]
    return grad(outputs, inputs, seeds, allow_unused=True)


def _presence(gradient: Any) -> str:
    return "none" if gradient is None else "one"


def _differentiable(results: Iterable[Any]) -> Iterator[Any]:
    for result in results:
        if isinstance(result, torch.Tensor | Tensor) and result.requires_grad:
            yield result
