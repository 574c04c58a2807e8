"""How much disk the run-time dependencies take, from what the installed distributions list.

Of ours: what `pyproject.toml` requires, and what that requires. Of the rival's: `torch` likewise.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from benchmarks.baton import ROOT
from benchmarks.rows import Row

AT_MOST_MB = 100.0
NAME = re.compile(r"^[\w.-]+")


def installed_row(rival: bool) -> Row:
    return Row(
        section="installed size of the run-time dependencies",
        name="all packages",
        unit="MB",
        ours=[megabytes(closure(ours()))],
        theirs=[megabytes(closure(["torch"]))] if rival else [],
        must=1.0,
        at_most=AT_MOST_MB,
    )


def ours() -> list[str]:
    """What we require."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return required(project["dependencies"])


def needs(name: str) -> list[str]:
    """What a distribution requires, extras and other platforms' needs left out."""
    return required(distribution(name).requires or [])


def required(requirements: Iterable[str]) -> list[str]:
    """The names in requirements that hold without a condition.

    >>> required(["numpy>=2.1", "torch==2.13.0; extra == 'oracle'"])
    ['numpy']
    """
    matches = (NAME.match(line) for line in requirements if ";" not in line)
    return [match[0] for match in matches if match]


def closure(names: Iterable[str]) -> list[Distribution]:
    """The distributions of these names and of all they require, as far as they are installed."""
    found: dict[str, Distribution] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in found:
            continue
        try:
            found[key] = distribution(name)
        except PackageNotFoundError:
            continue
        waiting += needs(name)
    return list(found.values())


def megabytes(distributions: Iterable[Distribution]) -> float:
    """The sizes of the files they list, compiled modules included."""
    paths = (Path(file.locate()) for dist in distributions for file in dist.files or [])
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6
