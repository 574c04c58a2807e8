"""`python -m workers coordinator|worker …`: one process of a run, as `ddp coordinator|worker`.

    python -m workers coordinator configs/digits.toml --listen tcp://127.0.0.1:5555 --workers 2 \\
        --out runs/digits
    python -m workers worker --coordinator tcp://127.0.0.1:5555

Exit codes: 0 done; 1 the run failed; 2 the input is wrong; 130, 143 stopped by SIGINT, SIGTERM
after a checkpoint. `ddp` (the launcher) adds checks, defaults and other ways to start.
"""

from __future__ import annotations

import argparse
import gc
import sys
from pathlib import Path

from ddp.config import load
from ddp.errors import DdpError


def main() -> int:
    arguments = parser().parse_args()
    gc.disable()  # what is imported is no garbage: looking for some takes 4 % of a worker's start
    try:
        if arguments.role == "worker":
            from workers import worker

            gc.enable()
            return worker.run(arguments.coordinator, arguments.rank)
        from workers import coordinator

        gc.enable()
        config = load(arguments.config, arguments.set)
        out = arguments.out or Path("runs") / config.name
        return coordinator.run(config, arguments.listen, arguments.workers, out, arguments.resume)
    except DdpError as error:
        print(f"ddp: {error}", file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m workers")
    roles = top.add_subparsers(dest="role", required=True)
    worker = roles.add_parser("worker")
    worker.add_argument("--coordinator", required=True, metavar="ADDRESS")
    worker.add_argument("--rank", type=int, help="the rank to have; default: any")
    coordinator = roles.add_parser("coordinator")
    coordinator.add_argument("config", type=Path)
    coordinator.add_argument("--listen", required=True, metavar="ADDRESS")
    coordinator.add_argument("--workers", required=True, type=int, metavar="N")
    coordinator.add_argument("--out", type=Path, metavar="DIR", help="default: runs/NAME")
    coordinator.add_argument("--resume", action="store_true")
    coordinator.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    return top


if __name__ == "__main__":
    sys.exit(main())
