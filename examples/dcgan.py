"""Two convolutional networks, one that draws digits and one that doubts them, as a PyTorch program.

Generative adversarial networks (Goodfellow et al., 2014) in the manner of DCGAN (Radford et al.,
2015).

python examples/dcgan.py --epochs 20
"""

import argparse
import random

import numpy as np

import ddp as torch
import ddp.backends.cudnn as cudnn
import ddp.nn as nn
import ddp.optim as optim
import ddp.utils.data
from ddp.data.digits import digits

SHADES = " .:-=+*#%@"


def weights_init(m):
    classname = m.__class__.__name__
    if classname.find("Conv") != -1:
        torch.nn.init.normal_(m.weight, 0.0, 0.02)
    elif classname.find("BatchNorm") != -1:
        torch.nn.init.normal_(m.weight, 1.0, 0.02)
        torch.nn.init.zeros_(m.bias)


class Generator(nn.Module):
    """Noise (N, nz, 1, 1) → images (N, 1, 8, 8) in (-1, 1)."""

    def __init__(self, nz, ngf):
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(nz, ngf * 2, 2, 1, 0, bias=False),
            nn.BatchNorm2d(ngf * 2),
            nn.ReLU(True),
            nn.ConvTranspose2d(ngf * 2, ngf, 4, 2, 1, bias=False),
            nn.BatchNorm2d(ngf),
            nn.ReLU(True),
            nn.ConvTranspose2d(ngf, 1, 4, 2, 1, bias=False),
            nn.Tanh(),
        )

    def forward(self, input):
        return self.main(input)


class Discriminator(nn.Module):
    """Images (N, 1, 8, 8) → how likely each is real (N,)."""

    def __init__(self, ndf):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(1, ndf, 4, 2, 1, bias=False),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(ndf, ndf * 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(ndf * 2),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(ndf * 2, 1, 2, 1, 0, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, input):
        return self.main(input).view(-1, 1).squeeze(1)


def real_images():
    inputs, targets = digits()[0].fetch(np.arange(len(digits()[0])))
    images = torch.from_numpy(inputs)
    images = (images - images.min()) / (images.max() - images.min()) * 2 - 1
    return torch.utils.data.TensorDataset(images, torch.from_numpy(targets))


def drawn(image):
    """An image (1, 8, 8) as text."""
    shades = ((image[0] + 1) / 2 * (len(SHADES) - 1)).round().long()
    return "\n".join("".join(SHADES[i] * 2 for i in row) for row in shades.tolist())


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batchSize", type=int, default=64)
    parser.add_argument("--nz", type=int, default=16, help="size of the noise")
    parser.add_argument("--ngf", type=int, default=32)
    parser.add_argument("--ndf", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--lr", type=float, default=0.0002)
    parser.add_argument("--beta1", type=float, default=0.5)
    parser.add_argument("--manualSeed", type=int, default=999)
    parser.add_argument("--dry-run", action="store_true", help="one batch per epoch")
    opt = parser.parse_args(argv)

    random.seed(opt.manualSeed)
    torch.manual_seed(opt.manualSeed)
    cudnn.benchmark = True
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dataloader = torch.utils.data.DataLoader(
        real_images(), batch_size=opt.batchSize, shuffle=True, num_workers=0
    )

    netG = Generator(opt.nz, opt.ngf).to(device)
    netG.apply(weights_init)
    netD = Discriminator(opt.ndf).to(device)
    netD.apply(weights_init)
    criterion = nn.BCELoss()
    fixed_noise = torch.randn(2, opt.nz, 1, 1, device=device)
    real_label, fake_label = 1, 0
    optimizerD = optim.Adam(netD.parameters(), lr=opt.lr, betas=(opt.beta1, 0.999))
    optimizerG = optim.Adam(netG.parameters(), lr=opt.lr, betas=(opt.beta1, 0.999))

    for epoch in range(opt.epochs):
        for data in dataloader:
            # Doubt: real images are to be told from generated ones.
            netD.zero_grad()
            real_cpu = data[0].to(device)
            batch_size = real_cpu.size(0)
            label = torch.full((batch_size,), real_label, dtype=real_cpu.dtype, device=device)
            output = netD(real_cpu)
            errD_real = criterion(output, label)
            errD_real.backward()
            D_x = output.mean().item()

            noise = torch.randn(batch_size, opt.nz, 1, 1, device=device)
            fake = netG(noise)
            label.fill_(fake_label)
            output = netD(fake.detach())
            errD_fake = criterion(output, label)
            errD_fake.backward()
            D_G_z1 = output.mean().item()
            errD = errD_real + errD_fake
            optimizerD.step()

            # Draw: generated images are to be taken for real ones.
            netG.zero_grad()
            label.fill_(real_label)
            output = netD(fake)
            errG = criterion(output, label)
            errG.backward()
            D_G_z2 = output.mean().item()
            optimizerG.step()
            if opt.dry_run:
                break
        print(
            f"epoch {epoch} | loss {errD.item():.5f} | loss of the generator {errG.item():.5f} | "
            f"D(x) {D_x:.5f} | D(G(z)) {D_G_z1:.5f} / {D_G_z2:.5f}"
        )

    netG.eval()
    with torch.no_grad():
        print("\n\n".join(drawn(image) for image in netG(fixed_noise)))


if __name__ == "__main__":
    main()
