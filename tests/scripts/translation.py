"""An encoder, attention and a decoder, as in the tutorial on translation."""

import ddp as torch
import ddp.nn as nn
import ddp.nn.functional as F
from ddp import optim

torch.manual_seed(0)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class EncoderRNN(nn.Module):
    def __init__(self, input_size, hidden_size, dropout_p=0.1):
        super().__init__()
        self.embedding = nn.Embedding(input_size, hidden_size)
        self.gru = nn.GRU(hidden_size, hidden_size, batch_first=True)
        self.dropout = nn.Dropout(dropout_p)

    def forward(self, input):
        return self.gru(self.dropout(self.embedding(input)))


class BahdanauAttention(nn.Module):
    def __init__(self, hidden_size):
        super().__init__()
        self.Wa = nn.Linear(hidden_size, hidden_size)
        self.Ua = nn.Linear(hidden_size, hidden_size)
        self.Va = nn.Linear(hidden_size, 1)

    def forward(self, query, keys):
        scores = self.Va(torch.tanh(self.Wa(query) + self.Ua(keys)))
        scores = scores.squeeze(2).unsqueeze(1)
        weights = F.softmax(scores, dim=-1)
        return torch.bmm(weights, keys), weights


class Decoder(nn.Module):
    def __init__(self, hidden_size, output_size):
        super().__init__()
        self.embedding = nn.Embedding(output_size, hidden_size)
        self.attention = BahdanauAttention(hidden_size)
        self.gru = nn.GRU(2 * hidden_size, hidden_size, batch_first=True)
        self.out = nn.Linear(hidden_size, output_size)

    def forward(self, encoder_outputs, encoder_hidden, target_tensor=None):
        decoder_input = torch.empty(
            encoder_outputs.size(0), 1, dtype=torch.long, device=device
        ).fill_(0)
        hidden, outs = encoder_hidden, []
        for i in range(5):
            embedded = self.embedding(decoder_input)
            context, _w = self.attention(hidden.permute(1, 0, 2), encoder_outputs)
            output, hidden = self.gru(torch.cat((embedded, context), dim=2), hidden)
            output = self.out(output)
            outs.append(output)
            if target_tensor is not None:
                decoder_input = target_tensor[:, i].unsqueeze(1)
            else:
                _, topi = output.topk(1)
                decoder_input = topi.squeeze(-1).detach()
        return F.log_softmax(torch.cat(outs, dim=1), dim=-1)


enc, dec = EncoderRNN(9, 12).to(device), Decoder(12, 7).to(device)
eo, do = optim.Adam(enc.parameters(), lr=0.01), optim.Adam(dec.parameters(), lr=0.01)
x, y = torch.randint(9, (4, 6)), torch.randint(7, (4, 5))
for _i in range(4):
    eo.zero_grad()
    do.zero_grad()
    o, h = enc(x)
    out = dec(o, h, y)
    loss = nn.NLLLoss()(out.view(-1, out.size(-1)), y.view(-1))
    loss.backward()
    eo.step()
    do.step()
    print(loss.item())
with torch.no_grad():
    print(dec(*enc(x)).topk(1)[1].squeeze().tolist())
