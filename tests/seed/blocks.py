"""The programs in the notes that this project grew from, as they stand there.

Changed are the imports, `resnet18(pretrained=True)`, which torchvision has given up, and
`clip_norm`, which PyTorch calls `max_norm`.
"""

from __future__ import annotations

TRAINING_LOOP = """
import ddp as torch
from ddp import models

model = models.resnet18()
data = torch.rand(1,3,64,64) # 64 x 64 img with 3 channels
labels = torch.rand(1,1000)

prediction = model(data) # Forward pass

loss = (prediction - labels).sum()

loss.backward() # backward pass (backprop)

# register all the model params in the optimizer
optimizer = torch.optim.SGD(model.parameters(),lr=1e-2,momentum=0.9)
optimizer.step() # initiate gradient descent
"""

FREEZING = """
from ddp import models
import ddp.nn as nn

model = models.resnet18()

# Freeze all the parameters in the network
for param in model.parameters():
    param.requires_grad = False

# replace last linear layer (the classifier) with new unfrozen classification layer
model.fc = nn.Linear(512, 10)
"""

NETWORK = """
import ddp as torch
import ddp.nn as nn
import ddp.nn.functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = torch.flatten(x, 1) # flatten all dimensions except batch
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        x = self.fc3(x)
        return x

net = Net()
"""

UPDATE_BY_HAND = """
learning_rate = 0.01
for f in net.parameters():
    f.data.sub_(f.grad.data * learning_rate)
"""

UPDATE_BY_OPTIMIZER = """
import ddp.optim as optim

# create your optimizer
optimizer = optim.SGD(net.parameters(), lr=0.01)

# in your training loop:
optimizer.zero_grad()   # zero the gradient buffers
output = net(input)
loss = criterion(output, target)
loss.backward()
optimizer.step()    # Does the update
"""

CLIPPING_BY_VALUE = """
optimizer.zero_grad()
loss.backward()

# by value
torch.nn.utils.clip_grad_value_(model.parameters(), clip_value=1)

optimizer.step()
"""

CLIPPING_BY_NORM = """
optimizer.zero_grad()
loss.backward()

# by norm
torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1)

optimizer.step()
"""

HOOK = """
def fn(grad):
  print(grad)
  return grad + 2 # if you return nothing, the same gradient as before will be used

c.register_hook(fn)
"""
