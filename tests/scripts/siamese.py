"""Two images told apart by one network."""

import random

import numpy as np

import ddp as torch
import ddp.nn as nn
import ddp.optim as optim
from ddp.optim.lr_scheduler import StepLR
from ddp.utils.data import Dataset

torch.manual_seed(1)
random.seed(1)


class SiameseNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d((2, 2))
        )
        self.fc_in_features = 32
        self.fc = nn.Sequential(
            nn.Linear(self.fc_in_features * 2, 16), nn.ReLU(inplace=True), nn.Linear(16, 1)
        )
        self.sigmoid = nn.Sigmoid()
        self.features.apply(self.init_weights)
        self.fc.apply(self.init_weights)

    def init_weights(self, m):
        if isinstance(m, nn.Linear):
            torch.nn.init.xavier_uniform_(m.weight)
            m.bias.data.fill_(0.01)

    def forward_once(self, x):
        output = self.features(x)
        output = output.view(output.size()[0], -1)
        return output

    def forward(self, input1, input2):
        output = torch.cat((self.forward_once(input1), self.forward_once(input2)), 1)
        return self.sigmoid(self.fc(output))


class Pairs(Dataset):
    def __init__(self):
        self.data = torch.rand(40, 1, 8, 8)
        self.targets = torch.randint(4, (40,))
        np_arr = np.array(self.targets.clone())
        self.grouped_examples = {}
        for i in range(4):
            self.grouped_examples[i] = np.where(np_arr == i)[0]

    def __len__(self):
        return self.data.shape[0]

    def __getitem__(self, index):
        selected_class = random.randint(0, 3)
        first = random.choice(self.grouped_examples[selected_class])
        second = random.choice(self.grouped_examples[(selected_class + index % 2) % 4])
        return (
            self.data[first].clone().float(),
            self.data[second].clone().float(),
            torch.tensor(1 - index % 2, dtype=torch.float),
        )


model = SiameseNetwork()
optimizer = optim.Adadelta(model.parameters(), lr=1.0)
scheduler = StepLR(optimizer, step_size=1, gamma=0.7)
criterion = nn.BCELoss()
loader = torch.utils.data.DataLoader(Pairs(), shuffle=True, batch_size=16)
for epoch in range(2):
    for batch_idx, (images_1, images_2, targets) in enumerate(loader):
        optimizer.zero_grad()
        outputs = model(images_1, images_2).squeeze()
        loss = criterion(outputs, targets)
        loss.backward()
        optimizer.step()
        done = 100.0 * batch_idx / len(loader)
        print(f"Train Epoch: {epoch} ({done:.0f}%)\tLoss: {loss.item():.6f}")
    scheduler.step()
