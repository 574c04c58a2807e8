"""Switches of other backends: PyTorch's `torch.backends`. They can be set and have no effect."""

from __future__ import annotations

from types import SimpleNamespace

from ddp.autograd.devices import is_available
from ddp.backends import cudnn as cudnn

cuda = SimpleNamespace(matmul=SimpleNamespace(allow_tf32=False), is_built=is_available)
mps = SimpleNamespace(is_available=is_available, is_built=is_available)
mkldnn = SimpleNamespace(is_available=is_available, enabled=False)
