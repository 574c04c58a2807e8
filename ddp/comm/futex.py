"""Sleeping until another process changes a word of shared memory: Linux's futex.

NumPy and Python have no call for it, so it is made through the C library. Where there is no futex
(`available` is false) a waiter has to sleep and look again.
"""

from __future__ import annotations

import ctypes
import platform
import sys

_NUMBERS = {"x86_64": 202, "aarch64": 98}
_WAIT, _WAKE = 0, 1
_EVERYBODY = 0x7FFFFFFF

available = sys.platform == "linux" and platform.machine() in _NUMBERS


class _Timespec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


if available:
    _syscall = ctypes.CDLL(None).syscall  # gives Python's lock away while it runs
    _number = ctypes.c_long(_NUMBERS[platform.machine()])


def wait(address: int, seen: int, timeout_s: float) -> None:
    """Sleep until somebody calls `wake`, unless the 32 bits at `address` are not `seen` any more.

    It may return early; `timeout_s` (below a second) is the longest.
    """
    limit = _Timespec(0, int(timeout_s * 1e9))
    _syscall(_number, ctypes.c_void_p(address), _WAIT, ctypes.c_uint32(seen), ctypes.byref(limit))


def wake(address: int) -> None:
    """Wake everybody who waits at `address`."""
    _syscall(_number, ctypes.c_void_p(address), _WAKE, _EVERYBODY)
