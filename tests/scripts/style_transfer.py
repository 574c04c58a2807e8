"""Gram matrices and instance normalisation, as in fast style transfer."""

import ddp as torch

torch.manual_seed(2)


def gram_matrix(y):
    (b, ch, h, w) = y.size()
    features = y.view(b, ch, w * h)
    features_t = features.transpose(1, 2)
    gram = features.bmm(features_t) / (ch * h * w)
    return gram


class ConvLayer(torch.nn.Module):
    def __init__(self, in_channels, out_channels, kernel_size, stride):
        super().__init__()
        reflection_padding = kernel_size // 2
        self.reflection_pad = torch.nn.ReflectionPad2d(reflection_padding)
        self.conv2d = torch.nn.Conv2d(in_channels, out_channels, kernel_size, stride)

    def forward(self, x):
        return self.conv2d(self.reflection_pad(x))


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = ConvLayer(3, 8, 9, 1)
        self.in1 = torch.nn.InstanceNorm2d(8, affine=True)
        self.conv2 = ConvLayer(8, 3, 3, 2)
        self.relu = torch.nn.ReLU()

    def forward(self, X):
        y = self.relu(self.in1(self.conv1(X)))
        x_in = torch.nn.functional.interpolate(y, mode="nearest", scale_factor=2)
        return self.conv2(x_in)


net = Net()
opt = torch.optim.Adam(net.parameters(), 1e-3)
mse = torch.nn.MSELoss()
x = torch.rand(2, 3, 16, 16)
goal = gram_matrix(torch.rand(1, 3, 16, 16)).expand(2, 3, 3)
mean = x.new_tensor([0.485, 0.456, 0.406]).view(-1, 1, 1)
for _i in range(4):
    opt.zero_grad()
    y = net(x)
    y = (y - mean) / mean
    loss = mse(gram_matrix(y), goal) * 10 + mse(y, x)
    loss.backward()
    opt.step()
    print(loss.item())
