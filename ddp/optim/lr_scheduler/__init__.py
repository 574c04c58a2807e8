"""PyTorch's learning-rate schedulers: objects that write the rates into an optimizer's groups.

Each is stepped once per epoch (or per step), after the optimizer. They keep state, and carry it
in `state_dict`; the service's own schedules (`ddp.schedule`) are pure functions instead.
"""

from ddp.optim.lr_scheduler.base import LRScheduler as LRScheduler
from ddp.optim.lr_scheduler.combined import ChainedScheduler as ChainedScheduler
from ddp.optim.lr_scheduler.combined import SequentialLR as SequentialLR
from ddp.optim.lr_scheduler.cosine import CosineAnnealingLR as CosineAnnealingLR
from ddp.optim.lr_scheduler.cosine import (
    CosineAnnealingWarmRestarts as CosineAnnealingWarmRestarts,
)
from ddp.optim.lr_scheduler.cycles import CyclicLR as CyclicLR
from ddp.optim.lr_scheduler.cycles import OneCycleLR as OneCycleLR
from ddp.optim.lr_scheduler.decay import ConstantLR as ConstantLR
from ddp.optim.lr_scheduler.decay import ExponentialLR as ExponentialLR
from ddp.optim.lr_scheduler.decay import LinearLR as LinearLR
from ddp.optim.lr_scheduler.decay import MultiStepLR as MultiStepLR
from ddp.optim.lr_scheduler.decay import PolynomialLR as PolynomialLR
from ddp.optim.lr_scheduler.decay import StepLR as StepLR
from ddp.optim.lr_scheduler.functions import LambdaLR as LambdaLR
from ddp.optim.lr_scheduler.functions import MultiplicativeLR as MultiplicativeLR
from ddp.optim.lr_scheduler.plateau import ReduceLROnPlateau as ReduceLROnPlateau

_LRScheduler = LRScheduler  # its older name
