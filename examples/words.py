"""A language model over words, LSTM, GRU or transformer, as a PyTorch program.

The text is the language reference that comes with Python.

python examples/words.py --model LSTM --epochs 3
"""

import argparse
import math
import re
import time
from pydoc_data.topics import topics

import ddp as torch
import ddp.nn as nn
import ddp.nn.functional as F


class Corpus:
    """Words and their numbers; `train` and `valid` are the text as tensors of numbers."""

    def __init__(self, words, length):
        text = " ".join(text for _, text in sorted(topics.items()))
        tokens = re.findall(r"\w+|[^\w\s]", text.lower())[:length]
        known = sorted(set(tokens), key=lambda word: (-tokens.count(word), word))[: words - 1]
        self.words = ["<unk>", *known]
        number = {word: index for index, word in enumerate(self.words)}
        ids = torch.tensor([number.get(token, 0) for token in tokens], dtype=torch.int64)
        self.train, self.valid = ids[: len(ids) * 9 // 10], ids[len(ids) * 9 // 10 :]


class RNNModel(nn.Module):
    """Words (T, N) and hidden state → log-probabilities (T·N, words) and hidden state."""

    def __init__(self, rnn_type, words, width, layers, dropout=0.5, tie_weights=False):
        super().__init__()
        self.words, self.width, self.layers, self.rnn_type = words, width, layers, rnn_type
        self.drop = nn.Dropout(dropout)
        self.encoder = nn.Embedding(words, width)
        self.rnn = getattr(nn, rnn_type)(width, width, layers, dropout=dropout)
        self.decoder = nn.Linear(width, words)
        if tie_weights:
            self.decoder.weight = self.encoder.weight
        self.init_weights()

    def init_weights(self):
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)
        nn.init.uniform_(self.decoder.weight, -0.1, 0.1)

    def forward(self, input, hidden):
        embedded = self.drop(self.encoder(input))
        output, hidden = self.rnn(embedded, hidden)
        decoded = self.decoder(self.drop(output)).view(-1, self.words)
        return F.log_softmax(decoded, dim=1), hidden

    def init_hidden(self, batch):
        weight = next(self.parameters())
        zeros = weight.new_zeros(self.layers, batch, self.width)
        return (zeros, zeros.clone()) if self.rnn_type == "LSTM" else zeros


class PositionalEncoding(nn.Module):
    """Adds sines and cosines of the position, one pair of columns per frequency."""

    def __init__(self, width, dropout=0.1, max_len=500):
        super().__init__()
        self.dropout = nn.Dropout(p=dropout)
        pe = torch.zeros(max_len, width)
        position = torch.arange(0, max_len, dtype=torch.float).unsqueeze(1)
        frequency = torch.exp(torch.arange(0, width, 2).float() * (-math.log(10000.0) / width))
        pe[:, 0::2] = torch.sin(position * frequency)
        pe[:, 1::2] = torch.cos(position * frequency)
        self.register_buffer("pe", pe.unsqueeze(0).transpose(0, 1))

    def forward(self, x):
        return self.dropout(x + self.pe[: x.size(0), :])


class TransformerModel(nn.Module):
    """Words (T, N) → log-probabilities (T·N, words), each position seeing those before it."""

    def __init__(self, words, width, heads, layers, dropout=0.5):
        super().__init__()
        self.words, self.width = words, width
        self.pos_encoder = PositionalEncoding(width, dropout)
        layer = nn.TransformerEncoderLayer(width, heads, 2 * width, dropout)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.input_emb = nn.Embedding(words, width)
        self.decoder = nn.Linear(width, words)

    def forward(self, src):
        mask = torch.log(torch.tril(torch.ones(len(src), len(src))))
        x = self.pos_encoder(self.input_emb(src) * math.sqrt(self.width))
        output = self.decoder(self.encoder(x, mask=mask))
        return F.log_softmax(output, dim=-1).view(-1, self.words)


def batchify(data, batch):
    """One long column of words becomes `batch` columns; what is left over is cut off."""
    columns = data.size(0) // batch
    return data.narrow(0, 0, columns * batch).view(batch, -1).t().contiguous()


def get_batch(source, i, bptt):
    length = min(bptt, len(source) - 1 - i)
    return source[i : i + length], source[i + 1 : i + 1 + length].view(-1)


def repackage_hidden(hidden):
    """Cut the hidden state off from its history."""
    if isinstance(hidden, torch.Tensor):
        return hidden.detach()
    return tuple(repackage_hidden(state) for state in hidden)


def run(model, source, args, lr=None):
    """The mean loss over `source`; with a learning rate, train along the way."""
    total = 0.0
    hidden = model.init_hidden(source.size(1)) if isinstance(model, RNNModel) else None
    for i in range(0, source.size(0) - 1, args.bptt):
        data, targets = get_batch(source, i, args.bptt)
        if lr:
            model.zero_grad()
        if hidden is None:
            output = model(data)
        else:
            output, hidden = model(data, repackage_hidden(hidden))
        loss = F.nll_loss(output, targets)
        if lr:
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), args.clip)
            for p in model.parameters():
                p.data.add_(p.grad, alpha=-lr)
        total += len(data) * loss.item()
    return total / (len(source) - 1)


def generate(model, corpus, count):
    """A sequence of words, each drawn from what the model expects after the ones before."""
    model.eval()
    words, hidden = torch.randint(corpus.train.size(0), (1, 1)) % len(corpus.words), None
    if isinstance(model, RNNModel):
        hidden = model.init_hidden(1)
    said = []
    with torch.no_grad():
        for _ in range(count):
            if hidden is None:
                output = model(words)
            else:
                output, hidden = model(words[-1:], hidden)
            weights = output[-1].squeeze().exp().cpu()
            chosen = torch.multinomial(weights, 1)[0]
            words = torch.cat([words, chosen.view(1, 1)], 0)
            said.append(corpus.words[chosen])
    return " ".join(said)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="LSTM", help="LSTM, GRU, RNN_TANH or Transformer")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--heads", type=int, default=2)
    parser.add_argument("--lr", type=float, default=20.0)
    parser.add_argument("--clip", type=float, default=0.25)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=20)
    parser.add_argument("--bptt", type=int, default=35, help="words per piece")
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--tied", action="store_true", help="one matrix to read and to say words")
    parser.add_argument("--seed", type=int, default=1111)
    parser.add_argument("--words", type=int, default=2000, help="how many words are known")
    parser.add_argument("--length", type=int, default=100_000, help="words of text")
    args = parser.parse_args(argv)

    torch.manual_seed(args.seed)
    corpus = Corpus(args.words, args.length)
    train_data, valid_data = batchify(corpus.train, args.batch_size), batchify(corpus.valid, 10)
    words = len(corpus.words)
    if args.model == "Transformer":
        model = TransformerModel(words, args.width, args.heads, args.layers, args.dropout)
    else:
        model = RNNModel(args.model, words, args.width, args.layers, args.dropout, args.tied)

    lr, best = args.lr, None
    for epoch in range(1, args.epochs + 1):
        start = time.time()
        model.train()
        loss = run(model, train_data, args, lr)
        model.eval()
        with torch.no_grad():
            valid = run(model, valid_data, args)
        print(
            f"epoch {epoch} | loss {loss:.5f} | valid loss {valid:.5f} | perplexity "
            f"{math.exp(valid):.3f}"
        )
        print(f"[{time.time() - start:.1f} s]")
        if best is None or valid < best:
            best = valid
        else:
            lr /= 4.0
    print(generate(model, corpus, 20))


if __name__ == "__main__":
    main()
