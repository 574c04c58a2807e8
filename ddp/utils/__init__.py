"""PyTorch's `torch.utils`, as far as it is here: `ddp.utils.data`."""
