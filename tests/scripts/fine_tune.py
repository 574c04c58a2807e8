"""The last layer replaced and trained, the rest frozen."""

import os
import tempfile

import ddp as torch
import ddp.nn as nn
import ddp.optim as optim
from ddp.optim import lr_scheduler

torch.manual_seed(0)
body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten())
model = nn.Sequential()
model.add_module("body", body)
model.fc = nn.Linear(4 * 36, 5)
for param in model.parameters():
    param.requires_grad = False
num_ftrs = model.fc.in_features
model.fc = nn.Linear(num_ftrs, 2)
criterion = nn.CrossEntropyLoss()
optimizer = optim.SGD(model.fc.parameters(), lr=0.001, momentum=0.9)
scheduler = lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)
x, y = torch.randn(6, 3, 8, 8), torch.tensor([0, 1, 0, 1, 1, 0])
with tempfile.TemporaryDirectory() as tempdir:
    best = os.path.join(tempdir, "best.pt")
    torch.save(model.state_dict(), best)
    for _epoch in range(3):
        for phase in ["train", "val"]:
            model.train() if phase == "train" else model.eval()
            optimizer.zero_grad()
            with torch.set_grad_enabled(phase == "train"):
                outputs = model(x)
                _, preds = torch.max(outputs, 1)
                loss = criterion(outputs, y)
                if phase == "train":
                    loss.backward()
                    optimizer.step()
            print(phase, loss.item(), torch.sum(preds == y.data).double().item() / len(y))
        scheduler.step()
    model.load_state_dict(torch.load(best, weights_only=True))
print(sum(p.numel() for p in model.parameters() if p.requires_grad))
