"""ResNet and GPT against the same models written in PyTorch: from one seed, the same training.

The PyTorch sides are written here from the papers' and libraries' descriptions; torchvision is
not needed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import ddp
from ddp.autograd.random import manual_seed
from ddp.autograd.tensor import Tensor
from ddp.models import GPT, resnet18, token_loss
from ddp.models.resnet import Bottleneck, ResNet
from ddp.nn import functional as F
from ddp.optim.adam import AdamW
from ddp.optim.sgd import SGD
from tests.oracle.compare import draw, torch

pytestmark = pytest.mark.oracle
tn = torch.nn
tf = torch.nn.functional


def their_conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> Any:
    return tn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


class TheirBlock(tn.Module):  # type: ignore[misc, name-defined]
    def __init__(self, inputs: int, planes: int, stride: int, downsample: Any, wide: bool) -> None:
        super().__init__()
        self.wide = wide
        if wide:
            self.conv1, self.bn1 = their_conv(inputs, planes, 1), tn.BatchNorm2d(planes)
            self.conv2, self.bn2 = their_conv(planes, planes, 3, stride), tn.BatchNorm2d(planes)
            self.conv3, self.bn3 = their_conv(planes, 4 * planes, 1), tn.BatchNorm2d(4 * planes)
        else:
            self.conv1, self.bn1 = their_conv(inputs, planes, 3, stride), tn.BatchNorm2d(planes)
            self.conv2, self.bn2 = their_conv(planes, planes, 3), tn.BatchNorm2d(planes)
        self.downsample = downsample

    def forward(self, x: Any) -> Any:
        out = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if self.wide:
            out = self.bn3(self.conv3(torch.relu(out)))
        return torch.relu(out + (x if self.downsample is None else self.downsample(x)))


class TheirResNet(tn.Module):  # type: ignore[misc, name-defined]
    def __init__(self, depths: tuple[int, ...], classes: int, wide: bool = False) -> None:
        super().__init__()
        self.planes, self.wide = 64, wide
        self.conv1, self.bn1 = their_conv(3, 64, 7, 2), tn.BatchNorm2d(64)
        for n, depth in enumerate(depths):
            self.add_module(f"layer{n + 1}", self.stage(64 << n, depth, 1 if n == 0 else 2))
        self.fc = tn.Linear(self.planes, classes)
        for module in self.modules():
            if isinstance(module, tn.Conv2d):
                tn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def stage(self, planes: int, depth: int, stride: int) -> Any:
        outputs = planes * (4 if self.wide else 1)
        blocks = []
        for n in range(depth):
            step, shortcut = (stride if n == 0 else 1), None
            if step != 1 or self.planes != outputs:
                shortcut = tn.Sequential(
                    their_conv(self.planes, outputs, 1, step), tn.BatchNorm2d(outputs)
                )
            blocks.append(TheirBlock(self.planes, planes, step, shortcut, self.wide))
            self.planes = outputs
        return tn.Sequential(*blocks)

    def forward(self, x: Any) -> Any:
        x = tf.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


class TheirGptBlock(tn.Module):  # type: ignore[misc, name-defined]
    def __init__(self, c: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.ln_1 = tn.LayerNorm(c)
        self.attn = tn.ModuleDict({"c_attn": tn.Linear(c, 3 * c), "c_proj": tn.Linear(c, c)})
        self.ln_2 = tn.LayerNorm(c)
        self.mlp = tn.ModuleDict({"c_fc": tn.Linear(c, 4 * c), "c_proj": tn.Linear(4 * c, c)})
        self.heads, self.dropout = heads, dropout

    def forward(self, x: Any) -> Any:
        n, t, c = x.shape
        parts = self.attn["c_attn"](self.ln_1(x)).split(c, 2)
        q, k, v = (p.view(n, t, self.heads, c // self.heads).transpose(1, 2) for p in parts)
        y = tf.scaled_dot_product_attention(q, k, v, is_causal=True)
        y = self.attn["c_proj"](y.transpose(1, 2).reshape(n, t, c))
        x = x + tf.dropout(y, self.dropout, self.training)
        y = self.mlp["c_proj"](tf.gelu(self.mlp["c_fc"](self.ln_2(x))))
        return x + tf.dropout(y, self.dropout, self.training)


class TheirGpt(tn.Module):  # type: ignore[misc, name-defined]
    def __init__(self, v: int, t: int, layers: int, heads: int, c: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        blocks = tn.ModuleList([TheirGptBlock(c, heads, dropout) for _ in range(layers)])
        embeddings = {"wte": tn.Embedding(v, c), "wpe": tn.Embedding(t, c)}
        self.transformer = tn.ModuleDict(embeddings | {"h": blocks, "ln_f": tn.LayerNorm(c)})
        self.lm_head = tn.Linear(c, v, bias=False)
        self.transformer["wte"].weight = self.lm_head.weight
        self.apply(self.start)
        for name, parameter in self.named_parameters():
            if name.endswith("c_proj.weight"):
                tn.init.normal_(parameter, std=0.02 / math.sqrt(2 * layers))

    @staticmethod
    def start(module: Any) -> None:
        if isinstance(module, tn.Linear | tn.Embedding):
            tn.init.normal_(module.weight, std=0.02)
        if isinstance(module, tn.Linear) and module.bias is not None:
            tn.init.zeros_(module.bias)

    def forward(self, tokens: Any) -> Any:
        parts = self.transformer
        x = parts["wte"](tokens) + parts["wpe"](torch.arange(tokens.shape[1]))
        x = tf.dropout(x, self.dropout, self.training)
        for block in parts["h"]:
            x = block(x)
        return self.lm_head(parts["ln_f"](x))


def same_initial_values(ours: Any, theirs: Any) -> None:
    their_state = theirs.state_dict()
    assert list(ours.state_dict()) == list(their_state)
    for name, tensor in ours.state_dict().items():
        np.testing.assert_array_equal(tensor.array, their_state[name].numpy(), name, strict=True)


def steps(model: Any, loss_of: Any, optimizer: Any, batches: list[Any]) -> list[float]:
    losses = []
    for inputs, targets in batches:
        optimizer.zero_grad()
        loss = loss_of(model(inputs), targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def image_batches(count: int, images: int) -> list[tuple[Any, Any]]:
    labels = np.random.default_rng(5).integers(0, 10, (count, images))
    return [(draw(n, images, 3, 32, 32), labels[n]) for n in range(count)]


def on(library: Any, batches: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    make = Tensor if library is ddp else torch.from_numpy
    return [(make(x), make(y)) for x, y in batches]


def test_resnet18_is_replayed_from_its_seed() -> None:
    """32 images: with 8, the last stage normalises over 8 values, and a ReLU that rounding turns
    on or off changes either library's gradients by percents (compared with float64)."""
    torch.manual_seed(7)
    theirs = TheirResNet((2, 2, 2, 2), 10)
    manual_seed(7)
    ours = resnet18(num_classes=10)
    same_initial_values(ours, theirs)
    batches = image_batches(4, 32)
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.001, momentum=0.9)
    expected = steps(theirs, tf.cross_entropy, optimizer, on(torch, batches))
    optimizer = SGD(ours.parameters(), lr=0.001, momentum=0.9)
    losses = steps(ours, F.cross_entropy, optimizer, on(ddp, batches))
    np.testing.assert_allclose(losses, expected, rtol=1e-4)


def test_bottlenecks_are_replayed_from_their_seed() -> None:
    torch.manual_seed(8)
    theirs = TheirResNet((1, 1, 1, 1), 10, wide=True)
    manual_seed(8)
    ours = ResNet(Bottleneck, (1, 1, 1, 1), 10)
    same_initial_values(ours, theirs)
    batches = image_batches(2, 4)
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.01)
    expected = steps(theirs, tf.cross_entropy, optimizer, on(torch, batches))
    losses = steps(ours, F.cross_entropy, SGD(ours.parameters(), lr=0.01), on(ddp, batches))
    np.testing.assert_allclose(losses, expected, rtol=1e-4)


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_the_gpt_is_replayed_from_its_seed(dropout: float) -> None:
    """Dropout masks too. (Inside the attention PyTorch's fused kernel draws its own.)"""
    torch.manual_seed(9)
    theirs = TheirGpt(31, 16, layers=2, heads=2, c=32, dropout=dropout)
    manual_seed(9)
    ours = GPT(31, 16, n_layer=2, n_head=2, n_embd=32, dropout=dropout)
    for block in ours.transformer["h"]:
        block.attn.dropout = 0.0
    same_initial_values(ours, theirs)
    random = np.random.default_rng(6)
    batches = [(random.integers(0, 31, (4, 16)), random.integers(0, 31, (4, 16)))] * 10
    optimizer = torch.optim.AdamW(theirs.parameters(), lr=0.003)
    expected = steps(
        theirs,
        lambda logits, y: tf.cross_entropy(logits.flatten(0, 1), y.flatten()),
        optimizer,
        on(torch, batches),
    )
    losses = steps(ours, token_loss, AdamW(ours.parameters(), lr=0.003), on(ddp, batches))
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("top_k", [None, 5])
def test_from_one_seed_both_write_the_same(top_k: int | None) -> None:
    torch.manual_seed(10)
    theirs = TheirGpt(31, 16, layers=1, heads=2, c=32, dropout=0.0)
    manual_seed(10)
    ours = GPT(31, 16, n_layer=1, n_head=2, n_embd=32)
    start = np.array([[1, 2], [3, 4]])
    tokens = torch.from_numpy(start)
    with torch.no_grad():
        for _ in range(30):
            logits = theirs(tokens[:, -16:])[:, -1] / 0.8
            if top_k is not None:
                least = torch.topk(logits, top_k).values[:, [-1]]
                logits[logits < least] = -math.inf
            drawn = torch.multinomial(torch.softmax(logits, -1), 1)
            tokens = torch.cat([tokens, drawn], 1)
    assert ours.generate(Tensor(start), 30, 0.8, top_k).tolist() == tokens.tolist()
