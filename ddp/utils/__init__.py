"""PyTorch's `torch.utils`, as far as it is here: `ddp.utils.data`."""

from ddp.utils import data as data
