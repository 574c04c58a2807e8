"""Images read row by row by an LSTM."""

import ddp as torch
import ddp.nn as nn
import ddp.nn.functional as F

torch.manual_seed(1)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(input_size=8, hidden_size=16, batch_first=True)
        self.batchnorm = nn.BatchNorm1d(16)
        self.dropout1 = nn.Dropout2d(0.25)
        self.fc1 = nn.Linear(16, 12)
        self.fc2 = nn.Linear(12, 10)

    def forward(self, input):
        input = input.reshape(-1, 8, 8)
        output, _hidden = self.rnn(input)
        output = output[:, -1, :]
        output = self.batchnorm(output)
        output = self.fc1(output)
        output = F.relu(output)
        output = self.fc2(output)
        output = F.log_softmax(output, dim=1)
        return output


model = Net()
opt = torch.optim.Adadelta(model.parameters(), lr=0.1)
data, target = torch.randn(32, 1, 8, 8), torch.randint(10, (32,))
for _i in range(5):
    opt.zero_grad()
    loss = F.nll_loss(model(data), target)
    loss.backward()
    opt.step()
    print("loss", loss.item())
