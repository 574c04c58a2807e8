"""Evaluation: fixed batches of a data set, each computed by exactly one rank.

The batches depend on the data set and the batch size alone, and their results are summed
exactly, so every number of ranks finds the same loss and accuracy, with no sample twice.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ddp.accuracy import count_correct
from ddp.autograd.grad_mode import no_grad
from ddp.autograd.tensor import Tensor
from ddp.build import Loss
from ddp.data.dataset import fetch
from ddp.data.files import AnyDataset
from ddp.nn.module import Module
from ddp.results import BatchResult


def batches_of(rank: int, size: int, samples: int, batch: int) -> list[range]:
    """The batches of a data set that `rank` computes: every `size`-th one."""
    starts = range(rank * batch, samples, size * batch)
    return [range(start, min(start + batch, samples)) for start in starts]


def evaluate(
    model: Module, loss: Loss, dataset: AnyDataset, batches: Iterable[range]
) -> list[BatchResult]:
    """The loss and right answers of each batch, in evaluation mode and without a graph.

    Leaves the model in the mode it was in.
    """
    was_training = model.training
    model.eval()
    results = []
    with no_grad(), np.errstate(all="ignore"):  # a model that has diverged is no error here
        for batch in batches:
            inputs, targets = fetch(dataset, np.arange(batch.start, batch.stop))
            output = model(Tensor(inputs))
            value = loss(output, Tensor(targets)).item()
            results.append(BatchResult(value, count_correct(output, targets), len(batch)))
    model.train(was_training)
    return results
