"""A test that fails half-way does not leave its processes behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.helpers.runs import Run
from tests.helpers.spawn import kill_group


@pytest.fixture(autouse=True)
def _end_runs() -> Iterator[None]:
    yield
    while Run.started:
        run = Run.started.pop()
        kill_group(run.process)
        run.process.wait()
