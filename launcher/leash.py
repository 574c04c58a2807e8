"""What ties a child process to its parent: however the parent ends, the child ends too.

On Linux the kernel does it (prctl PR_SET_PDEATHSIG). Elsewhere there is no such thing, and a
child whose parent is killed goes on until it notices that nobody answers it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def leash() -> Callable[[], None] | None:
    """On Linux: what a child calls, before it becomes its program, in order to die with us.

    The kernel sends SIGKILL when the *thread* that started the child ends: ours is the main one.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up here: between fork and exec nothing may be loaded
    parent = os.getpid()

    def die_with_parent() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return die_with_parent
