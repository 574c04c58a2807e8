"""A small GPT: nanoGPT's model (github.com/karpathy/nanoGPT, `model.py`), its names and its start.

    tokens (N, T) -> wte + wpe -> drop -> n_layer blocks -> ln_f -> lm_head -> logits (N, T, V)
    block: x + attn(ln_1(x)), then x + mlp(ln_2(x))

Pre-norm blocks, learned positions, GELU, causal attention. From one seed the weights are
nanoGPT's; so are the names, with which its checkpoints load. The initial standard deviation is
0.02, and 0.02 / sqrt(2 · n_layer) where a block adds to the residual stream (GPT-2, section 2.3).

Shapes: N sequences, T tokens, C = n_embd features, H = n_head heads, V = vocab_size.

Left out: the loss inside `forward` (it is `token_loss` here), a cache of keys and values.
"""

from __future__ import annotations

import math

import numpy as np

from ddp.autograd.grad_mode import no_grad
from ddp.autograd.ops.join import cat
from ddp.autograd.ops.sampling import multinomial
from ddp.autograd.random import RandomSource
from ddp.autograd.tensor import Tensor
from ddp.models.weights import load_weights
from ddp.nn import functional as F
from ddp.nn import init
from ddp.nn.activations import GELU
from ddp.nn.containers import ModuleDict, ModuleList
from ddp.nn.embedding import Embedding
from ddp.nn.layernorm import LayerNorm
from ddp.nn.layers import Dropout, Linear
from ddp.nn.module import Module

INIT_STD = 0.02


class CausalSelfAttention(Module):
    """Every position looks at itself and at those before it: (N, T, C) → (N, T, C)."""

    def __init__(self, n_embd: int, n_head: int, dropout: float, bias: bool) -> None:
        super().__init__()
        if n_embd % n_head:
            raise ValueError(f"expected n_embd to be a multiple of n_head, got {n_embd}, {n_head}")
        self.c_attn = Linear(n_embd, 3 * n_embd, bias=bias)
        self.c_proj = Linear(n_embd, n_embd, bias=bias)
        self.resid_dropout = Dropout(dropout)
        self.n_head = n_head
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, C) → (N, T, C)."""
        n, t, c = x.shape
        query, key, value = (
            part.view(n, t, self.n_head, c // self.n_head).transpose(1, 2)  # (N, H, T, C/H)
            for part in self.c_attn(x).split(c, dim=2)
        )
        dropout = self.dropout if self.training else 0.0
        heads = F.scaled_dot_product_attention(query, key, value, None, dropout, is_causal=True)
        joined = heads.transpose(1, 2).reshape(n, t, c)
        result: Tensor = self.resid_dropout(self.c_proj(joined))
        return result


class MLP(Module):
    """Each position by itself, through 4·C features: (N, T, C) → (N, T, C)."""

    def __init__(self, n_embd: int, dropout: float, bias: bool, gelu: str) -> None:
        super().__init__()
        self.c_fc = Linear(n_embd, 4 * n_embd, bias=bias)
        self.gelu = GELU(gelu)
        self.c_proj = Linear(4 * n_embd, n_embd, bias=bias)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, C) → (N, T, C)."""
        result: Tensor = self.dropout(self.c_proj(self.gelu(self.c_fc(x))))
        return result


class Block(Module):
    """Attention, then the MLP, each added to what comes in: (N, T, C) → (N, T, C)."""

    def __init__(self, n_embd: int, n_head: int, dropout: float, bias: bool, gelu: str) -> None:
        super().__init__()
        self.ln_1 = LayerNorm(n_embd, bias=bias)
        self.attn = CausalSelfAttention(n_embd, n_head, dropout, bias)
        self.ln_2 = LayerNorm(n_embd, bias=bias)
        self.mlp = MLP(n_embd, dropout, bias, gelu)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, C) → (N, T, C)."""
        x = x + self.attn(self.ln_1(x))
        result: Tensor = x + self.mlp(self.ln_2(x))
        return result


class GPT(Module):
    """Tokens (N, T), T ≤ block_size, as integers → logits (N, T, vocab_size).

    `tied`: the head shares its weight with the token embedding. `gelu`: "none" is exact, "tanh"
    is GPT-2's approximation. `bias`: in the linear layers and layer norms; the head has none.
    `weights`: the path of a state dict, see `ddp.models.weights`.
    """

    def __init__(
        self,
        vocab_size: int,
        block_size: int,
        n_layer: int = 4,
        n_head: int = 4,
        n_embd: int = 128,
        dropout: float = 0.0,
        bias: bool = True,
        tied: bool = True,
        gelu: str = "none",
        weights: str | None = None,
    ) -> None:
        super().__init__()
        self.block_size = block_size
        blocks = [Block(n_embd, n_head, dropout, bias, gelu) for _ in range(n_layer)]
        self.transformer = ModuleDict(
            {
                "wte": Embedding(vocab_size, n_embd),
                "wpe": Embedding(block_size, n_embd),
                "drop": Dropout(dropout),
                "h": ModuleList(blocks),
                "ln_f": LayerNorm(n_embd, bias=bias),
            }
        )
        self.lm_head = Linear(n_embd, vocab_size, bias=False)
        if tied:
            self.transformer["wte"].weight = self.lm_head.weight
        self.apply(_initialise)
        for name, parameter in self.named_parameters():
            if name.endswith("c_proj.weight"):
                init.normal_(parameter, std=INIT_STD / math.sqrt(2 * n_layer))
        load_weights(self, weights)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, T) → (N, T, vocab_size): at each position, the logits of the token after it."""
        t = tokens.shape[1]
        if t > self.block_size:
            raise ValueError(
                f"expected at most block_size = {self.block_size} tokens in a sequence, got {t}"
            )
        parts = self.transformer
        positions = Tensor(np.arange(t, dtype=np.int64))
        x = parts["drop"](parts["wte"](tokens) + parts["wpe"](positions))
        for block in parts["h"]:
            x = block(x)
        logits: Tensor = self.lm_head(parts["ln_f"](x))
        return logits

    def generate(
        self,
        tokens: Tensor,
        max_new_tokens: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        generator: RandomSource | None = None,
    ) -> Tensor:
        """Continue (N, T) tokens, one drawn after another: (N, T + max_new_tokens).

        `temperature` below 1 prefers the likelier tokens; `top_k` allows only the k likeliest.
        The mode, train or eval, is the caller's. From one seed nanoGPT draws the same tokens.
        """
        with no_grad():
            for _ in range(max_new_tokens):
                logits = self(tokens[:, -self.block_size :])[:, -1] / temperature
                if top_k is not None:
                    logits = keep_largest(logits, top_k)
                following = multinomial(F.softmax(logits, -1), 1, generator=generator)
                tokens = cat([tokens, following], 1)
        return tokens


def _initialise(module: Module) -> None:
    if isinstance(module, Linear | Embedding):
        init.normal_(module.weight, std=INIT_STD)
    if isinstance(module, Linear) and module.bias is not None:
        init.zeros_(module.bias)


def token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy over all tokens: logits (N, T, V), targets (N, T) → one number."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def keep_largest(logits: Tensor, count: int) -> Tensor:
    """The logits (N, V) with all but the `count` largest of each row at -inf."""
    least = np.sort(logits.array, axis=1)[:, -min(count, logits.shape[1])]
    return logits.masked_fill(Tensor(logits.array < least[:, np.newaxis]), -math.inf)
