"""The words and options of the `ddp` command; what they do is in `launcher.cli`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="ddp",
        description="Distributed data-parallel training for CPUs: the same bits on any number of "
        "workers.",
        epilog="`ddp COMMAND --help` says more about a command.",
    )
    top.add_argument("--version", action=_Version)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_train(commands)
    _add_coordinator(commands)
    _add_worker(commands)
    _add_reports(commands)
    return top


def _add_train(commands: _Commands) -> None:
    train = commands.add_parser("train", help="train on this machine, or as a rank under mpiexec")
    _add_run(train)
    train.add_argument(
        "--workers", type=_number, metavar="N", help="worker processes; default: one per core"
    )
    train.add_argument(
        "--transport",
        choices=("auto", "zeromq", "threads", "solo"),
        default="auto",
        help="auto: MPI under mpiexec, this process alone for one worker, else ZeroMQ; "
        "threads: workers that a debugger can see, in this process",
    )
    train.add_argument(
        "--dry-run", action="store_true", help="show what would be started, and start nothing"
    )


def _add_coordinator(commands: _Commands) -> None:
    coordinator = commands.add_parser("coordinator", help="lead a run whose workers call in")
    _add_run(coordinator)
    coordinator.add_argument(
        "--listen", required=True, metavar="ADDRESS", help="where, as in tcp://0.0.0.0:5555"
    )
    coordinator.add_argument(
        "--workers",
        required=True,
        type=_number_or_name,
        metavar="N|NAME",
        help="how many to wait for; a host name means: as many as it has addresses (the replicas "
        "of a compose service, the pods of a headless Kubernetes service)",
    )


def _add_worker(commands: _Commands) -> None:
    worker = commands.add_parser("worker", help="work for a coordinator, which sends the config")
    worker.add_argument(
        "--coordinator", required=True, metavar="ADDRESS", help="as in tcp://192.0.2.7:5555"
    )
    worker.add_argument(
        "--connect-timeout-s",
        type=float,
        default=60.0,
        metavar="S",
        help="how long to look for a coordinator that has never answered; default: 60",
    )
    worker.add_argument("--rank", type=int, metavar="R", help="the rank to have; default: any")


def _add_reports(commands: _Commands) -> None:
    for name, text in (
        ("evaluate", "test loss and accuracy of a checkpoint"),
        ("inspect", "what is in a checkpoint"),
    ):
        report = commands.add_parser(name, help=text)
        report.add_argument(
            "checkpoint", type=Path, metavar="CHECKPOINT", help="runs/NAME/step-…, or runs/NAME"
        )
    doctor = commands.add_parser("doctor", help="what a bug report needs")
    doctor.add_argument("--json", action="store_true", help="for programs")


def _add_run(command: argparse.ArgumentParser) -> None:
    command.add_argument("config", type=Path, metavar="CONFIG", help="a TOML file, see configs/")
    command.add_argument("--out", type=Path, metavar="DIR", help="default: runs/NAME")
    command.add_argument(
        "--resume", action="store_true", help="go on from the newest checkpoint, if there is one"
    )
    command.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a config key"
    )


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 up, got {text!r}")
    return int(text)


def _number_or_name(text: str) -> int | str:
    return text if text[:1].isalpha() else _number(text)


class _Version(argparse.Action):
    """`--version`, looked up only when asked for."""

    def __init__(self, option_strings: list[str], dest: str, **_: object) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help="show it and exit")

    def __call__(self, top: argparse.ArgumentParser, *_: object) -> None:
        from ddp.version import VERSION

        print(f"ddp {VERSION}")
        top.exit()
