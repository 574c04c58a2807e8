"""An actor and a critic learn from one episode."""

import numpy as np

import ddp as torch
import ddp.nn as nn
import ddp.nn.functional as F
import ddp.optim as optim

torch.manual_seed(543)
eps = np.finfo(np.float32).eps.item()


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.affine1 = nn.Linear(4, 32)
        self.action_head = nn.Linear(32, 2)
        self.value_head = nn.Linear(32, 1)

    def forward(self, x):
        x = F.relu(self.affine1(x))
        return F.softmax(self.action_head(x), dim=-1), self.value_head(x)


model = Policy()
optimizer = optim.Adam(model.parameters(), lr=3e-2)
state = np.zeros(4)
saved, rewards = [], []
for t in range(20):
    s = torch.from_numpy(state).float()
    probs, value = model(s)
    action = probs.multinomial(1)
    saved.append((probs.log().gather(0, action).squeeze(), value))
    state = np.sin(np.arange(4) * (t + 1) + action.item())
    rewards.append(float(state.sum()))
R, returns = 0, []
for r in rewards[::-1]:
    R = r + 0.99 * R
    returns.insert(0, R)
returns = torch.tensor(returns)
returns = (returns - returns.mean()) / (returns.std() + eps)
policy_losses, value_losses = [], []
for (log_prob, value), R in zip(saved, returns, strict=False):
    advantage = R - value.item()
    policy_losses.append(-log_prob * advantage)
    value_losses.append(F.smooth_l1_loss(value, torch.tensor([R])))
optimizer.zero_grad()
loss = torch.stack(policy_losses).sum() + torch.stack(value_losses).sum()
loss.backward()
optimizer.step()
print(loss.item(), [p.grad.norm().item() for p in model.parameters()])
