"""How many cores there are for this process."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Those that taskset or a scheduler has left it, not all of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
