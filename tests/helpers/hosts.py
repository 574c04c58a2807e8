"""Hosts made up for ranks that are threads of one process.

make_up_hosts(monkeypatch, "aabb")    # ranks 0 and 1 on host a, 2 and 3 on host b
"""

from __future__ import annotations

import threading

import pytest

from ddp.comm import arena
from ddp.comm.segment import Home


def make_up_hosts(monkeypatch: pytest.MonkeyPatch, hosts: str, machine: str = "") -> None:
    """Rank r lives on host `hosts[r]`; `machine[r]` says of which machine that is a container.

    A rank is known by the name of its thread, "rank N"; any other thread is rank 0.
    """

    def find_home() -> Home:
        name = threading.current_thread().name
        rank = int(name.removeprefix("rank ")) if name.startswith("rank ") else 0
        return Home((machine or hosts)[rank].encode() * 16, hosts[rank].encode() * 16)

    monkeypatch.setattr(arena, "find_home", find_home)
