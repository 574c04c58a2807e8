"""PyTorch's `torch.nn.modules`: the layers under the names where PyTorch defines them.

Programs ask for `nn.modules.batchnorm._BatchNorm` and the like. Here are the files that they ask
for; every other name is that of `ddp.nn`.
"""

from __future__ import annotations

import sys
from typing import Any

from ddp.nn.modules import batchnorm as batchnorm
from ddp.nn.modules import conv as conv
from ddp.nn.modules import loss as loss
from ddp.nn.modules import module as module
from ddp.nn.modules import utils as utils
from ddp.nn.modules.module import Module as Module


def __getattr__(name: str) -> Any:
    return getattr(sys.modules["ddp.nn"], name)  # whose part this package is
