"""Whether two results are the same: structure, shapes, dtypes, values, gradients.

Tolerances are those of `torch.testing.assert_close` for the dtype, or wider where PyTorch's own
catalogue says so of an operation.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch

from ddp.autograd import grad
from ddp.autograd.tensor import Tensor
from tests.oracle.catalogue.finding import DIFFERS, EQUAL, REFUSED

# torch.testing.assert_close's, as (rtol, atol).
DEFAULT = {
    torch.float16: (1e-3, 1e-5),
    torch.float32: (1.3e-6, 1e-5),
    torch.float64: (1e-7, 1e-7),
}
Array = np.ndarray[Any, Any]
Tolerances = dict[Any, tuple[float, float]]


Run = Callable[[], Any]
# How an AttributeError of ours begins when it refuses a name, and is not a mistake of our own.
NAMING = ("ddp has no ", "module 'ddp", "'Tensor' object", "type object 'Tensor'")


def judge(comparison: Callable[[], Iterable[str]]) -> tuple[str, str]:
    """The verdict on a comparison that yields what differs, and the first it yields."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for told in comparison():
                return DIFFERS, told
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
            return (REFUSED if is_refusal(error) else DIFFERS), told
    return EQUAL, ""


def judge_errors(theirs: Run, ours: Run) -> tuple[str, str] | None:
    """The verdict on an input PyTorch refuses; None if it does not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected, got = raised(theirs), raised(ours)
    if expected is None:
        return None
    wanted = f"where PyTorch raises {type(expected).__name__}: {expected}"
    if got is None:
        return DIFFERS, f"accepted {wanted}"
    if type(got).__name__ == type(expected).__name__:
        return EQUAL, ""
    if is_refusal(got):
        return REFUSED, f"{type(got).__name__}: {got}"
    if isinstance(got, type(expected)):
        return EQUAL, ""
    return DIFFERS, f"{type(got).__name__}: {got} {wanted}"


def is_refusal(error: Exception) -> bool:
    """Whether the error says that we do not have something."""
    return isinstance(error, NotImplementedError) or (
        isinstance(error, AttributeError) and str(error).startswith(NAMING)
    )


def raised(run: Run) -> Exception | None:
    """What running it raises."""
    try:
        run()
    except Exception as error:
        return error
    return None


def leaves(result: Any) -> list[Any]:
    """The tensors and numbers of a result, in order."""
    if isinstance(result, tuple | list):
        return [leaf for member in result for leaf in leaves(member)]
    if isinstance(result, dict):
        return [leaf for member in result.values() for leaf in leaves(member)]
    return [result]


def difference(
    ours: Any, theirs: Any, tolerances: Tolerances, same_values: bool = True
) -> Iterator[str]:
    """What differs between two results, one line each."""
    mine, other = leaves(ours), leaves(theirs)
    if len(mine) != len(other):
        yield f"{len(mine)} results where PyTorch has {len(other)}"
        return
    for place, (x, y) in enumerate(zip(mine, other, strict=True)):
        where = f"result {place}: " if len(mine) > 1 else ""
        if told := _leaf(x, y, tolerances, same_values):
            yield where + told


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


def _values(ours: Array, theirs: Any, tolerances: Tolerances) -> str:
    rtol, atol = tolerances.get(theirs.dtype, (0.0, 0.0))
    expected = (theirs.clone() if theirs._is_zerotensor() else theirs.resolve_neg()).numpy()
    with np.errstate(all="ignore"):
        unlike = ~np.isclose(ours, expected, rtol, atol, equal_nan=ours.dtype.kind == "f")
    if not unlike.any():
        return ""
    at = tuple(int(index) for index in np.argwhere(unlike)[0])
    return (
        f"{unlike.sum()} of {ours.size} values, at {at} {ours[at]!r} for {expected[at]!r}, "
        f"off by {_off_by(ours, expected):.1e}"
    )


def _off_by(ours: Array, expected: Array) -> float:
    """The largest difference, of numbers above 1 relative to the largest; inf if not a number."""
    if not np.array_equal(np.isfinite(ours), np.isfinite(expected)):
        return float("inf")
    finite = np.isfinite(expected)
    mine, other = ours[finite].astype(np.float64), expected[finite].astype(np.float64)
    return float(np.abs(mine - other).max(initial=0.0) / max(1.0, np.abs(other).max(initial=0.0)))


def gradients(
    ours: Any, theirs: Any, pairs: list[tuple[Any, Tensor]], tolerances: Tolerances
) -> Iterator[str]:
    """What differs between the gradients of leaves, given as pairs of theirs and ours."""
    mine, other = list(_differentiable(leaves(ours))), list(_differentiable(leaves(theirs)))
    if len(mine) != len(other):
        yield f"{len(mine)} differentiable results where PyTorch has {len(other)}"
        return
    if not other or not pairs:
        return
    weights = [np.cos(np.arange(y.numel())).reshape(tuple(y.shape)) for y in other]
    their_inputs = [pair[0] for pair in pairs]
    our_inputs = [pair[1] for pair in pairs]
    their_seeds = [torch.tensor(w, dtype=y.dtype) for w, y in zip(weights, other, strict=True)]
    try:
        expected = torch.autograd.grad(other, their_inputs, their_seeds, allow_unused=True)
    except RuntimeError:  # PyTorch has no such derivative
        return
    got = _our_gradients(mine, our_inputs, weights)
    for place, (x, y) in enumerate(zip(got, expected, strict=True)):
        if (x is None) != (y is None):
            yield f"gradient {place}: {_presence(x)} where PyTorch has {_presence(y)}"
        elif y is not None:
            for told in difference(x, y, tolerances):
                yield f"gradient {place}: {told}"


def _our_gradients(outputs: list[Tensor], inputs: list[Tensor], weights: list[Any]) -> Any:
    seeds = [Tensor(w.astype(y.array.dtype)) for w, y in zip(weights, outputs, strict=True)]
    return grad(outputs, inputs, seeds, allow_unused=True)


def _presence(gradient: Any) -> str:
    if gradient is None:
        return "none"
    values = gradient.array if isinstance(gradient, Tensor) else gradient.numpy()
    return "one" if values.any() else "zeros"


def _differentiable(results: Iterable[Any]) -> Iterator[Any]:
    for result in results:
        if isinstance(result, torch.Tensor | Tensor) and result.requires_grad:
            yield result
