"""Recurrent layers over packed sequences: run by run, each of steps that are as many sequences.

Packed data holds the first elements of all sequences, longest first, then their second ones, and so
on: (Σ lengths, K). Where a sequence ends, the batch becomes smaller and its state is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

from ddp.autograd.ops.join import cat
from ddp.autograd.tensor import Tensor

Run = tuple[int, int]  # steps, sequences
States = tuple[Tensor, ...]  # (N, H) each
Scan = Callable[[Tensor, States], tuple[Tensor, States]]  # of (T, N, K) from given states


def runs_of(batch_sizes: list[int]) -> list[Run]:
    """The sizes of all steps, equal ones taken together."""
    return [(len(list(steps)), size) for size, steps in groupby(batch_sizes)]


def scan_runs(scan: Scan, data: Tensor, start: States, runs: list[Run]) -> tuple[Tensor, States]:
    """The outputs (Σ lengths, H) of all sequences, and the state at the end of each."""
    states, ended, outputs, begin = start, [], [], 0
    for steps, batch in runs:
        ended.append([state[batch:] for state in states])
        states = tuple([state[:batch] for state in states])
        rows = steps * batch
        y, states = scan(data[begin : begin + rows].reshape(steps, batch, -1), states)
        outputs.append(y.reshape(rows, -1))
        begin += rows
    shorter = [list(parts) for parts in zip(*reversed(ended), strict=True)]
    last = [cat([state, *parts]) for state, parts in zip(states, shorter, strict=True)]
    return cat(outputs), tuple(last)


def scan_runs_backwards(
    scan: Scan, data: Tensor, start: States, runs: list[Run]
) -> tuple[Tensor, States]:
    """The same from the ends to the beginnings: the batch grows as shorter sequences join in."""
    states, outputs, end = tuple([state[:0] for state in start]), [], len(data)
    for steps, batch in reversed(runs):
        states = tuple(
            [cat([now, first[len(now) : batch]]) for now, first in zip(states, start, strict=True)]
        )
        rows = steps * batch
        y, states = scan(data[end - rows : end].reshape(steps, batch, -1).flip(0), states)
        outputs.append(y.flip(0).reshape(rows, -1))
        end -= rows
    return cat(outputs[::-1]), states
