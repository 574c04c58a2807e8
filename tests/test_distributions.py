"""Distributions: samples, probabilities, entropies and divergences are PyTorch's."""

from __future__ import annotations

import importlib
import math
from typing import Any

import pytest

from tests.helpers.libraries import LIBRARIES

BOTH = [LIBRARIES[0], pytest.param(LIBRARIES[1], marks=pytest.mark.oracle)]


@pytest.fixture(params=BOTH)
def lib(request: pytest.FixtureRequest) -> Any:
    importlib.import_module(f"{request.param}.distributions")
    library = importlib.import_module(request.param)
    library.manual_seed(3)
    return library


def test_samples_of_a_seed(lib: Any) -> None:
    d, t = lib.distributions, lib.tensor
    assert d.Categorical(t([1.0, 2.0, 7.0])).sample((6,)).tolist() == [0, 1, 2, 1, 2, 2]
    rows = d.Categorical(logits=t([[0.0, 1.0], [3.0, 0.0]]))
    assert rows.sample((3,)).tolist() == [[0, 0], [1, 0], [1, 0]]
    assert rows.sample().shape == (2,)
    assert d.Bernoulli(t([0.2, 0.5, 0.9])).sample((2,)).tolist() == [[1, 1, 1], [0, 1, 1]]
    drawn = d.Normal(t([0.0, 10.0]), 2.0).sample().tolist()
    assert drawn == pytest.approx([2.0460026, 12.1046848], rel=1e-5)
    assert not d.Normal(0.0, lib.ones(1, requires_grad=True)).sample().requires_grad


def test_a_policy_learns_by_its_log_probabilities(lib: Any) -> None:
    logits = lib.tensor([[0.0, 1.0, -1.0], [2.0, 0.0, 0.0]], requires_grad=True)
    policy = lib.distributions.Categorical(logits=logits)
    chosen = policy.log_prob(lib.tensor([1, 0]))
    expected = [[math.exp(x) for x in row] for row in logits.tolist()]
    probabilities = [row[i] / sum(row) for row, i in zip(expected, (1, 0), strict=True)]
    assert chosen.tolist() == pytest.approx([math.log(p) for p in probabilities])
    (chosen * lib.tensor([1.0, 0.0]) + policy.entropy() * 0).sum().backward()
    assert logits.grad[0].tolist() == pytest.approx(
        [-x / sum(expected[0]) + (i == 1) for i, x in enumerate(expected[0])], abs=1e-6
    )
    by_probs = lib.distributions.Categorical(lib.tensor([2.0, 2.0]))
    assert by_probs.probs.tolist() == [0.5, 0.5]
    assert by_probs.entropy().item() == pytest.approx(math.log(2))
    assert by_probs.log_prob(lib.tensor([[0], [1]])).shape == (2, 1)


def test_a_normal_distribution(lib: Any) -> None:
    loc, scale = lib.tensor(1.0, requires_grad=True), lib.tensor([2.0, 3.0], requires_grad=True)
    normal = lib.distributions.Normal(loc, scale)
    assert normal.log_prob(lib.tensor(2.0)).tolist() == pytest.approx([-1.737086, -2.0731065])
    assert normal.entropy().tolist() == pytest.approx([2.112086, 2.517551])
    assert (normal.mean.tolist(), normal.variance.tolist()) == ([1.0, 1.0], [4.0, 9.0])
    normal.rsample((5,)).sum().backward()
    assert loc.grad.item() == 10.0
    assert scale.grad.abs().min().item() > 0


def test_a_coin(lib: Any) -> None:
    for coin in (
        lib.distributions.Bernoulli(0.25),
        lib.distributions.Bernoulli(logits=lib.tensor(math.log(1 / 3))),
    ):
        found = [coin.log_prob(lib.tensor(x)).item() for x in (1.0, 0.0)]
        assert found == pytest.approx([math.log(0.25), math.log(0.75)], abs=1e-6)
        assert coin.entropy().item() == pytest.approx(0.5623351)
    extreme = lib.distributions.Bernoulli(logits=lib.tensor([-200.0, 200.0]))
    assert extreme.log_prob(lib.tensor([1.0, 0.0])).tolist() == [-200.0, -200.0]


def test_divergences(lib: Any) -> None:
    d, kl = lib.distributions, lib.distributions.kl_divergence
    assert kl(d.Normal(1.0, 2.0), d.Normal(0.0, 1.0)).item() == pytest.approx(1.3068528)
    p, q = d.Categorical(lib.tensor([0.5, 0.5])), d.Categorical(lib.tensor([0.25, 0.75]))
    assert kl(p, q).item() == pytest.approx(0.1438410)
    with pytest.raises(NotImplementedError, match=r"No KL\(p \|\| q\) is implemented for p type"):
        kl(p, d.Normal(0.0, 1.0))


def test_what_cannot_be_is_refused(lib: Any) -> None:
    d, t = lib.distributions, lib.tensor
    for make, words in [
        (lambda: d.Categorical(), "Either `probs` or `logits` must be specified"),
        (lambda: d.Categorical(t([1.0]), t([1.0])), "Either `probs` or `logits` must be spec"),
        (lambda: d.Categorical(t([-1.0, 2.0])), r"Expected parameter probs \(Tensor of shape \(2"),
        (lambda: d.Categorical(t(1.0)), "must be at least one-dimensional"),
        (lambda: d.Bernoulli(1.5), "Expected parameter probs"),
        (lambda: d.Normal(0.0, -1.0), r"Expected parameter scale \(Tensor of shape \(\)"),
        (lambda: d.Categorical(t([1.0, 1.0])).log_prob(t(5)), "to be within the support"),
        (lambda: d.Bernoulli(0.5).log_prob(t(0.5)), r"support \(Boolean\(\)\)"),
        (lambda: d.Normal(0.0, 1.0).log_prob(t(math.nan)), r"support \(Real\(\)\)"),
    ]:
        with pytest.raises(ValueError, match=words):
            make()


def test_they_print_their_parameters(lib: Any) -> None:
    d = lib.distributions
    for name in ("probs", "logits"):
        text = repr(d.Categorical(**{name: lib.tensor([1.0, 1.0])}))
        assert text.replace("torch.", "ddp.") == f"Categorical({name}: ddp.Size([2]))"
    assert repr(d.Normal(0.0, 1.0)) == "Normal(loc: 0.0, scale: 1.0)"
