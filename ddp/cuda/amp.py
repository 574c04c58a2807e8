"""Mixed precision by its old name: PyTorch's `torch.cuda.amp`."""

from __future__ import annotations

from functools import partial

from ddp.amp import GradScaler as GradScaler
from ddp.amp import autocast as _autocast

autocast = partial(_autocast, "cuda")
