"""PyTorch's catalogue of operations (OpInfo) on both: samples, gradients, refusals."""

from __future__ import annotations

import itertools
import random
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.testing._internal import common_methods_invocations as catalogue
from torch.testing._internal.common_device_type import toleranceOverride

import ddp
from ddp.autograd.tensor import Tensor
from tests.oracle.catalogue.comparison import (
    DEFAULT,
    Tolerances,
    difference,
    gradients,
    judge,
    judge_errors,
)
from tests.oracle.catalogue.finding import REFUSED, Finding, Findings
from tests.oracle.catalogue.translate import Translator, Untranslatable, rebound

# Their values are whatever the memory held.
UNINITIALISED = {"empty", "empty_like", "new_empty"}
# Determined up to signs: the catalogue's samples say how to make the results comparable.
UP_TO_SIGN = {"linalg.eigh", "linalg.svd"}
# Which of equal elements they name is left open (but by stable sorts): the elements are compared.
# The value is the place of `dim` among the arguments.
NAMES_ELEMENTS = {"argsort": 0, "kthvalue": 1, "mode": 0, "sort": 0, "topk": 1}
SLICE = 12  # samples per operation of the dtypes that only get a slice
SLICED = (torch.float64, torch.int64, torch.bool)
SEED = 42  # as in PyTorch's wrapper_set_seed

Ours = Callable[..., Any]


def run(names: set[str] | None = None) -> Findings:
    """Run all operations, or those of the given names."""
    findings = Findings("operations")
    for info in catalogue.op_db:
        if names is not None and info.name not in names:
            continue
        subject = label(info)
        function = our_function(info)
        found = [] if function is None else list(_run_operation(info, subject, function))
        if all(finding.names_what_is_absent for finding in found):
            findings.absent.append(subject)
        else:
            findings.found.extend(found)
    return findings


def label(info: Any) -> str:
    """The name, with that of its variant."""
    return info.name + (f".{info.variant_test_name}" if info.variant_test_name else "")


def our_function(info: Any) -> Ours | None:
    """The operation under the alias; None if we have no such name."""
    found = _by_name(ddp, info.name) or getattr(Tensor, info.name, None)
    if _is_of_the_catalogue(info.op):
        return rebound(info.op, wrapper_set_seed=_with_seed)
    return found


def _is_of_the_catalogue(function: Any) -> bool:
    return isinstance(function, types.FunctionType) and function.__module__.startswith(
        "torch.testing."
    )


def _by_name(root: Any, dotted: str) -> Any:
    for name in dotted.split("."):
        try:
            root = getattr(root, name)
        except AttributeError:
            return None
    return root


def _with_seed(function: Ours, *arguments: Any, **keywords: Any) -> Any:
    ddp.manual_seed(SEED)
    return function(*arguments, **keywords)


def _run_operation(info: Any, subject: str, function: Ours) -> Iterator[Finding]:
    if torch.float32 in info.dtypes:
        yield from _run_dtype(info, subject, function, torch.float32, None)
    for dtype in SLICED:
        if dtype in info.dtypes:
            yield from _run_dtype(info, subject, function, dtype, SLICE)
    if torch.float32 in info.dtypes:
        yield from _run_variants(info, subject)
    if info.error_inputs_func is not None:
        yield from _run_errors(info, subject, function)


def _run_dtype(
    info: Any, subject: str, function: Ours, dtype: Any, limit: int | None
) -> Iterator[Finding]:
    ring = str(dtype).removeprefix("torch.")
    with_gradient = info.supports_autograd and dtype.is_floating_point
    same_start()
    tolerances = tolerances_of(info)
    samples = info.sample_inputs("cpu", dtype, requires_grad=with_gradient)
    for number, sample in enumerate(itertools.islice(samples, limit)):
        if found := _compare(info, function, sample, tolerances):
            yield Finding(subject, ring, number, *found)


def same_start() -> None:
    """Samples are drawn at random: the same ones in every run."""
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - the stream PyTorch's samples draw from


def tolerances_of(info: Any) -> Tolerances:
    """The defaults, widened where the catalogue says so for this operation on the CPU."""
    wide = dict(DEFAULT)
    for decoration in info.decorators:
        if getattr(decoration, "device_type", None) not in (None, "cpu"):
            continue
        for decorator in getattr(decoration, "decorators", [decoration]):
            if isinstance(decorator, toleranceOverride):
                for dtype, told in decorator.d.items():
                    rtol, atol = wide.get(dtype, (0.0, 0.0))
                    wide[dtype] = (max(rtol, told.rtol), max(atol, told.atol))
    return wide


def _compare(
    info: Any, function: Ours, sample: Any, tolerances: Tolerances
) -> tuple[str, str] | None:
    """Verdict and detail; None for what PyTorch itself does not do."""
    translator = Translator()
    try:
        first, arguments, keywords = translator([sample.input, sample.args, sample.kwargs])
    except Untranslatable as absent:
        return REFUSED, f"there is no {absent}"
    try:
        theirs = info.op(sample.input, *sample.args, **sample.kwargs)
    except Exception:
        return None

    def comparison() -> Iterator[str]:
        ours = _with_seed(function, first, *arguments, **keywords)
        mine, other = map(sample.output_process_fn_grad, (ours, theirs))
        if info.name in UP_TO_SIGN:
            yield from difference(mine, other, tolerances)
        elif info.name in NAMES_ELEMENTS and not is_stable(sample):
            named = [elements_named(info.name, sample, result) for result in (ours, theirs)]
            yield from difference(*named, tolerances)
        else:
            yield from difference(ours, theirs, tolerances, info.name not in UNINITIALISED)
        yield from gradients(mine, other, translator.pairs, tolerances)

    return judge(comparison)


def is_stable(sample: Any) -> bool:
    """Whether a stable sort is asked for, which leaves nothing open."""
    return bool(sample.kwargs.get("stable"))


def elements_named(name: str, sample: Any, result: Any) -> Any:
    """The result with its indices, the last of it, replaced by the elements they name."""
    results = result if isinstance(result, tuple) else (result,)
    *values, indices = results
    library = torch if isinstance(indices, torch.Tensor) else ddp
    place = NAMES_ELEMENTS[name]
    dim = sample.args[place] if len(sample.args) > place else sample.kwargs.get("dim", -1)
    given = sample.input.detach()
    elements = given if library is torch else Tensor(given.numpy())
    is_whole = indices.ndim == given.ndim
    found = elements.gather(dim, indices if is_whole else indices.unsqueeze(dim))
    dtype = str(indices.dtype).removeprefix("torch.")
    return dtype, *values, found if is_whole else found.squeeze(dim)


def _run_variants(info: Any, subject: str) -> Iterator[Finding]:
    """The same as a method, and in place: values."""
    variants = {"method": info.method_variant, "in place": info.inplace_variant}
    for ring, theirs in variants.items():
        name = getattr(theirs, "__name__", "")
        if theirs is None or not hasattr(Tensor, name):
            continue
        same_start()
        samples = info.sample_inputs("cpu", torch.float32, requires_grad=False)
        for number, sample in enumerate(itertools.islice(samples, SLICE)):
            if ring == "in place" and sample.broadcasts_input:
                continue
            found = _compare_variant(info, theirs, getattr(Tensor, name), sample)
            if found:
                yield Finding(subject, ring, number, *found)


def _compare_variant(info: Any, theirs: Ours, ours: Ours, sample: Any) -> tuple[str, str] | None:
    try:
        first, arguments, keywords = Translator()([sample.input, sample.args, sample.kwargs])
    except Untranslatable as absent:
        return REFUSED, f"there is no {absent}"
    try:
        torch.manual_seed(SEED)
        expected = theirs(sample.input, *sample.args, **sample.kwargs)
    except Exception:
        return None

    def comparison() -> Iterator[str]:
        got = _with_seed(ours, first, *arguments, **keywords)
        same_values = info.name not in UNINITIALISED
        yield from difference(got, expected, tolerances_of(info), same_values)

    return judge(comparison)


def _run_errors(info: Any, subject: str, function: Ours) -> Iterator[Finding]:
    same_start()
    for number, error in enumerate(info.error_inputs("cpu")):
        if found := _compare_errors(info, function, error.sample_input):
            yield Finding(subject, "errors", number, *found)


def _compare_errors(info: Any, function: Ours, sample: Any) -> tuple[str, str] | None:
    try:
        first, arguments, keywords = Translator()([sample.input, sample.args, sample.kwargs])
    except Untranslatable as absent:
        return REFUSED, f"there is no {absent}"
    return judge_errors(
        lambda: info.op(sample.input, *sample.args, **sample.kwargs),
        lambda: function(first, *arguments, **keywords),
    )
