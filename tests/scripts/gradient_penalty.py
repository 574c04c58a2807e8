"""A critic whose gradient is held near one, as in Wasserstein GANs."""

import ddp as torch
import ddp.autograd as autograd
import ddp.nn as nn

torch.manual_seed(0)
D = nn.Sequential(nn.Linear(6, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))
opt = torch.optim.Adam(D.parameters(), lr=1e-3, betas=(0.5, 0.9))


def compute_gradient_penalty(D, real, fake):
    alpha = torch.rand(real.size(0), 1)
    interpolates = (alpha * real + ((1 - alpha) * fake)).requires_grad_(True)
    d = D(interpolates)
    g = autograd.grad(
        outputs=d,
        inputs=interpolates,
        grad_outputs=torch.ones_like(d),
        create_graph=True,
        retain_graph=True,
        only_inputs=True,
    )[0]
    g = g.view(g.size(0), -1)
    return ((g.norm(2, dim=1) - 1) ** 2).mean()


real, fake = torch.randn(8, 6), torch.randn(8, 6)
for _i in range(4):
    opt.zero_grad()
    loss = (
        -torch.mean(D(real))
        + torch.mean(D(fake))
        + 10 * compute_gradient_penalty(D, real.data, fake.data)
    )
    loss.backward()
    opt.step()
    print(loss.item())
