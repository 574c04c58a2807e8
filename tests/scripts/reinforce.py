"""A policy learns by REINFORCE to keep a pole from falling."""

from itertools import count

import numpy as np

import ddp as torch
import ddp.nn as nn
import ddp.nn.functional as F
import ddp.optim as optim
from ddp.distributions import Categorical

torch.manual_seed(543)
eps = np.finfo(np.float32).eps.item()


class Pole:
    """An angle and its speed; each push adds to the speed, and so does the angle."""

    def reset(self):
        self.state = np.array([0.05, 0.0])
        return self.state

    def step(self, action):
        angle, speed = self.state
        speed += 0.2 * angle + (0.05 if action else -0.05)
        self.state = np.array([angle + 0.2 * speed, speed])
        return self.state, 1.0, abs(self.state[0]) > 0.5


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.affine1 = nn.Linear(2, 32)
        self.dropout = nn.Dropout(p=0.1)
        self.affine2 = nn.Linear(32, 2)
        self.saved_log_probs = []
        self.rewards = []

    def forward(self, x):
        x = F.relu(self.dropout(self.affine1(x)))
        return F.softmax(self.affine2(x), dim=1)


policy = Policy()
optimizer = optim.Adam(policy.parameters(), lr=1e-2)


def select_action(state):
    state = torch.from_numpy(state).float().unsqueeze(0)
    m = Categorical(policy(state))
    action = m.sample()
    policy.saved_log_probs.append(m.log_prob(action))
    return action.item()


def finish_episode():
    R, returns = 0, []
    for r in policy.rewards[::-1]:
        R = r + 0.99 * R
        returns.insert(0, R)
    returns = torch.tensor(returns)
    returns = (returns - returns.mean()) / (returns.std() + eps)
    policy_loss = [
        -log_prob * R for log_prob, R in zip(policy.saved_log_probs, returns, strict=True)
    ]
    optimizer.zero_grad()
    policy_loss = torch.cat(policy_loss).sum()
    policy_loss.backward()
    optimizer.step()
    del policy.rewards[:]
    del policy.saved_log_probs[:]
    return policy_loss.item()


env = Pole()
for episode in range(6):
    state = env.reset()
    for t in count(1):
        state, reward, done = env.step(select_action(state))
        policy.rewards.append(reward)
        if done or t == 60:
            break
    print(f"episode {episode} length {t} loss {finish_episode():.4f}")
