"""What a character GPT writes: for the end of a run, `after = "ddp.models.writing:sample"`."""

from __future__ import annotations

import numpy as np

from ddp.autograd.random import PhiloxGenerator
from ddp.autograd.tensor import Tensor
from ddp.data.text import decode, encode
from ddp.models.gpt import GPT
from ddp.nn.module import Module

CHARACTERS = 400
SEED = 0  # of the drawing: the same weights always write the same
START = "\n"


def sample(model: Module) -> str:
    """Text that `model`, a GPT over `ddp.data.text.VOCABULARY`, writes after a newline."""
    if not isinstance(model, GPT):
        raise TypeError(f"expected a ddp.models.GPT, got a {type(model).__name__}")
    start = Tensor(encode(START).astype(np.int64)[np.newaxis])
    written = model.generate(
        start, CHARACTERS, temperature=0.8, top_k=40, generator=PhiloxGenerator(SEED)
    )
    return f"a sample of what it writes:\n{decode(written.array[0, len(START) :])}"
