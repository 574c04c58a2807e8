"""Layers, losses and models with PyTorch's names: `from ddp import nn`."""

from ddp.nn import functional as functional
from ddp.nn import init as init
from ddp.nn import utils as utils
from ddp.nn.batchnorm import BatchNorm1d as BatchNorm1d
from ddp.nn.batchnorm import BatchNorm2d as BatchNorm2d
from ddp.nn.containers import ModuleDict as ModuleDict
from ddp.nn.containers import ModuleList as ModuleList
from ddp.nn.containers import Sequential as Sequential
from ddp.nn.convolution import AvgPool2d as AvgPool2d
from ddp.nn.convolution import Conv2d as Conv2d
from ddp.nn.convolution import MaxPool2d as MaxPool2d
from ddp.nn.layers import Dropout as Dropout
from ddp.nn.layers import Flatten as Flatten
from ddp.nn.layers import Identity as Identity
from ddp.nn.layers import Linear as Linear
from ddp.nn.layers import LogSoftmax as LogSoftmax
from ddp.nn.layers import ReLU as ReLU
from ddp.nn.layers import Sigmoid as Sigmoid
from ddp.nn.layers import Softmax as Softmax
from ddp.nn.layers import Tanh as Tanh
from ddp.nn.loss_layers import BCEWithLogitsLoss as BCEWithLogitsLoss
from ddp.nn.loss_layers import CrossEntropyLoss as CrossEntropyLoss
from ddp.nn.loss_layers import MSELoss as MSELoss
from ddp.nn.loss_layers import NLLLoss as NLLLoss
from ddp.nn.module import Module as Module
from ddp.nn.parameter import Parameter as Parameter
