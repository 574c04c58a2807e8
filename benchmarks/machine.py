"""What the numbers depend on: processor, cores, versions, load, date."""

from __future__ import annotations

import importlib.metadata
import os
from datetime import UTC, datetime
from typing import Any

from launcher.doctor import examine


def describe() -> dict[str, Any]:
    findings = examine(os.environ)
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": findings["machine"]["processor"],
        "cores": findings["machine"]["cores usable"],
        "blas": findings["BLAS"]["kernel"].rsplit(" x", 1)[0],  # its threads: one in each worker
        "python": findings["versions"]["python"],
        "numpy": findings["versions"]["numpy"],
        "torch": version_of("torch"),
        "numba": version_of("numba"),
        "load_before": round(os.getloadavg()[0], 2),
    }


def version_of(package: str) -> str | None:
    """None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
