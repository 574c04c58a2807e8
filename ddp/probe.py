"""One forward and backward pass on a few samples, before the first step.

It shows the order in which gradients become ready, which the layout of the flat memory follows,
and whether model, loss and data fit together: a mistake there is told before training begins.
Nothing it does stays: gradients are cleared, buffers put back, random numbers keyed.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ddp.accuracy import is_classification
from ddp.autograd.grad_mode import no_grad
from ddp.autograd.random import PhiloxGenerator, use_generator
from ddp.autograd.tensor import Tensor
from ddp.build import Task
from ddp.config.schema import Config
from ddp.data.dataset import ArrayDataset, check_labels, fetch
from ddp.data.files import AnyDataset
from ddp.errors import ConfigError, DataError
from ddp.parallel.buffers import Buffers
from ddp.parallel.flat import Array

PROBE_SAMPLES = 4  # batch norm needs more than one
OUR_CODE = Path(__file__).parent


def ready_order(config: Config, task: Task, parameters: Sequence[Tensor]) -> list[int]:
    """The numbers of `parameters` in the order in which their gradients become ready.

    Those that got no gradient come last. Raises DataError when the data do not fit the model
    and ConfigError when the loss is not one number.
    """
    seen: list[int] = []
    number = {id(parameter): n for n, parameter in enumerate(parameters)}
    hooks = [
        parameter.register_post_accumulate_grad_hook(lambda p: seen.append(number[id(p)]))
        for parameter in parameters
    ]
    buffers = Buffers(task.model)
    before = buffers.copies()
    task.model.train()
    try:
        loss = _loss_of_a_few(config, task, task.train, "training")
        loss.backward(Tensor(np.ones(loss.shape, np.float32)))
    finally:
        for hook in hooks:
            hook.remove()
    for parameter in parameters:
        parameter.grad = None
    buffers.write(before)
    if task.test is not None:
        task.model.eval()
        with no_grad():
            _loss_of_a_few(config, task, task.test, "test")
    return seen + sorted(set(number.values()) - set(seen))


def _loss_of_a_few(config: Config, task: Task, dataset: AnyDataset, what: str) -> Tensor:
    """The loss of the first few samples of the data set, after checking that they fit."""
    inputs, targets = fetch(dataset, np.arange(min(PROBE_SAMPLES, len(dataset))))
    try:
        with use_generator(PhiloxGenerator(config.seed, 0, 0)), np.errstate(all="ignore"):
            output = task.model(Tensor(inputs))
            if output is None:
                raise ConfigError(
                    f"'model.factory': forward of {type(task.model).__name__} gave None: expected "
                    "it to return its output"
                )
            if is_classification(output, targets) and isinstance(dataset, ArrayDataset):
                check_labels(dataset.targets, output.shape[1], f"the {what} set")
            loss = task.loss(output, Tensor(targets))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        if not _is_our_refusal(error):
            raise
        data = f"{what} data (inputs {_kind(inputs)}, targets {_kind(targets)})"
        raise DataError(
            f"the {data} do not fit the model {config.model.factory} or its loss: {error}"
            f"{_users_line(error)}"
        ) from error
    if loss.numel() != 1:
        raise ConfigError(
            f"'model.loss' is '{config.model.loss}': expected one number, the mean over the "
            f"samples, got shape {tuple(loss.shape)}"
        )
    return loss


def _is_our_refusal(error: Exception) -> bool:
    """Whether an operation of ours refused its arguments; else the user needs the traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    return Path(frames[-1].filename).is_relative_to(OUR_CODE)


def _users_line(error: Exception) -> str:
    """Where the user's own code asked for it, if it did."""
    frames = traceback.extract_tb(error.__traceback__)
    outside = [f for f in frames if not Path(f.filename).is_relative_to(OUR_CODE)]
    return f" ({outside[-1].filename}, line {outside[-1].lineno})" if outside else ""


def _kind(array: Array) -> str:
    return f"{array.dtype} of shape {array.shape}"
