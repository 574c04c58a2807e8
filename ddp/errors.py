"""The one tree of errors. A class says who is to blame; its message is one sentence.

A message states what was expected, what came, on which rank or under which key, and what to do.
The command line prints `DdpError`s as they are, without a traceback: they are answers to the
user. Anything else that escapes is our own mistake and keeps its traceback.
"""

from __future__ import annotations


class DdpError(Exception):
    """Base of every error this project raises on purpose."""


class ConfigError(DdpError):
    """The configuration (file, key or `--set`) is wrong. The user can mend it."""


class DataError(DdpError):
    """A data set is missing, malformed, or does not fit the model."""


class CheckpointError(DdpError):
    """A checkpoint is missing, torn, altered, or belongs to another run."""


class CommError(DdpError):
    """An exchange between ranks failed."""


class CommTimeout(CommError):
    """An exchange did not complete within its limit; the message names the ranks awaited."""


class PeerLost(CommError):
    """A rank is gone."""

    def __init__(self, rank: int, why: str) -> None:
        super().__init__(f"rank {rank} is gone: {why}")
        self.rank = rank
        self.why = why

    def __reduce__(self) -> tuple[type[PeerLost], tuple[int, str]]:
        return PeerLost, (self.rank, self.why)


class ProtocolError(DdpError):
    """A message broke the protocol."""


class LocalProtocolError(ProtocolError):
    """This process tried to send or do what the protocol forbids: our own mistake."""


class PeerProtocolError(ProtocolError):
    """The other side sent what the protocol forbids, or bytes that are no message at all."""
