"""What the notes say holds for `ddp`, and, where PyTorch is installed, for PyTorch too."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from tests.helpers.libraries import LIBRARIES

BOTH = [LIBRARIES[0], pytest.param(LIBRARIES[1], marks=pytest.mark.oracle)]


@pytest.fixture(params=BOTH)
def torch(request: pytest.FixtureRequest) -> Any:
    """The library under test, by the name that programs give it; seeded."""
    library = importlib.import_module(request.param)
    library.manual_seed(0)
    return library


@pytest.fixture
def nn(torch: Any) -> Any:
    return torch.nn


@pytest.fixture
def functional(torch: Any) -> Any:
    return torch.nn.functional
