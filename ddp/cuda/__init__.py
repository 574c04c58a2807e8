"""CUDA: PyTorch's `torch.cuda` as it answers where there is none."""

from __future__ import annotations

from ddp.autograd.devices import device_count as device_count
from ddp.autograd.devices import is_available as is_available
from ddp.autograd.devices import is_available as is_bf16_supported
from ddp.autograd.devices import no_effect as empty_cache
from ddp.autograd.devices import no_effect as manual_seed
from ddp.autograd.devices import no_effect as manual_seed_all
from ddp.autograd.devices import no_effect as synchronize
from ddp.autograd.devices import nothing_allocated as max_memory_allocated
from ddp.autograd.devices import nothing_allocated as memory_allocated
from ddp.cuda import amp as amp

__all__ = [
    "amp",
    "device_count",
    "empty_cache",
    "is_available",
    "is_bf16_supported",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "memory_allocated",
    "synchronize",
]
