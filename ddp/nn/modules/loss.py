"""PyTorch's `torch.nn.modules.loss`: what all losses have in common."""

from ddp.nn.loss_layers import _Loss as _Loss
from ddp.nn.loss_layers import _WeightedLoss as _WeightedLoss
