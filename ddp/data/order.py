"""The order of samples: a pure function of (seed, epoch), and a position that is one number.

The position counts optimizer steps since the start of the run. With the number of samples and
the global batch it says which epoch that is and which samples the step takes, at once: going on
from the middle of an epoch skips nothing and stores nothing else. Every sample comes exactly
once per epoch; the last step of an epoch takes what is left, never padded and never dropped.

Nothing here knows of workers: how a batch is cut into shards is decided in ddp.parallel.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Fourth counter word of the Philox stream, so that the order of epoch e and whatever else is
# keyed by (seed, e) draw from different streams. The letters of "order".
ORDER_STREAM = 0x6F72646572


class Place(NamedTuple):
    """Where in the run a position lies; both count from zero."""

    epoch: int
    step_in_epoch: int


def epoch_order(size: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The permutation of 0 … size-1 in which `epoch` takes the samples.

    It sorts raw words of Philox 4x64 (Salmon et al., 2011), one per sample, keyed by
    (seed, epoch). NumPy guarantees the raw stream of a bit generator across versions, but not
    what `permutation` makes of it.
    """
    key = np.array([seed, epoch], np.uint64)
    counter = np.array([0, 0, 0, ORDER_STREAM], np.uint64)
    words = np.random.Philox(counter=counter, key=key).random_raw(size)
    return np.argsort(words, kind="stable").astype(np.int64, copy=False)


def steps_per_epoch(size: int, global_batch: int) -> int:
    """Optimizer steps in an epoch of `size` samples, the ragged last one included."""
    return -(-size // global_batch)


def locate(size: int, global_batch: int, position: int) -> Place:
    """The epoch, and the step within it, of the step at `position`."""
    return Place(*divmod(position, steps_per_epoch(size, global_batch)))


def batch_positions(size: int, global_batch: int, position: int) -> range:
    """The places within the epoch's order that the step at `position` takes."""
    start = locate(size, global_batch, position).step_in_epoch * global_batch
    return range(start, min(start + global_batch, size))


def batch_indices(size: int, global_batch: int, seed: int, position: int) -> NDArray[np.int64]:
    """The indices of the samples in the global batch of the step at `position`; read-only."""
    places = batch_positions(size, global_batch, position)
    epoch = locate(size, global_batch, position).epoch
    return _remembered_order(size, seed, epoch)[places.start : places.stop]


# Sorting a million words takes a tenth of a second, and every step of an epoch asks.
@lru_cache(maxsize=2)
def _remembered_order(size: int, seed: int, epoch: int) -> NDArray[np.int64]:
    order = epoch_order(size, seed, epoch)
    order.flags.writeable = False
    return order
