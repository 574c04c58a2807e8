"""The GPT: what it may look at, what it starts from, what it writes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ddp.autograd.random import PhiloxGenerator, manual_seed
from ddp.autograd.tensor import Tensor
from ddp.models import GPT, token_loss
from ddp.models.gpt import keep_largest
from ddp.optim.adam import AdamW

SMALL: dict[str, Any] = {"vocab_size": 11, "block_size": 8, "n_layer": 2, "n_head": 2, "n_embd": 8}


def small(**changes: Any) -> GPT:
    manual_seed(1)
    return GPT(**SMALL | changes)


def tokens(*shape: int) -> Tensor:
    return Tensor(np.random.default_rng(0).integers(0, SMALL["vocab_size"], shape))


def test_names_are_nanogpts() -> None:
    block = [
        *("ln_1.weight", "ln_1.bias"),
        *("attn.c_attn.weight", "attn.c_attn.bias", "attn.c_proj.weight", "attn.c_proj.bias"),
        *("ln_2.weight", "ln_2.bias"),
        *("mlp.c_fc.weight", "mlp.c_fc.bias", "mlp.c_proj.weight", "mlp.c_proj.bias"),
    ]
    assert list(small().state_dict()) == [
        "transformer.wte.weight",
        "transformer.wpe.weight",
        *[f"transformer.h.{n}.{name}" for n in range(2) for name in block],
        *("transformer.ln_f.weight", "transformer.ln_f.bias", "lm_head.weight"),
    ]


def test_a_position_sees_nothing_that_comes_after_it() -> None:
    model = small().eval()
    before = tokens(1, 8)
    after = Tensor(before.array.copy())
    after.array[0, 5:] = (after.array[0, 5:] + 1) % SMALL["vocab_size"]
    first, second = model(before).array, model(after).array
    np.testing.assert_array_equal(first[:, :5], second[:, :5])
    assert (first[:, 5:] != second[:, 5:]).any(axis=-1).all()


def test_the_head_is_tied_to_the_embedding_unless_told_otherwise() -> None:
    tied, untied = small(), small(tied=False)
    assert tied.lm_head.weight is tied.transformer["wte"].weight
    assert untied.lm_head.weight is not untied.transformer["wte"].weight
    sizes = [sum(p.numel() for p in model.parameters()) for model in (untied, tied)]
    assert sizes[0] - sizes[1] == 11 * 8
    assert untied.lm_head.bias is None


def test_without_biases_there_are_none() -> None:
    assert not [name for name, _ in small(bias=False).named_parameters() if "bias" in name]


def test_initial_weights_have_the_spread_of_gpt2() -> None:
    model = GPT(100, 50, n_layer=8, n_head=2, n_embd=64)
    spread = {name: float(p.array.std()) for name, p in model.named_parameters()}
    assert spread["transformer.h.3.mlp.c_fc.weight"] == pytest.approx(0.02, rel=0.05)
    assert spread["transformer.h.3.mlp.c_proj.weight"] == pytest.approx(0.02 / 4, rel=0.05)
    assert spread["transformer.h.3.mlp.c_fc.bias"] == 0.0


def test_the_first_loss_is_that_of_guessing() -> None:
    loss = token_loss(small()(tokens(4, 8)), tokens(4, 8)).item()
    assert loss == pytest.approx(np.log(11), rel=0.05)


def test_a_sequence_longer_than_the_block_is_refused() -> None:
    with pytest.raises(ValueError, match="at most block_size = 8 tokens in a sequence, got 9"):
        small()(tokens(1, 9))


def test_heads_must_share_the_features_evenly() -> None:
    with pytest.raises(ValueError, match="n_embd to be a multiple of n_head, got 8, 3"):
        small(n_head=3)


def test_it_learns_to_count_and_goes_on_counting() -> None:
    model = small(dropout=0.1)
    optimizer = AdamW(model.parameters(), lr=0.01)
    counting = np.arange(40) % SMALL["vocab_size"]
    for step in range(120):
        starts = np.arange(step, step + 11) % 11
        windows = np.stack([counting[s : s + 9] for s in starts])
        optimizer.zero_grad()
        loss = token_loss(model(Tensor(windows[:, :-1])), Tensor(windows[:, 1:]))
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2
    written = model.eval().generate(Tensor(np.array([[3, 4]])), 12, top_k=1)
    assert written.tolist() == [[(3 + n) % 11 for n in range(14)]]


def test_what_is_written_depends_on_the_generator_alone() -> None:
    model = small().eval()
    start = tokens(2, 3)
    runs = [
        model.generate(start, 10, generator=PhiloxGenerator(seed)).tolist() for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1] != runs[2]
    assert [row[:3] for row in runs[0]] == start.tolist()


def test_only_the_largest_logits_are_kept() -> None:
    logits = Tensor(np.array([[1, 4, 2, 3], [9, 8, 7, 6]], np.float32))
    kept = keep_largest(logits, 2).array
    assert (kept > -np.inf).tolist() == [[False, True, False, True], [True, True, False, False]]
    assert keep_largest(logits, 9).tolist() == logits.tolist()


def test_a_low_temperature_takes_the_likeliest() -> None:
    model = small().eval()
    greedy = model.generate(tokens(1, 4), 5, top_k=1).tolist()
    assert model.generate(tokens(1, 4), 5, temperature=1e-6).tolist() == greedy
