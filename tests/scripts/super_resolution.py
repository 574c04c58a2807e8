"""Images enlarged by a network with shuffled pixels."""

from math import log10

import ddp as torch
import ddp.nn as nn
import ddp.nn.init as init
import ddp.optim as optim

torch.manual_seed(123)


class Net(nn.Module):
    def __init__(self, upscale_factor):
        super().__init__()
        self.relu = nn.ReLU()
        self.conv1 = nn.Conv2d(1, 64, (5, 5), (1, 1), (2, 2))
        self.conv2 = nn.Conv2d(64, 32, (3, 3), (1, 1), (1, 1))
        self.conv4 = nn.Conv2d(32, upscale_factor**2, (3, 3), (1, 1), (1, 1))
        self.pixel_shuffle = nn.PixelShuffle(upscale_factor)
        self._initialize_weights()

    def forward(self, x):
        x = self.relu(self.conv1(x))
        x = self.relu(self.conv2(x))
        return self.pixel_shuffle(self.conv4(x))

    def _initialize_weights(self):
        init.orthogonal_(self.conv1.weight, init.calculate_gain("relu"))
        init.orthogonal_(self.conv2.weight, init.calculate_gain("relu"))
        init.orthogonal_(self.conv4.weight)


model = Net(2)
optimizer = optim.Adam(model.parameters(), lr=0.001)
criterion = nn.MSELoss()
big = torch.rand(4, 1, 16, 16)
small = nn.functional.interpolate(big, scale_factor=0.5, mode="bilinear", align_corners=False)
for _i in range(5):
    optimizer.zero_grad()
    loss = criterion(model(small), big)
    loss.backward()
    optimizer.step()
    print("loss", loss.item(), 10 * log10(1 / loss.item()))
