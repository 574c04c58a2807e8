"""PyTorch's `torch.nn.modules.batchnorm`."""

from ddp.nn.batchnorm import BatchNorm1d as BatchNorm1d
from ddp.nn.batchnorm import BatchNorm2d as BatchNorm2d
from ddp.nn.batchnorm import BatchNorm3d as BatchNorm3d
from ddp.nn.batchnorm import _BatchNorm as _BatchNorm
