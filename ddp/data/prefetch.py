"""Reads the next samples in a helper thread while the present ones are computed.

What is read depends on the indices alone, so reading ahead cannot change a bit, and nothing of it
is state. At most one read is under way, and the reader of it is alone with the data set. A thread
is started for a read and ends with it, and only where reads are seen to wait (for a disk, for a
network): with a worker on each core, reads that compute gain nothing from a thread. Where a read
ahead fails, it is done again when its samples are needed: whatever is wrong is raised there, and
what works in one thread only (a database connection) goes on in that thread.

Left out: several reads at once, and readers in processes of their own.
"""

from __future__ import annotations

import threading
from contextvars import copy_context
from time import perf_counter, thread_time

import numpy as np
from numpy.typing import NDArray

from ddp.data.dataset import Array, BatchDataset, Dataset, fetch

# A read that waits for less is not worth a thread, which costs about a tenth of this.
SLOW_S = 1e-3


class ReadAhead:
    """A data set, read by indices that may be announced one read before they are needed."""

    def __init__(self, dataset: Dataset | BatchDataset) -> None:
        self._dataset = dataset
        self._reading: _Reading | None = None
        self._took_long = True  # the last read, as far as is known: it may have waited
        self._worth_it = False  # the last read waited
        self._one_thread = False  # the data set can be read from the caller's thread only

    def fetch(self, indices: NDArray[np.int64]) -> tuple[Array, Array]:
        """The samples as `ddp.data.dataset.fetch` gives them; raises what that raises."""
        announced = self._finish(indices)
        if announced is not None and announced.batch is not None:
            self._worth_it = announced.waited_s > SLOW_S
            return announced.batch
        self._one_thread |= announced is not None
        start_s = perf_counter()
        if self._took_long:
            batch, waited_s = _read(self._dataset, indices)
            self._worth_it = waited_s > SLOW_S
        else:  # asking for the time of a thread takes longer than reading a small batch
            batch = fetch(self._dataset, indices)
        self._took_long = perf_counter() - start_s > SLOW_S
        return batch

    @property
    def is_of_use(self) -> bool:
        """Whether `begin` would begin anything."""
        return self._worth_it and not self._one_thread

    def begin(self, indices: NDArray[np.int64]) -> None:
        """Begin to read what the next `fetch` will ask for, if that is worth a thread."""
        if self.is_of_use and len(indices):
            self._reading = _Reading(self._dataset, indices)

    def settle(self) -> None:
        """Wait for a read that has begun: after this nobody reads."""
        if self._reading is not None:
            self._reading.join()

    def _finish(self, indices: NDArray[np.int64]) -> _Reading | None:
        """The read that has begun, if it was for these indices."""
        self.settle()
        reading, self._reading = self._reading, None
        if reading is None or not np.array_equal(reading.indices, indices):
            return None
        return reading


class _Reading(threading.Thread):
    """One read. `batch` stays None when it fails."""

    def __init__(self, dataset: Dataset | BatchDataset, indices: NDArray[np.int64]) -> None:
        super().__init__(name="reading ahead", daemon=True)
        self.indices = indices
        self.batch: tuple[Array, Array] | None = None
        self.waited_s = 0.0
        self._dataset = dataset
        self._context = copy_context()  # NumPy's error state belongs to it
        self.start()

    def run(self) -> None:
        try:
            self.batch, self.waited_s = self._context.run(_read, self._dataset, self.indices)
        except BaseException:
            return  # the caller reads these samples itself, and is told then


def _read(
    dataset: Dataset | BatchDataset, indices: NDArray[np.int64]
) -> tuple[tuple[Array, Array], float]:
    """The samples, and for how many seconds reading them waited instead of computing."""
    start, computed = perf_counter(), thread_time()
    batch = fetch(dataset, indices)
    return batch, (perf_counter() - start) - (thread_time() - computed)
