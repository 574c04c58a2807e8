"""From the indices of a batch to the batch: the same in this process and in a worker's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from ddp.utils.data.collate import default_collate
from ddp.utils.data.dataset import IterableDataset, Subset, TensorDataset

Collate = Callable[[Any], Any]


class Fetcher:
    """Reads what a sampler's item stands for; StopIteration at the end of an iterable data set.

    `batched` says whether an item is a list of indices or one index.
    """

    def __init__(self, dataset: Any, batched: bool, collate: Collate, drop_last: bool) -> None:
        self._dataset = dataset
        self._batched = batched
        self._collate = collate
        self._drop_last = drop_last
        is_iterable = isinstance(dataset, IterableDataset)
        self._samples: Iterator[Any] | None = iter(dataset) if is_iterable else None

    def fetch(self, item: Any) -> Any:
        """The batch (or sample) of one item of the sampler."""
        if self._samples is not None:
            return self._collate(self._next_samples(self._samples, item))
        if not self._batched:
            return self._collate(self._dataset[item])
        if self._collate is default_collate:
            tensors = cut_tensors(self._dataset, item)
            if tensors is not None:
                return tensors
        whole = getattr(self._dataset, "__getitems__", None)
        return self._collate(whole(item) if whole else [self._dataset[i] for i in item])

    def _next_samples(self, samples: Iterator[Any], item: Any) -> Any:
        if not self._batched:
            return next(samples)
        batch = list(islice(samples, len(item)))
        if not batch or (self._drop_last and len(batch) < len(item)):
            raise StopIteration
        return batch


def cut_tensors(dataset: Any, indices: list[int]) -> list[Any] | None:
    """A batch of a TensorDataset, or of a subset of one, cut out of each tensor at once.

    The same tensors as stacking sample by sample gives, without the samples. None for other data
    sets, and for classes derived from these, which may have changed what a sample is.
    """
    while type(dataset) is Subset:
        dataset, indices = dataset.dataset, [dataset.indices[i] for i in indices]
    if type(dataset) is not TensorDataset:
        return None
    rows = [int(i) for i in indices]
    return [tensor[rows] for tensor in dataset.tensors]
