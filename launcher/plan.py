"""Which processes a run on this machine consists of: plain data, made without starting anything.

A plan is a tuple of processes, each an argv list and what its environment has in addition to
the launcher's own. There are no shell strings, so no name of a file can be taken for a command.
`ddp train --dry-run` prints a plan; `launcher.local` carries it out.

Left out: MPI (mpiexec is the launcher there) and containers (docker-compose.yml is their plan).
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.huge_pages import huge_pages
from launcher.threads import one_thread

COORDINATOR = "coordinator"
WORKER = "worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process of a run.

    `label` is what its lines of output and its obituary are signed with; `environment` is what
    is added to the launcher's.
    """

    role: str
    label: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The processes of a run, in the order in which they are started, and what to warn about."""

    processes: tuple[Process, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What the user asked for: a config, where its results go, and how many workers."""

    config: Path
    out: Path
    workers: int
    resume: bool = False
    overrides: tuple[str, ...] = ()


def local_plan(
    run: Run, *, address: str, python: Sequence[str], environ: Mapping[str, str], cores: int
) -> Plan:
    """One coordinator that listens on `address`, and `run.workers` workers that call it.

    `python` is the interpreter to start them with, and its options.
    """
    unbuffered = {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}
    environment = {**one_thread(environ), **huge_pages(environ), **unbuffered}

    def process(role: str, label: str, *arguments: str) -> Process:
        argv = (*python, "-m", "workers", role, *arguments)
        return Process(role=role, label=label, argv=argv, environment=environment)

    coordinator = process(COORDINATOR, COORDINATOR, *coordinator_arguments(run, address))
    workers = (
        process(WORKER, f"rank {rank}", "--coordinator", address, "--rank", str(rank))
        for rank in range(run.workers)
    )
    return Plan(processes=(coordinator, *workers), warnings=warnings(run.workers, cores))


def coordinator_arguments(run: Run, address: str) -> list[str]:
    """The command line of a coordinator, without the program."""
    arguments = [str(run.config), "--listen", address]
    arguments += ["--workers", str(run.workers), "--out", str(run.out)]
    arguments += ["--resume"] if run.resume else []
    for override in run.overrides:
        arguments += ["--set", override]
    return arguments


def warnings(workers: int, cores: int) -> tuple[str, ...]:
    """What the user should know before this plan is carried out."""
    if workers <= cores:
        return ()
    return (f"{workers} workers on {cores} cores: the same bits, but slower than {cores} workers",)


def describe(plan: Plan) -> str:
    """The plan as a person reads it; each command can be pasted into a shell."""
    return "\n".join(
        [*(f"warning: {warning}" for warning in plan.warnings), *map(_describe, plan.processes)]
    )


def _describe(process: Process) -> str:
    variables = (f"    {name}={value}" for name, value in sorted(process.environment.items()))
    return "\n".join([f"{process.label}:", *variables, f"    {shell_line(process.argv)}"])


def shell_line(argv: Sequence[str]) -> str:
    """`argv` quoted as one line of a POSIX shell: for showing, never for running."""
    return shlex.join(argv)
