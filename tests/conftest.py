"""What holds for every test: nothing is left behind, and what cannot run here is skipped by name.

The thread settings come first: NumPy reads them when it is loaded.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from launcher.threads import one_thread

os.environ.update(one_thread(os.environ))

import pytest
from hypothesis import HealthCheck, settings

from ddp import kernels

# `dev` is what everybody runs; `ci` looks harder, with HYPOTHESIS_PROFILE=ci. Both try the same
# examples every time, so that a change is accepted or not; `explore` goes where nobody was. No
# deadline: on a machine shared with other jobs a slow example says nothing.
UNHURRIED = [HealthCheck.too_slow]
settings.register_profile("dev", max_examples=10, deadline=None, derandomize=True)
settings.register_profile(
    "ci", max_examples=100, deadline=None, derandomize=True, suppress_health_check=UNHURRIED
)
settings.register_profile(
    "explore", max_examples=1000, deadline=None, suppress_health_check=UNHURRIED
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

PATIENCE_S = 2.0  # for a thread that is just ending


OPTIONAL = {"oracle": ("torch", "PyTorch"), "numba": ("numba", "numba")}  # by marker


def pytest_addoption(parser: pytest.Parser) -> None:
    told = "compute with these (see ddp.kernels); meant for comparisons with PyTorch"
    parser.addoption("--kernels", choices=kernels.NAMES, default="numpy", help=told)


def pytest_configure(config: pytest.Config) -> None:
    kernels.use(config.getoption("--kernels"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for marker, (module, name) in OPTIONAL.items():
        if importlib.util.find_spec(module) is None:
            for item in items:
                if item.get_closest_marker(marker):
                    item.add_marker(pytest.mark.skip(reason=f"{name} is not installed"))


@pytest.fixture(autouse=True)
def flags_of_pytorch() -> None:
    """Importing PyTorch's own test helpers freezes its global flags; programs set them."""
    backends = sys.modules.get("torch.backends")
    if backends is not None:
        # The module in sys.modules is a wrapper; the flag is a global of the real one.
        backends.flags_frozen.__globals__["__allow_nonbracketed_mutation_flag"] = True


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """A test that leaves a thread or a child process running fails."""
    threads, children = set(threading.enumerate()), child_processes()
    yield
    for thread in set(threading.enumerate()) - threads:
        if type(thread).__name__ == "GarbageCollectorThread":
            continue  # pyzmq's own, one for the life of the process: it watches zero-copy sends
        thread.join(PATIENCE_S)
        assert not thread.is_alive(), f"left running: {thread}"
    left = child_processes() - children
    assert not left, f"left running: child processes {sorted(left)}"


def child_processes() -> set[int]:
    """The process ids of our children, zombies included; empty where /proc does not tell."""
    tasks = Path("/proc/self/task")
    if not tasks.exists():
        return set()
    found: set[int] = set()
    for path in tasks.glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread has just ended
            found.update(map(int, path.read_text().split()))
    return found
