"""Every fact is stated once and holds for both: ddp always, PyTorch where `-m oracle` asks."""

from tests.autograd.conftest import lib  # noqa: F401
