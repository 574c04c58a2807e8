"""`DataLoader`: batches of a data set, in this process or from worker processes.

Random orders follow PyTorch's from the same `manual_seed`: every iteration draws a base seed for
its workers, then the sampler's seed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from typing import Any

from ddp.autograd.random import RandomSource
from ddp.cores import usable_cores
from ddp.utils.data.collate import default_collate as default_collate
from ddp.utils.data.collate import default_convert as default_convert
from ddp.utils.data.dataset import IterableDataset
from ddp.utils.data.draws import random_seed
from ddp.utils.data.fetch import Collate, Fetcher
from ddp.utils.data.pool import WorkerPool
from ddp.utils.data.sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler

FIXED = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")


class DataLoader:
    """`torch.utils.data.DataLoader`. Iterating gives batches; every iteration starts anew.

    With `num_workers` > 0 that many processes read `prefetch_factor` batches each ahead; they end
    with the iteration (or with the loader, if `persistent_workers`), and with the process that
    started them, however it ends. `timeout` is in seconds, 0 for none. `pin_memory` has nothing
    to do here. `batch_size=None` gives samples one by one.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[list[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Collate | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: RandomSource | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        _check_workers(
            num_workers, timeout, prefetch_factor, persistent_workers, multiprocessing_context
        )
        _check_sampling(dataset, batch_size, shuffle, sampler, batch_sampler, drop_last)
        if pin_memory:
            warnings.warn(
                "'pin_memory' argument is set as true but no accelerator is found, then device "
                "pinned memory won't be used.",
                stacklevel=2,
            )
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = 2 if num_workers and prefetch_factor is None else prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.in_order = in_order
        self.generator = generator
        self.persistent_workers = persistent_workers
        self.sampler = _sampler(dataset, shuffle, generator) if sampler is None else sampler
        if batch_sampler is not None:
            batch_size = None
        elif batch_size is not None:
            batch_sampler = BatchSampler(self.sampler, batch_size, drop_last)
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.batch_sampler = batch_sampler
        self.collate_fn: Collate = collate_fn or (
            default_convert if batch_sampler is None else default_collate
        )
        self._kept: LoaderIterator | None = None
        self._finished = True

    def __setattr__(self, name: str, value: Any) -> None:
        if name in FIXED and "_finished" in self.__dict__:
            raise ValueError(
                f"{name} attribute should not be set after {type(self).__name__} is initialized"
            )
        super().__setattr__(name, value)

    def __iter__(self) -> LoaderIterator:
        if not (self.persistent_workers and self.num_workers):
            return LoaderIterator(self)
        if self._kept is None or self._kept.is_closed:
            self._kept = LoaderIterator(self)
        else:
            self._kept.restart(iter(self._items))
        return self._kept

    @property
    def _items(self) -> Iterable[Any]:
        """What is dealt out: lists of indices, or single ones."""
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def __len__(self) -> int:
        """The number of batches; of an iterable data set, by the length it says it has."""
        if not isinstance(self.dataset, IterableDataset):
            return len(self._items)  # type: ignore[arg-type]  # TypeError if it has none
        samples = len(self.dataset)  # type: ignore[arg-type]  # TypeError if it has none
        if self.batch_size is None:
            return samples
        return samples // self.batch_size if self.drop_last else -(-samples // self.batch_size)


class LoaderIterator:
    """One iteration over a loader, or with persistent workers one after the other.

    It does not hold the loader, which holds it while workers persist.
    """

    def __init__(self, loader: DataLoader) -> None:
        self._pool: WorkerPool | None = None
        self._persistent = loader.persistent_workers
        self._sampler = loader._items
        self._items = iter(self._sampler)
        base_seed = random_seed(loader.generator)
        if loader.num_workers:
            self._pool = WorkerPool(
                loader.dataset,
                loader.num_workers,
                loader.prefetch_factor or 1,
                batched=loader.batch_sampler is not None,
                collate=loader.collate_fn,
                drop_last=loader.drop_last,
                base_seed=base_seed,
                init=loader.worker_init_fn,
                context=loader.multiprocessing_context,
                timeout_s=loader.timeout,
            )
            self._pool.start_epoch(self._items)
        else:
            batched = loader.batch_sampler is not None
            self._fetcher = Fetcher(loader.dataset, batched, loader.collate_fn, loader.drop_last)

    def restart(self, items: Iterator[Any]) -> None:
        """Begin a new epoch with the same workers."""
        assert self._pool is not None
        self._pool.start_epoch(items)

    @property
    def is_closed(self) -> bool:
        """Whether its workers have ended."""
        return self._pool is not None and self._pool.is_closed

    def __iter__(self) -> LoaderIterator:
        return self

    def __next__(self) -> Any:
        if self._pool is None:
            return self._fetcher.fetch(next(self._items))
        try:
            return self._pool.next_batch()
        except StopIteration:
            if not self._persistent:
                self._pool.close()
            raise

    def __len__(self) -> int:
        return len(self._sampler)  # type: ignore[arg-type]  # TypeError if it has none


class _Endless(Sampler[None]):
    """What an iterable data set is asked for: the next sample, always."""

    def __iter__(self) -> Iterator[None]:
        return repeat(None)


def _sampler(dataset: Any, shuffle: bool | None, generator: RandomSource | None) -> Sampler[Any]:
    if isinstance(dataset, IterableDataset):
        return _Endless()
    return RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)


def _check_workers(
    num_workers: int,
    timeout: float,
    prefetch_factor: int | None,
    persistent_workers: bool,
    context: Any,
) -> None:
    if num_workers < 0:
        raise ValueError(
            "num_workers option should be non-negative; use num_workers=0 to disable "
            "multiprocessing."
        )
    if timeout < 0:
        raise ValueError("timeout option should be non-negative")
    if num_workers == 0:
        for name, given in (
            ("prefetch_factor", prefetch_factor is not None),
            ("persistent_workers", persistent_workers),
            ("multiprocessing_context", context is not None),
        ):
            if given:
                raise ValueError(f"{name} option needs num_workers > 0, but got num_workers=0")
    if prefetch_factor is not None and prefetch_factor < 0:
        raise ValueError("prefetch_factor option should be non-negative")
    cores = usable_cores()
    if num_workers > cores:
        warnings.warn(
            f"This DataLoader will create {num_workers} worker processes in total, and there are "
            f"{cores} cores for them: fewer may be faster.",
            stacklevel=3,
        )


def _check_sampling(
    dataset: Any,
    batch_size: int | None,
    shuffle: bool | None,
    sampler: Any,
    batch_sampler: Any,
    drop_last: bool,
) -> None:
    if isinstance(dataset, IterableDataset):
        for name, value in (
            ("shuffle", shuffle or None),
            ("sampler", sampler),
            ("batch_sampler", batch_sampler),
        ):
            if value is not None:
                raise ValueError(
                    f"DataLoader with IterableDataset: expected unspecified {name} option, but "
                    f"got {name}={value}"
                )
    if sampler is not None and shuffle:
        raise ValueError("sampler option is mutually exclusive with shuffle")
    if batch_sampler is not None and (batch_size != 1 or shuffle or sampler or drop_last):
        raise ValueError(
            "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and "
            "drop_last"
        )
    if batch_sampler is None and batch_size is None and drop_last:
        raise ValueError(
            "batch_size=None option disables auto-batching and is mutually exclusive with drop_last"
        )
