"""PyTorch's `torch.nn.modules.conv`."""

from ddp.nn.convolution import Conv1d as Conv1d
from ddp.nn.convolution import Conv2d as Conv2d
from ddp.nn.convolution import ConvTranspose1d as ConvTranspose1d
from ddp.nn.convolution import ConvTranspose2d as ConvTranspose2d
from ddp.nn.convolution import _ConvNd as _ConvNd
