"""Runs a worker in the process that hosts the coordinator, and reports how the run ended."""

from __future__ import annotations

import sys

from workers.coordination import Coordination
from workers.session import Session


def run_hosted(coordination: Coordination, session: Session, rank: int | None = 0) -> int:
    """Carry the session and the run to their end; return the exit code."""
    try:
        leave = session.run(rank=rank)
        if not coordination.is_over:
            session.close()
        return report_end(coordination, leave.code)
    finally:
        coordination.close()


def report_end(coordination: Coordination, code: int) -> int:
    """Print why a run ended that did not end well; return its exit code."""
    coordination.close()
    end = coordination.ending
    if end is None:
        return code
    if end.problem:
        print(f"ddp: {end.problem}", file=sys.stderr, flush=True)
    return end.code
