"""cuDNN, which is not there: PyTorch's `torch.backends.cudnn`."""

from __future__ import annotations

from ddp.autograd.devices import is_available as is_available

benchmark = deterministic = enabled = allow_tf32 = False
