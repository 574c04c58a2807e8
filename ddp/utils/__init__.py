"""PyTorch's `torch.utils`, as far as it is here: `ddp.utils.data` and `ddp.utils.hooks`."""

from ddp.utils import data as data
from ddp.utils import hooks as hooks
