"""What the launcher asks of this machine: its Python, and an address on which nobody listens."""

from __future__ import annotations

import os
import secrets
import socket
import sys


def python() -> list[str]:
    """The command that starts a Python which finds the same packages as this one.

    `python -m workers` would look into the current directory first, and a user's workers.py there
    would be started in place of ours: -P leaves that out, unless it is where we come from.
    """
    is_here = os.getcwd() in sys.path or "" in sys.path
    return [sys.executable] if is_here else [sys.executable, "-P"]


def local_address() -> str:
    """An address for processes of this machine only.

    On Linux an abstract socket name: no file to clean up, no port to collide with, gone with the
    process that listens. Elsewhere a TCP port of the loopback interface.
    """
    if sys.platform == "linux":
        return f"ipc://@ddp-{os.getpid()}-{secrets.token_hex(4)}"
    return f"tcp://127.0.0.1:{free_port()}"


def free_port() -> int:
    """A TCP port on the loopback interface that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def count_addresses(name: str) -> int:
    """How many hosts answer to `name`; 0 when nobody does.

    The DNS of a container network has an address for each replica of a service.
    """
    try:
        found = socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)
    except socket.gaierror:
        return 0
    return len({address[0] for *_, address in found})
