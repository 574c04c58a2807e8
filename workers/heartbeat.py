"""Who has been silent for too long. Pure: the clock is handed in.

Heartbeats travel apart from the data and from the orders, from a thread of their own, so a
long computation does not look like a death and a hang in the data path does not hide one.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Peer = TypeVar("Peer", bound=Hashable)


class Pulse(Generic[Peer]):
    """When each peer was last heard of, and when it is our turn to be heard."""

    def __init__(self, interval_s: float, limit_s: float) -> None:
        self.interval_s, self.limit_s = interval_s, limit_s
        self._heard_s: dict[Peer, float] = {}
        self._next_beat_s = float("-inf")
        self._looked_s = float("inf")

    def heard(self, peer: Peer, now_s: float) -> None:
        self._heard_s[peer] = now_s

    def has_heard(self, peer: Peer) -> bool:
        return peer in self._heard_s

    def forget(self, peer: Peer) -> None:
        self._heard_s.pop(peer, None)

    def silent(self, now_s: float) -> list[Peer]:
        """The peers that have been silent for longer than the limit.

        To be asked often. When the last time is long ago we ourselves did not run (a suspended
        job, a closed laptop): what was sent meanwhile has yet to be read, so nobody is blamed.
        """
        gap_s, self._looked_s = now_s - self._looked_s, now_s
        if gap_s > self.limit_s / 2:
            self._heard_s = {peer: at_s + gap_s for peer, at_s in self._heard_s.items()}
        return [peer for peer, at_s in self._heard_s.items() if now_s - at_s > self.limit_s]

    def is_due(self, now_s: float) -> bool:
        """Whether it is time to send our own beat; true once per interval."""
        if now_s < self._next_beat_s:
            return False
        self._next_beat_s = now_s + self.interval_s
        return True

    def silence(self) -> str:
        """The cause of a loss, as it completes 'rank 1 …'."""
        return (
            f"no heartbeat for {self.limit_s:g} s: it is stopped, hangs, or its host is gone "
            "(cluster.heartbeat_timeout_s)"
        )
