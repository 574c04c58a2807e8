"""Memory that a step frees is there for the next one, without a visit to the kernel."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from ddp.autograd.allocator import TUNABLES, USERS_OWN, keep_freed_memory

SET_UP = (*USERS_OWN, "GLIBC_TUNABLES")
PAGES_PER_STEP = 4 * (8 << 20) // 4096
STEPS = """
import resource
import numpy as np
import ddp.autograd

def step():
    held = [np.ones(8 << 20, np.uint8) for _ in range(4)]

step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

LARGE_PAGES = """
import re
import numpy as np
import ddp.autograd

held = [np.ones(1 << 20, np.uint8) for _ in range(8)]
sizes = re.findall(r"AnonHugePages: *([0-9]+) kB", open("/proc/self/smaps").read())
print(sum(map(int, sizes)) << 10)
"""
ALLOWED = Path("/sys/kernel/mm/transparent_hugepage/enabled")

on_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")


def what_it_prints(program: str) -> str:
    """The program's output in a process in which nobody has set anything up."""
    process = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        env={name: text for name, text in os.environ.items() if name not in SET_UP},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return process.stdout


@on_glibc
def test_a_second_step_gets_the_pages_of_the_first() -> None:
    assert int(what_it_prints(STEPS)) < PAGES_PER_STEP / 8


@on_glibc
@pytest.mark.skipif(
    not ALLOWED.exists() or "[never]" in ALLOWED.read_text(), reason="no large pages here"
)
def test_arrays_lie_on_large_pages() -> None:
    assert int(what_it_prints(LARGE_PAGES)) > 4 << 20


@pytest.mark.parametrize("name", USERS_OWN)
def test_what_the_user_set_up_stays(name: str) -> None:
    assert keep_freed_memory({name: "1"}) is False


@pytest.mark.parametrize("name", TUNABLES)
def test_what_the_user_has_tuned_stays(name: str) -> None:
    assert keep_freed_memory({"GLIBC_TUNABLES": f"glibc.{name}=1"}) is False


@on_glibc
def test_glibc_takes_the_settings() -> None:
    assert keep_freed_memory({"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}) is True
