"""How a process that hosts the coordinator reports the end of a run."""

from __future__ import annotations

import sys

from workers.coordination import Coordination


def report_end(coordination: Coordination, code: int) -> int:
    """Give back what the coordination holds, say why a run ended that did not end well, and
    return the exit code: that of the run, or `code` if it never ended by itself.
    """
    coordination.close()
    end = coordination.ending
    if end is None:
        return code
    if end.problem:
        print(f"ddp: {end.problem}", file=sys.stderr, flush=True)
    return end.code
