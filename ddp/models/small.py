"""Small networks: for the UCI digits, for flat inputs, and the one of PyTorch's tutorials."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ddp.autograd.tensor import Tensor
from ddp.nn import functional as F
from ddp.nn.batchnorm import BatchNorm2d
from ddp.nn.containers import Sequential
from ddp.nn.convolution import Conv2d
from ddp.nn.layers import Dropout, Flatten, Linear, ReLU
from ddp.nn.module import Module
from ddp.nn.pooling import MaxPool2d


def digits_cnn(width: int = 16, classes: int = 10, dropout: float = 0.25) -> Sequential:
    """A small convolutional network for images (N, 1, 8, 8) → logits (N, classes).

    Three 3x3 convolutions of `width`, 2·`width` and 4·`width` channels, each with batch
    normalisation and ReLU, the last two with 2x2 pooling; then dropout and one linear layer. Width
    16 has 25,978 parameters and reaches about 99 % on the UCI digits: AdamW at 0.003 with cosine
    decay, batches of 96 in 4 shards, 15 epochs (four seeds: 98.9 to 99.7 %, 2.5 s on one core).
    """
    return Sequential(
        Conv2d(1, width, 3, padding=1, bias=False),
        BatchNorm2d(width),
        ReLU(),
        Conv2d(width, 2 * width, 3, padding=1, bias=False),
        BatchNorm2d(2 * width),
        ReLU(),
        MaxPool2d(2),
        Conv2d(2 * width, 4 * width, 3, padding=1, bias=False),
        BatchNorm2d(4 * width),
        ReLU(),
        MaxPool2d(2),
        Flatten(),
        Dropout(dropout),
        Linear(4 * width * 2 * 2, classes),
    )


def mlp(sizes: Sequence[int]) -> Sequential:
    """Linear layers `sizes[0]` → … → `sizes[-1]` with ReLU between, on flattened input."""
    if len(sizes) < 2:
        raise ValueError(f"expected at least two sizes, input and output, got {list(sizes)}")
    layers: list[Module] = [Flatten()]
    for inputs, outputs in pairwise(sizes):
        layers += [Linear(inputs, outputs), ReLU()]
    return Sequential(*layers[:-1])


class Net(Module):
    """The small network of PyTorch's tutorials, for images (N, 3, 32, 32) → logits (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = Conv2d(3, 6, 5)
        self.pool = MaxPool2d(2, 2)
        self.conv2 = Conv2d(6, 16, 5)
        self.fc1 = Linear(16 * 5 * 5, 120)
        self.fc2 = Linear(120, 84)
        self.fc3 = Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 32, 32) → (N, 10)."""
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = x.flatten(1)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        logits: Tensor = self.fc3(x)
        return logits


class MnistNet(Module):
    """The network of PyTorch's MNIST example, for images (N, 1, 28, 28) → logits (N, 10).

    It leaves out the example's final log-softmax, which the cross-entropy loss contains. 1,199,882
    parameters.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = Conv2d(1, 32, 3, 1)
        self.conv2 = Conv2d(32, 64, 3, 1)
        self.dropout1 = Dropout(0.25)
        self.dropout2 = Dropout(0.5)
        self.fc1 = Linear(9216, 128)
        self.fc2 = Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, 28, 28) → (N, 10)."""
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        x = self.dropout1(F.max_pool2d(x, 2)).flatten(1)
        logits: Tensor = self.fc2(self.dropout2(F.relu(self.fc1(x))))
        return logits
