"""Optimizers and schedulers with PyTorch's names and numbers, and the service's own schedules."""

from ddp.optim import lr_scheduler as lr_scheduler
from ddp.optim.adagrad import Adadelta as Adadelta
from ddp.optim.adagrad import Adagrad as Adagrad
from ddp.optim.adam import Adam as Adam
from ddp.optim.adam import AdamW as AdamW
from ddp.optim.adam_variants import Adamax as Adamax
from ddp.optim.adam_variants import NAdam as NAdam
from ddp.optim.adam_variants import RAdam as RAdam
from ddp.optim.asgd import ASGD as ASGD
from ddp.optim.asgd import Rprop as Rprop
from ddp.optim.lbfgs import LBFGS as LBFGS
from ddp.optim.optimizer import Optimizer as Optimizer
from ddp.optim.rmsprop import RMSprop as RMSprop
from ddp.optim.sgd import SGD as SGD

_ABSENT = {
    "Adafactor": "take AdamW, whose state is two numbers per weight",
    "Muon": "take AdamW, or SGD with Nesterov momentum",
    "SparseAdam": "take Adam: the gradient of an embedding is dense here",
    "swa_utils": "keep a copy of each weight, and under no_grad `copy.lerp_(weight, 1 - decay)`",
}


def __getattr__(name: str) -> object:
    if name in _ABSENT:
        raise AttributeError(f"ddp.optim has no '{name}': {_ABSENT[name]}")
    raise AttributeError(f"module 'ddp.optim' has no attribute '{name}'")
