"""A residual network with augmented images, its best state kept, as a PyTorch program.

In the manner of the many programs that train on CIFAR-10; the images here are the handwritten
digits that come with the library, padded to 12 x 12.

python examples/resnet.py --epochs 5
"""

import argparse
import random

import numpy as np

import ddp as torch
import ddp.backends.cudnn as cudnn
import ddp.nn as nn
import ddp.nn.functional as F
import ddp.optim as optim
from ddp.data.digits import digits
from ddp.utils.data import DataLoader, Dataset


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, in_planes, planes, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(
            in_planes, planes, kernel_size=3, stride=stride, padding=1, bias=False
        )
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, kernel_size=3, stride=1, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_planes != self.expansion * planes:
            self.shortcut = nn.Sequential(
                nn.Conv2d(
                    in_planes, self.expansion * planes, kernel_size=1, stride=stride, bias=False
                ),
                nn.BatchNorm2d(self.expansion * planes),
            )

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += self.shortcut(x)
        return F.relu(out)


class ResNet(nn.Module):
    def __init__(self, block, num_blocks, width=16, num_classes=10):
        super().__init__()
        self.in_planes = width
        self.conv1 = nn.Conv2d(1, width, kernel_size=3, stride=1, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = self._make_layer(block, width, num_blocks[0], stride=1)
        self.layer2 = self._make_layer(block, 2 * width, num_blocks[1], stride=2)
        self.layer3 = self._make_layer(block, 4 * width, num_blocks[2], stride=2)
        self.linear = nn.Linear(4 * width * block.expansion, num_classes)

    def _make_layer(self, block, planes, num_blocks, stride):
        layers = []
        for step in [stride] + [1] * (num_blocks - 1):
            layers.append(block(self.in_planes, planes, step))
            self.in_planes = planes * block.expansion
        return nn.Sequential(*layers)

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.layer3(self.layer2(self.layer1(out)))
        out = F.avg_pool2d(out, 3)
        out = out.view(out.size(0), -1)
        return self.linear(out)


class Images(Dataset):
    """Images (1, 12, 12); in training moved by up to two pixels."""

    def __init__(self, samples, train):
        images, targets = samples.fetch(np.arange(len(samples)))
        self.images = F.pad(torch.from_numpy(images), (2, 2, 2, 2))
        self.targets = torch.from_numpy(targets)
        self.train = train

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        image = self.images[index]
        if self.train:
            shifts = random.randint(-2, 2), random.randint(-2, 2)
            image = torch.roll(image, shifts, dims=(1, 2))
        return image, self.targets[index]


def train(epoch, net, loader, criterion, optimizer, device):
    net.train()
    train_loss, correct, total = 0, 0, 0
    for batch_idx, (inputs, targets) in enumerate(loader):
        inputs, targets = inputs.to(device), targets.to(device)
        optimizer.zero_grad()
        outputs = net(inputs)
        loss = criterion(outputs, targets)
        loss.backward()
        optimizer.step()
        train_loss += loss.item()
        _, predicted = outputs.max(1)
        total += targets.size(0)
        correct += predicted.eq(targets).sum().item()
        if batch_idx % 5 == 0:
            mean = train_loss / (batch_idx + 1)
            print(f"epoch {epoch} | loss {mean:.5f} | right {correct}/{total}")


@torch.no_grad()
def test(epoch, net, loader, criterion, device):
    net.eval()
    test_loss, correct, total = 0, 0, 0
    for inputs, targets in loader:
        inputs, targets = inputs.to(device), targets.to(device)
        outputs = net(inputs)
        test_loss += criterion(outputs, targets).item()
        correct += outputs.argmax(1).eq(targets).sum().item()
        total += targets.size(0)
    print(f"epoch {epoch} | test {test_loss / len(loader):.5f} | right {correct}/{total}")
    return 100.0 * correct / total


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lr", default=0.05, type=float)
    parser.add_argument("--epochs", default=5, type=int)
    parser.add_argument("--width", default=16, type=int)
    parser.add_argument("--blocks", default=1, type=int, help="per stage")
    parser.add_argument("--checkpoint", metavar="FILE", help="where the best state is kept")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    args = parser.parse_args(argv)

    random.seed(0)
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    training, testing = digits()
    trainloader = DataLoader(Images(training, True), batch_size=128, shuffle=True, drop_last=True)
    testloader = DataLoader(Images(testing, False), batch_size=100, shuffle=False)

    net = ResNet(BasicBlock, [args.blocks] * 3, args.width).to(device)
    if device == "cuda":
        net = torch.nn.DataParallel(net)
        cudnn.benchmark = True
    best_acc, start_epoch = 0, 0
    if args.resume:
        checkpoint = torch.load(args.checkpoint)
        net.load_state_dict(checkpoint["net"])
        best_acc, start_epoch = checkpoint["acc"], checkpoint["epoch"] + 1

    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    optimizer = optim.SGD(net.parameters(), lr=args.lr, momentum=0.9, weight_decay=5e-4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=args.epochs)
    for epoch in range(start_epoch, start_epoch + args.epochs):
        train(epoch, net, trainloader, criterion, optimizer, device)
        acc = test(epoch, net, testloader, criterion, device)
        if acc > best_acc and args.checkpoint:
            state = {"net": net.state_dict(), "acc": acc, "epoch": epoch}
            torch.save(state, args.checkpoint)
        best_acc = max(acc, best_acc)
        scheduler.step()
    print(f"best {best_acc:.2f} %")


if __name__ == "__main__":
    main()
