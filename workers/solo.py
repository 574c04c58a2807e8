"""Training in one process: coordinator and worker in a world of one, without a socket."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path

from ddp.comm.solo import SoloCommunicator, SoloMailbox
from ddp.config import Config
from workers.coordination import Coordination
from workers.embedded import EmbeddedLink
from workers.hosting import report_end
from workers.progress import LinesAbove
from workers.session import Session, StopFlag


def run(config: Config, out: Path, resume: bool) -> int:
    """Train; return the exit code. Raises DdpError for wrong input."""
    coordination = Coordination(config, 1, out, resume, "solo", sys.stdout)
    stop = StopFlag()
    link = EmbeddedLink(coordination, SoloMailbox())
    session = Session(link, lambda setup: SoloCommunicator(), stop)
    with stop.listening(), redirect_stdout(LinesAbove(coordination.announce)):
        leave = session.run(rank=0)
        session.close()
    return report_end(coordination, leave.code)
