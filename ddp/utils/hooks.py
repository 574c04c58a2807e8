"""PyTorch's `torch.utils.hooks`: the handle that takes a hook off again."""

from ddp.autograd.hooks import RemovableHandle as RemovableHandle
