"""PyTorch's catalogue of optimizers (OptimizerInfo) on both: five steps of each sample in float64,
and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.testing._internal import common_optimizers as catalogue

from ddp import nn, optim
from ddp.autograd.tensor import Tensor
from tests.oracle.catalogue.comparison import DEFAULT, difference, judge, judge_errors
from tests.oracle.catalogue.finding import Finding, Findings
from tests.oracle.catalogue.operations import same_start
from tests.oracle.catalogue.translate import Translator

STEPS = 5
SHAPES = ((3, 4), (5,))


def run(names: set[str] | None = None) -> Findings:
    """Run all optimizers, or those of the given names."""
    findings = Findings("optimizers")
    for info in catalogue.optim_db:
        name = info.optim_cls.__name__
        if names is not None and name not in names:
            continue
        if hasattr(optim, name):
            findings.found.extend(_run_optimizer(info, name))
        else:
            findings.absent.append(name)
    return findings


def _run_optimizer(info: Any, name: str) -> Iterator[Finding]:
    for dtype in (torch.float32, torch.float64):
        ring = str(dtype).removeprefix("torch.")
        same_start()
        for number, sample in enumerate(info.optim_inputs_func(device="cpu")):
            yield Finding(name, ring, number, *_compare(name, sample.kwargs, dtype))
    for number, error in enumerate(info.optim_error_inputs_func(device="cpu", dtype=dtype)):
        if found := _compare_errors(name, error):
            yield Finding(name, "errors", number, *found)


def _compare(name: str, keywords: dict[str, Any], dtype: Any) -> tuple[str, str]:
    translator = Translator()
    starts = [np.random.default_rng(7).standard_normal(shape) for shape in SHAPES]
    theirs = [torch.nn.Parameter(torch.tensor(start, dtype=dtype)) for start in starts]
    ours = [nn.Parameter(Tensor(parameter.detach().numpy().copy())) for parameter in theirs]

    def comparison() -> Iterator[str]:
        their_optimizer = getattr(torch.optim, name)(theirs, **keywords)
        our_optimizer = getattr(optim, name)(ours, **translator(keywords))
        for _ in range(STEPS):
            lost = their_optimizer.step(closure(their_optimizer, theirs))
            yield from difference(our_optimizer.step(closure(our_optimizer, ours)), lost, DEFAULT)
        yield from difference(ours, theirs, DEFAULT)

    return judge(comparison)


def closure(optimizer: Any, parameters: list[Any]) -> Any:
    """What `step` calls: a loss of all parameters and its gradients."""

    def run() -> Any:
        optimizer.zero_grad()
        loss = sum((p * p).sum() + p.sum() for p in parameters)
        loss.backward()
        return loss.detach()

    return run


def _compare_errors(name: str, error: Any) -> tuple[str, str] | None:
    given = error.optimizer_error_input
    translator = Translator()
    our_parameters, our_keywords = translator(given.params), translator(given.kwargs)
    on_step = error.error_on == catalogue.OptimizerErrorEnum.STEP_ERROR

    def build(library: Any, parameters: Any, keywords: Any) -> None:
        optimizer = getattr(library, name)(parameters, **keywords)
        if on_step:
            optimizer.step()

    return judge_errors(
        lambda: build(torch.optim, given.params, given.kwargs),
        lambda: build(optim, our_parameters, our_keywords),
    )
