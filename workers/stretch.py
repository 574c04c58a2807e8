"""Steps that the workers decide by themselves, all alike, and tell the coordinator of afterwards.

Between two step borders the coordinator's decision is a pure function of what the ranks report.
Workers tell each other (ddp.parallel.council), so that none has to wait for an answer: the
coordinator allows them a *stretch* of steps (`Commit.until`), and gets their reports in batches. It
computes every decision again for its ledger. A worker that was asked to stop, or to
pause by the coordinator, says so in its vote: then all ask about the step, as about the first one
and those at a border. Pure: the clock is handed in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ddp.comm.communicator import Array
from ddp.config import Config
from ddp.parallel.council import Vote
from ddp.results import exact_sum
from ddp.schedule import learning_rate
from workers import messages as m
from workers.verdict import clip_coefficient

BATCH_S = 0.1  # how often the coordinator hears of the steps, if they are shorter


class Stretch:
    """A worker's part in the stretches of a run."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._until = self._total_steps = 0
        self._reports: list[m.StepReport] = []
        self._squares: list[Array] = []
        self._optimizer_s: list[float] = []
        self._told_s = -math.inf
        self.pausing = False  # the coordinator wants to be asked

    def allow(self, commit: m.Commit) -> None:
        """The coordinator has committed a step, and says how far the workers may go."""
        self._until, self._total_steps = commit.until, commit.total_steps
        self.pausing = False

    def covers(self, step: int) -> bool:
        """Whether a step may be decided here."""
        return step < self._until

    def decide(self, step: int, votes: Sequence[Vote]) -> m.Commit | None:
        """What the coordinator would order after these votes; None: ask it."""
        if any(vote.pauses for vote in votes):
            return None
        norm = math.sqrt(exact_sum(square for vote in votes for square in vote.squares))
        schedule, optimizer = self._config.schedule, self._config.optimizer
        used = [any(of_rank) for of_rank in zip(*(vote.used for vote in votes), strict=True)]
        return m.Commit(
            step=step,
            apply=all(vote.is_finite for vote in votes) and math.isfinite(norm),
            lr=learning_rate(
                schedule.name, optimizer.lr, step, self._total_steps, **schedule.arguments()
            ),
            clip=clip_coefficient(norm, self._config.train.clip_norm),
            unused=tuple(number for number, is_used in enumerate(used) if not is_used),
            go_on=True,
            until=self._until,
            total_steps=self._total_steps,
        )

    def note(self, report: m.StepReport, squares: Array, optimizer_s: float) -> None:
        """Keep what is to be told of a step that was decided and committed here."""
        self._reports.append(report)
        self._squares.append(squares)
        self._optimizer_s.append(optimizer_s)

    def batch(self, now_s: float) -> tuple[m.Decided, list[Array]] | None:
        """What the coordinator has not been told yet; None: nothing."""
        self._told_s = now_s
        if not self._reports:
            return None
        decided = m.Decided(reports=tuple(self._reports), optimizer_s=tuple(self._optimizer_s))
        squares = np.stack(self._squares)
        self._reports, self._squares, self._optimizer_s = [], [], []
        return decided, [squares]

    def is_due(self, now_s: float) -> bool:
        """Whether it is time to tell."""
        return now_s - self._told_s >= BATCH_S
