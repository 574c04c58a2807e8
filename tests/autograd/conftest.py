"""The contract tests run on this engine always, and on PyTorch too where `-m oracle` asks for it:
a test that PyTorch fails states something PyTorch does not promise."""

from __future__ import annotations

from typing import Any

import pytest

import ddp


@pytest.fixture(params=["ddp", pytest.param("torch", marks=pytest.mark.oracle)])
def lib(request: pytest.FixtureRequest) -> Any:
    """`ddp`, or `torch`."""
    return ddp if request.param == "ddp" else pytest.importorskip("torch")
