"""`lib`: the library a test runs on; on PyTorch too where `-m oracle` asks for it."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

import ddp


@pytest.fixture(params=["ddp", pytest.param("torch", marks=pytest.mark.oracle)])
def lib(request: pytest.FixtureRequest) -> Any:
    """`ddp`, or `torch`."""
    if request.param == "torch":
        return pytest.importorskip("torch")
    importlib.import_module("ddp.nn")
    return ddp
