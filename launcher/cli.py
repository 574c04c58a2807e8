"""The `ddp` command: what one types, and what is then called.

    ddp train configs/digits.toml                       one worker per core of this machine
    ddp train configs/digits.toml --workers 1           in this process, no sockets
    ddp train configs/digits.toml --workers 3 --resume  go on after a stop, a crash or a kill
    ddp train configs/digits.toml --set optimizer.lr=0.1 --out runs/hot
    ddp train configs/digits.toml --dry-run             show which processes would be started
    mpiexec -n 3 ddp train configs/digits.toml          as MPI ranks

    ddp coordinator configs/digits.toml --listen tcp://0.0.0.0:5555 --workers 2
    ddp worker --coordinator tcp://192.0.2.7:5555       on any host, once per worker

    ddp evaluate runs/digits                            test loss and accuracy of a checkpoint
    ddp inspect runs/digits                             what is in it
    ddp doctor                                          what a bug report needs

All of them give the same bits. Exit codes: 0 done; 1 the run failed; 2 the input is wrong (one
sentence says what); 130, 143 stopped by SIGINT, SIGTERM after a checkpoint.

Nothing heavy is imported at the top: the thread settings must be in the environment before
NumPy is loaded, and `ddp --help` should not wait for it.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.arguments import parser
from launcher.threads import one_thread

if TYPE_CHECKING:
    from ddp.config import Config


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command line; return the exit code."""
    arguments = parser().parse_args(argv)
    arguments.environ = dict(os.environ)  # as the user has set it
    os.environ.update(one_thread(os.environ))
    try:
        code = _COMMANDS[arguments.command](arguments)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # as in `ddp inspect … | head`: whoever read us has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Exception as error:
        return _answer(error)


def _answer(error: Exception) -> int:
    """One sentence for a mistake of the user's; what is our own keeps its traceback."""
    from ddp.errors import CommError, DdpError, ProtocolError

    if not isinstance(error, DdpError):
        raise error
    print(f"ddp: {error}", file=sys.stderr)
    return 1 if isinstance(error, CommError | ProtocolError) else 2


# -- commands ---------------------------------------------------------------------------------


def _train(arguments: argparse.Namespace) -> int:
    from ddp.comm.detect import launched_by_mpi

    if arguments.transport == "auto" and launched_by_mpi(arguments.environ):
        return _train_as_rank(arguments)
    config = _load(arguments)
    workers = _workers(config, arguments)
    if arguments.transport == "threads":
        return _train_in_threads(config, workers, arguments)
    if arguments.transport == "zeromq" or (arguments.transport == "auto" and workers > 1):
        return _train_here(config, workers, arguments)
    return _train_alone(config, workers, arguments)


def _train_alone(config: Config, workers: int, arguments: argparse.Namespace) -> int:
    from ddp.errors import ConfigError

    if workers != 1:
        raise ConfigError(f"--transport solo is one process, but {workers} workers were asked for")
    if arguments.dry_run:
        print("solo: this process trains alone")
        return 0
    from workers import solo

    return solo.run(config, _out(config, arguments), arguments.resume)


def _train_in_threads(config: Config, workers: int, arguments: argparse.Namespace) -> int:
    if arguments.dry_run:
        print(f"threads: {workers} workers in this process")
        return 0
    from workers import threads

    return threads.run(config, workers, _out(config, arguments), arguments.resume)


def _train_as_rank(arguments: argparse.Namespace) -> int:
    """This process is one of several: what is wrong is said once, by the rank that leads."""

    def prepare() -> tuple[Config, Path]:
        from ddp.errors import ConfigError

        if arguments.workers is not None:
            raise ConfigError("--workers: under mpiexec the number of ranks is that of workers")
        config = _load(arguments)
        return config, _out(config, arguments)

    if arguments.dry_run:
        print("mpi: this process is a rank of the job that mpiexec has started")
        return 0
    from launcher.guard import guard_rank

    done = guard_rank(arguments.environ)
    from workers import mpi

    code = mpi.run(prepare, arguments.resume)
    done()
    return code


def _train_here(config: Config, workers: int, arguments: argparse.Namespace) -> int:
    from ddp.cores import usable_cores
    from launcher.local import run_plan
    from launcher.machine import local_address, python
    from launcher.plan import Run, describe, local_plan

    plan = local_plan(
        Run(
            config=arguments.config,
            out=_out(config, arguments),
            workers=workers,
            resume=arguments.resume,
            overrides=tuple(arguments.set),
        ),
        address=local_address(),
        python=python(),
        environ=arguments.environ,
        cores=usable_cores(),
    )
    if arguments.dry_run:
        print(describe(plan))
        return 0
    return run_plan(plan)


def _coordinator(arguments: argparse.Namespace) -> int:
    from workers import coordinator

    config, workers = _load(arguments), _count(arguments.workers)
    out = _out(config, arguments)
    return coordinator.run(config, arguments.listen, workers, out, arguments.resume)


def _worker(arguments: argparse.Namespace) -> int:
    from workers import worker

    return worker.run(arguments.coordinator, arguments.rank, arguments.connect_timeout_s)


def _evaluate(arguments: argparse.Namespace) -> int:
    from launcher.report import evaluation

    print(evaluation(arguments.checkpoint))
    return 0


def _inspect(arguments: argparse.Namespace) -> int:
    from launcher.report import inspection

    print(inspection(arguments.checkpoint))
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    from launcher.doctor import as_json, as_text, examine

    findings = examine(arguments.environ)
    print(as_json(findings) if arguments.json else as_text(findings))
    return 0


# -- what the commands share ------------------------------------------------------------------


def _load(arguments: argparse.Namespace) -> Config:
    from ddp.config import load

    return load(arguments.config, arguments.set)


def _out(config: Config, arguments: argparse.Namespace) -> Path:
    out: Path | None = arguments.out
    return out or Path("runs") / config.name


def _workers(config: Config, arguments: argparse.Namespace) -> int:
    """As many as were asked for, else one per core, as far as there is work for so many."""
    from ddp.cores import usable_cores

    asked: int | None = arguments.workers or config.cluster.workers
    return asked or min(usable_cores(), config.train.shards or config.train.global_batch)


def _count(workers: int | str) -> int:
    """The number of workers; for a host name, that of the addresses behind it."""
    if isinstance(workers, int):
        return workers
    from ddp.errors import ConfigError
    from launcher.machine import count_addresses

    count = count_addresses(workers)
    if count == 0:
        raise ConfigError(f"--workers {workers}: no number, and no host of that name is known")
    return count


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "train": _train,
    "coordinator": _coordinator,
    "worker": _worker,
    "evaluate": _evaluate,
    "inspect": _inspect,
    "doctor": _doctor,
}


if __name__ == "__main__":
    sys.exit(main())
