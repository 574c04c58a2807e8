"""What the reports of all ranks say about a step. Pure functions, in the order of their use.

Sums over ranks are taken with fsum, which rounds once: the results depend neither on the order
of the reports nor on who computed what.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ddp.results import ShardResult, exact_sum
from workers import messages as m
from workers.roster import Worker


def all_shards(workers: Sequence[Worker]) -> list[ShardResult]:
    """The results of all shards, in order."""
    results = [result for worker in workers for result in _report(worker).shards]
    return sorted(results, key=lambda result: result.shard)


def global_norm(workers: Sequence[Worker]) -> float:
    """The 2-norm of the whole gradient, from the sums of squares of all blocks; NaN if one is."""
    arrays = [worker.sums_of_squares for worker in workers if worker.sums_of_squares is not None]
    squares = [square for array in arrays for square in array.tolist()]
    return math.sqrt(exact_sum(squares))


def clip_coefficient(norm: float, max_norm: float | None) -> float:
    """min(1, max_norm / (norm + 1e-6)), as torch.nn.utils.clip_grad_norm_; None: no clipping."""
    return 1.0 if max_norm is None else min(1.0, max_norm / (norm + 1e-6))


def first_non_finite(workers: Sequence[Worker]) -> str:
    """What was not finite first, in the order of the shards, as a clause; empty: nothing."""
    found = [
        (shard, where, worker)
        for worker in workers
        for shard, where in [_report(worker).non_finite or (-1, "")]
        if where
    ]
    if not found:
        return ""
    shard, where, worker = min(found, key=lambda item: item[0])
    return f"{where} of shard {shard} on {worker} is not finite"


def unused_everywhere(workers: Sequence[Worker]) -> tuple[int, ...]:
    """The parameters that got a gradient on no rank."""
    return tuple(sorted(set.intersection(*(set(_report(worker).unused) for worker in workers))))


def seconds(worker: Worker) -> dict[str, float]:
    """Where a rank's time went; `optimizer` follows when the step is committed."""
    spent = _report(worker).seconds
    return {"forward": spent.forward, "backward": spent.backward, "waiting": spent.waiting}


def _report(worker: Worker) -> m.StepReport:
    assert worker.report is not None, f"{worker} has not reported"
    return worker.report
