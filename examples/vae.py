"""A variational autoencoder that draws digits (Kingma and Welling, 2013), as a PyTorch program.

python examples/vae.py --epochs 20
"""

import argparse

import numpy as np

import ddp as torch
from ddp import nn, optim
from ddp.data.digits import digits
from ddp.nn import functional as F
from ddp.utils.data import DataLoader

PIXELS, LATENT = 64, 8
SHADES = " .:-=+*#%@"


class VAE(nn.Module):
    """Images (N, 1, 8, 8) → reconstructions (N, 64), mean and log-variance (N, 8)."""

    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(PIXELS, 128)
        self.fc21 = nn.Linear(128, LATENT)
        self.fc22 = nn.Linear(128, LATENT)
        self.fc3 = nn.Linear(LATENT, 128)
        self.fc4 = nn.Linear(128, PIXELS)

    def encode(self, x):
        h = F.relu(self.fc1(x))
        return self.fc21(h), self.fc22(h)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        eps = torch.randn_like(std)
        return mu + eps * std

    def decode(self, z):
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z))))

    def forward(self, x):
        mu, logvar = self.encode(x.view(-1, PIXELS))
        z = self.reparameterize(mu, logvar)
        return self.decode(z), mu, logvar


def loss_function(reconstruction, x, mu, logvar):
    """Reconstruction error, and the divergence of the code from a standard normal."""
    error = F.binary_cross_entropy(reconstruction, x.view(-1, PIXELS), reduction="sum")
    divergence = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return error + divergence


def train(model, loader, optimizer, epoch):
    model.train()
    total = 0
    for data, _ in loader:
        optimizer.zero_grad()
        reconstruction, mu, logvar = model(data)
        loss = loss_function(reconstruction, data, mu, logvar)
        loss.backward()
        total += loss.item()
        optimizer.step()
    print(f"epoch {epoch} | average loss {total / len(loader.dataset):.5f}")


def test(model, loader):
    model.eval()
    total = 0
    with torch.no_grad():
        for data, _ in loader:
            reconstruction, mu, logvar = model(data)
            total += loss_function(reconstruction, data, mu, logvar).item()
    print(f"test loss {total / len(loader.dataset):.5f}")


def draw(model, count):
    """Print `count` digits that the model makes up, side by side."""
    with torch.no_grad():
        images = model.decode(torch.randn(count, LATENT)).view(count, 8, 8)
    shades = (images * 9.99).long().clamp(0, 9).tolist()
    for row in range(8):
        print("  ".join("".join(SHADES[shade] for shade in image[row]) for image in shades))


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)

    torch.manual_seed(args.seed)
    train_set, test_set = (dataset.fetch(np.arange(len(dataset))) for dataset in digits())
    train_loader = DataLoader(list(zip(*train_set, strict=True)), args.batch_size, shuffle=True)
    test_loader = DataLoader(list(zip(*test_set, strict=True)), args.batch_size)

    model = VAE()
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(1, args.epochs + 1):
        train(model, train_loader, optimizer, epoch)
        test(model, test_loader)
    draw(model, 6)


if __name__ == "__main__":
    main()
