"""`configs/digits.toml` as a PyTorch script for torchrun, as far as its first steps.

    torchrun --standalone --nproc-per-node 2 -m benchmarks.rival_digits LOG

Rank 0 writes a line to LOG after each step.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

DIGITS = Path(__file__).parents[1] / "ddp" / "data" / "digits.npz"
STEPS = 3


def make_model(width: int = 16) -> nn.Module:
    """The twin of `ddp.models.digits_cnn`."""
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, padding=1, bias=False),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(2 * width, 4 * width, 3, padding=1, bias=False),
        nn.BatchNorm2d(4 * width),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(4 * width * 2 * 2, 10),
    )


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    dist.init_process_group("gloo")
    with np.load(DIGITS) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    inputs = torch.from_numpy(images.astype(np.float32)).reshape(-1, 1, 8, 8) / 16
    data = TensorDataset(inputs, torch.from_numpy(labels.astype(np.int64)))
    loader = DataLoader(data, batch_size=48, sampler=DistributedSampler(data))
    model = DistributedDataParallel(make_model(), gradient_as_bucket_view=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.003)
    with open(sys.argv[1], "a", buffering=1) as log:
        for _, (x, y) in zip(range(STEPS), loader, strict=False):
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(model(x), y).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            if dist.get_rank() == 0:
                log.write("step\n")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
