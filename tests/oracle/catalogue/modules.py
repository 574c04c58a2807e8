"""PyTorch's catalogue of modules (ModuleInfo) on both: initial values, results, gradients, buffers.

Both are built from the same seed: the state dicts must agree in names and bits before anything
is computed. A module in training and the same in evaluation are two samples.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch.testing._internal import common_modules as catalogue

import ddp
from ddp import nn
from tests.oracle.catalogue.comparison import DEFAULT, difference, gradients, judge, judge_errors
from tests.oracle.catalogue.finding import REFUSED, Finding, Findings
from tests.oracle.catalogue.operations import SEED, SLICE, same_start
from tests.oracle.catalogue.translate import Translator, Untranslatable, dtype_of

BITS = dict.fromkeys(DEFAULT, (0.0, 0.0))


def run(names: set[str] | None = None) -> Findings:
    """Run all modules, or those of the given names."""
    findings = Findings("modules")
    for info in catalogue.module_db:
        name = info.module_cls.__name__
        if names is not None and name not in names:
            continue
        if hasattr(nn, name):
            findings.found.extend(_run_module(info, name))
        else:
            findings.absent.append(name)
    return findings


def _run_module(info: Any, name: str) -> Iterator[Finding]:
    for dtype, limit in ((torch.float32, None), (torch.float64, SLICE)):
        for training in (True, False):
            mode = "training" if training else "evaluation"
            ring = f"{str(dtype).removeprefix('torch.')}, {mode}"
            samples = _inputs(info, info.module_inputs_func, dtype, training)
            for number, sample in enumerate(itertools.islice(samples, limit)):
                if found := _compare(info, name, sample, dtype, training):
                    yield Finding(name, ring, number, *found)
    if info.module_error_inputs_func is not None:
        errors = _inputs(info, info.module_error_inputs_func, torch.float32, True)
        for number, error in enumerate(errors):
            if found := _compare_errors(info, name, error):
                yield Finding(name, "errors", number, *found)


def _inputs(info: Any, function: Any, dtype: Any, training: bool) -> Any:
    same_start()
    return function(info, device="cpu", dtype=dtype, requires_grad=True, training=training)


def _compare(
    info: Any, name: str, sample: Any, dtype: Any, training: bool
) -> tuple[str, str] | None:
    """Verdict and detail; None for what PyTorch itself does not do."""
    translator = Translator()
    built, given = sample.constructor_input, sample.forward_input
    try:
        our_build = translator([built.args, built.kwargs])
        our_given = translator([given.args, given.kwargs])
    except Untranslatable as absent:
        return REFUSED, f"there is no {absent}"
    try:
        torch.manual_seed(SEED)
        theirs = info.module_cls(*built.args, **built.kwargs).to(dtype).train(training)
        start = {key: value.clone() for key, value in theirs.state_dict().items()}
        torch.manual_seed(SEED)
        expected = theirs(*given.args, **given.kwargs)
    except Exception:
        return None

    def comparison() -> Iterator[str]:
        ddp.manual_seed(SEED)
        ours = getattr(nn, name)(*our_build[0], **our_build[1]).to(dtype_of(dtype)).train(training)
        yield from _states(ours.state_dict(), start, BITS, "initial")
        ddp.manual_seed(SEED)
        got = ours(*our_given[0], **our_given[1])
        yield from difference(got, expected, DEFAULT)
        yield from _states(ours.state_dict(), theirs.state_dict(), DEFAULT, "final")
        parameters = list(zip(theirs.parameters(), ours.parameters(), strict=True))
        yield from gradients(got, expected, translator.pairs + parameters, DEFAULT)

    return judge(comparison)


def _states(ours: Any, theirs: Any, tolerances: Any, when: str) -> Iterator[str]:
    if list(ours) != list(theirs):
        yield f"state dict of {list(ours)} where PyTorch has {list(theirs)}"
        return
    for key, value in theirs.items():
        for told in difference(ours[key], value, tolerances):
            yield f"{when} {key}: {told}"


def _compare_errors(info: Any, name: str, error: Any) -> tuple[str, str] | None:
    built = error.module_error_input.constructor_input
    given = error.module_error_input.forward_input
    translator = Translator()
    try:
        our_build = translator([built.args, built.kwargs])
        our_given = translator([given.args, given.kwargs]) if given else None
    except Untranslatable as absent:
        return REFUSED, f"there is no {absent}"

    def theirs() -> None:
        module = info.module_cls(*built.args, **built.kwargs)
        if error.error_on == catalogue.ModuleErrorEnum.FORWARD_ERROR:
            module(*given.args, **given.kwargs)

    def ours() -> None:
        module = getattr(nn, name)(*our_build[0], **our_build[1])
        if our_given is not None and error.error_on == catalogue.ModuleErrorEnum.FORWARD_ERROR:
            module(*our_given[0], **our_given[1])

    return judge_errors(theirs, ours)
