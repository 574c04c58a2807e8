"""Training with workers that are threads of this process: for tests, demonstrations, debugging.

All the code of a real run except processes and sockets; a debugger sees every rank. The workers
share one Python interpreter, so this is no way to be fast.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import TextIO

from ddp.comm.communicator import Communicator
from ddp.comm.threads import make_world
from ddp.config import Config
from workers.coordination import Coordination
from workers.embedded import EmbeddedLink
from workers.hosting import report_end
from workers.link import MailboxLink
from workers.session import Session, StopFlag


def run(
    config: Config,
    size: int,
    out: Path,
    resume: bool,
    stream: TextIO = sys.stdout,
) -> int:
    """Train with `size` workers; return the exit code. Raises DdpError for wrong input."""
    stop = StopFlag()
    coordination = Coordination(config, size, out, resume, "threads", stream)
    world = make_world(size)
    links = [
        EmbeddedLink(coordination, mailbox) if rank == 0 else MailboxLink(mailbox)
        for rank, (_, mailbox) in enumerate(world)
    ]
    ranks = [
        _Rank(communicator, link, stop)
        for (communicator, _), link in zip(world, links, strict=True)
    ]
    with stop.listening():
        for rank in ranks[1:]:
            rank.start()
        ranks[0].run()
        for rank in ranks[1:]:
            rank.join()
    return report_end(coordination, ranks[0].code)


class _Rank(threading.Thread):
    """One worker. Rank 0 is not started: it runs in the thread that hosts the coordinator."""

    def __init__(
        self,
        communicator: Communicator,
        link: EmbeddedLink | MailboxLink,
        stop: StopFlag,
    ) -> None:
        super().__init__(name=f"rank {communicator.rank}", daemon=True)
        self._communicator = communicator
        self._session = Session(link, lambda setup: communicator, stop)
        self.code = 1

    def run(self) -> None:
        self.code = self._session.run(rank=self._communicator.rank).code
        self._communicator.close()  # whoever waits for this rank's data learns that it is gone
        self._session.close()
