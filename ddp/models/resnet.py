"""Residual networks (He et al., arXiv:1512.03385) with torchvision's names and initial values.

The names of modules, parameters and buffers are those of torchvision's `resnet18`, `resnet34` and
`resnet50`, so that its published weights load; from one seed the modules draw in its order, so
that the initial values are the same. ResNet-50 is torchvision's variant, with the stride in the
3x3 convolution.

    x (N, 3, H, W) -> conv1 7x7/2 -> bn1 -> relu -> maxpool 3x3/2
      -> layer1 -> layer2 /2 -> layer3 /2 -> layer4 /2 -> avgpool -> fc (N, num_classes)

Left out: the wide, grouped and dilated variants.
"""

from __future__ import annotations

from collections.abc import Sequence

from ddp.autograd.tensor import Tensor
from ddp.models.weights import load_weights
from ddp.nn import init
from ddp.nn.batchnorm import BatchNorm2d
from ddp.nn.containers import Sequential
from ddp.nn.convolution import Conv2d
from ddp.nn.layers import Linear, ReLU
from ddp.nn.module import Module
from ddp.nn.pooling import AdaptiveAvgPool2d, MaxPool2d


class BasicBlock(Module):
    """Two 3x3 convolutions around a shortcut: (N, inplanes, H, W) → (N, planes, H/s, W/s)."""

    expansion = 1

    def __init__(
        self, inplanes: int, planes: int, stride: int = 1, downsample: Module | None = None
    ) -> None:
        super().__init__()
        self.conv1 = conv3x3(inplanes, planes, stride)
        self.bn1 = BatchNorm2d(planes)
        self.relu = ReLU(inplace=True)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = BatchNorm2d(planes)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """(N, inplanes, H, W) → (N, planes, H/stride, W/stride)."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        shortcut = x if self.downsample is None else self.downsample(x)
        result: Tensor = self.relu(out + shortcut)
        return result


class Bottleneck(Module):
    """1x1 down, 3x3, 1x1 up to four times `planes`, around a shortcut."""

    expansion = 4

    def __init__(
        self, inplanes: int, planes: int, stride: int = 1, downsample: Module | None = None
    ) -> None:
        super().__init__()
        self.conv1 = conv1x1(inplanes, planes)
        self.bn1 = BatchNorm2d(planes)
        self.conv2 = conv3x3(planes, planes, stride)
        self.bn2 = BatchNorm2d(planes)
        self.conv3 = conv1x1(planes, planes * self.expansion)
        self.bn3 = BatchNorm2d(planes * self.expansion)
        self.relu = ReLU(inplace=True)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """(N, inplanes, H, W) → (N, 4·planes, H/stride, W/stride)."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        shortcut = x if self.downsample is None else self.downsample(x)
        result: Tensor = self.relu(out + shortcut)
        return result


Block = type[BasicBlock] | type[Bottleneck]


class ResNet(Module):
    """Four stages of `layers[i]` blocks each; images (N, 3, H, W) → logits (N, num_classes).

    `zero_init_residual`: the last batch norm of each block starts at 0, so that every block
    starts as the identity (Goyal et al., arXiv:1706.02677).
    """

    def __init__(
        self,
        block: Block,
        layers: Sequence[int],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
    ) -> None:
        super().__init__()
        self.inplanes = 64
        self.conv1 = Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = BatchNorm2d(64)
        self.relu = ReLU(inplace=True)
        self.maxpool = MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = self._make_layer(block, 64, layers[0])
        self.layer2 = self._make_layer(block, 128, layers[1], stride=2)
        self.layer3 = self._make_layer(block, 256, layers[2], stride=2)
        self.layer4 = self._make_layer(block, 512, layers[3], stride=2)
        self.avgpool = AdaptiveAvgPool2d((1, 1))
        self.fc = Linear(512 * block.expansion, num_classes)
        self._initialise(zero_init_residual)

    def _make_layer(self, block: Block, planes: int, blocks: int, stride: int = 1) -> Sequential:
        downsample = None
        if stride != 1 or self.inplanes != planes * block.expansion:
            downsample = Sequential(
                conv1x1(self.inplanes, planes * block.expansion, stride),
                BatchNorm2d(planes * block.expansion),
            )
        stage: list[Module] = [block(self.inplanes, planes, stride, downsample)]
        self.inplanes = planes * block.expansion
        stage += [block(self.inplanes, planes) for _ in range(1, blocks)]
        return Sequential(*stage)

    def _initialise(self, zero_init_residual: bool) -> None:
        for module in self.modules():
            if isinstance(module, Conv2d):
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if not zero_init_residual:
            return
        for module in self.modules():
            if isinstance(module, BasicBlock | Bottleneck):
                last = module.bn2 if isinstance(module, BasicBlock) else module.bn3
                assert last.weight is not None
                init.zeros_(last.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) → (N, num_classes)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


def conv3x3(inputs: int, outputs: int, stride: int = 1) -> Conv2d:
    """A 3x3 convolution without bias that keeps the size at stride 1."""
    return Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)


def conv1x1(inputs: int, outputs: int, stride: int = 1) -> Conv2d:
    """A 1x1 convolution without bias."""
    return Conv2d(inputs, outputs, kernel_size=1, stride=stride, bias=False)


def resnet18(
    weights: str | None = None, *, num_classes: int = 1000, zero_init_residual: bool = False
) -> ResNet:
    """11.7 million parameters. `weights`: a path or a published name, see `ddp.models.weights`."""
    model = ResNet(BasicBlock, (2, 2, 2, 2), num_classes, zero_init_residual)
    return load_weights(model, weights, "resnet18")


def resnet34(
    weights: str | None = None, *, num_classes: int = 1000, zero_init_residual: bool = False
) -> ResNet:
    """21.8 million parameters. `weights`: a path or a published name, see `ddp.models.weights`."""
    model = ResNet(BasicBlock, (3, 4, 6, 3), num_classes, zero_init_residual)
    return load_weights(model, weights, "resnet34")


def resnet50(
    weights: str | None = None, *, num_classes: int = 1000, zero_init_residual: bool = False
) -> ResNet:
    """25.6 million parameters. `weights`: a path or a published name, see `ddp.models.weights`."""
    model = ResNet(Bottleneck, (3, 4, 6, 3), num_classes, zero_init_residual)
    return load_weights(model, weights, "resnet50")
