"""Optimizers with PyTorch's names and numbers, and the service's learning-rate schedules."""

from ddp.optim.adam import Adam as Adam
from ddp.optim.adam import AdamW as AdamW
from ddp.optim.optimizer import Optimizer as Optimizer
from ddp.optim.sgd import SGD as SGD
