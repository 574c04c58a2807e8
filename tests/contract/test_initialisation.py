"""PyTorch's initial values, and the stream of random numbers that they consume.

The numbers of one seed stand here as PyTorch printed them, so that the default run, which has no
PyTorch, still compares with it; the first and the last value of a tensor and its sum tell any
other order of drawing.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

Lib = Any


def within(tensor: Any, bound: float) -> bool:
    """Whether the values fill (-bound, bound)."""
    return bool(0.8 * bound < tensor.abs().max().item() <= bound)


def test_layers_draw_the_weight_before_the_bias_within_one_over_root_fan_in(lib: Lib) -> None:
    nn = lib.nn
    for layer, fan_in in [
        (nn.Linear(64, 32), 64),
        (nn.Conv2d(4, 32, 3), 4 * 9),
        (nn.Conv2d(8, 32, 3, groups=2), 4 * 9),
        (nn.Conv1d(8, 32, 5), 8 * 5),
    ]:
        assert within(layer.weight, 1 / math.sqrt(fan_in))
        assert within(layer.bias, 1 / math.sqrt(fan_in))
    lib.manual_seed(3)
    layer = nn.Linear(5, 4)
    lib.manual_seed(3)
    bound = 1 / math.sqrt(5)
    assert layer.weight.tolist() == lib.empty(4, 5).uniform_(-bound, bound).tolist()
    assert layer.bias.tolist() == lib.empty(4).uniform_(-bound, bound).tolist()


def test_the_blitz_network_starts_from_pytorchs_values(lib: Lib) -> None:
    nn = lib.nn
    lib.manual_seed(123)
    layers = [nn.Conv2d(3, 6, 5), nn.Conv2d(6, 16, 5), nn.Linear(400, 120), nn.Linear(120, 84),
              nn.Linear(84, 10)]  # fmt: skip
    ends = [(p.flatten()[0].item(), p.flatten()[-1].item()) for x in layers for p in x.parameters()]
    assert ends == BLITZ


BLITZ = [  # the first and the last value of each
    (-0.04708592966198921, 0.031235743314027786),
    (-0.029591873288154602, 0.07545353472232819),
    (-0.03278224915266037, 0.015678908675909042),
    (-0.05402463302016258, -0.0006504927296191454),
    (-0.04814855009317398, 0.03691326454281807),
    (0.04595017433166504, -0.04922007396817207),
    (-0.007265775464475155, -0.017598522827029228),
    (-0.03499392792582512, 0.020770475268363953),
    (0.10887797176837921, -0.06667719036340714),
    (-0.05648281052708626, -0.08138144016265869),
]


def test_embeddings_are_normal_and_the_padding_row_zero(lib: Lib) -> None:
    table = lib.nn.Embedding(200, 50, padding_idx=7).weight
    assert abs(table.mean().item()) < 0.05
    assert table.std().item() == pytest.approx(1, abs=0.05)
    assert table[7].abs().sum().item() == 0


def test_normalisation_starts_as_the_identity(lib: Lib) -> None:
    nn = lib.nn
    norm = nn.BatchNorm2d(3)
    for layer in (norm, nn.LayerNorm(3), nn.GroupNorm(1, 3)):
        assert (layer.weight.tolist(), layer.bias.tolist()) == ([1.0] * 3, [0.0] * 3)
    assert (norm.running_mean.tolist(), norm.running_var.tolist()) == ([0.0] * 3, [1.0] * 3)
    count = norm.num_batches_tracked
    assert (count.dtype, count.shape, count.item()) == (lib.int64, (), 0)


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_recurrent_layers_draw_everything_within_one_over_root_hidden(lib: Lib, kind: str) -> None:
    layer = getattr(lib.nn, kind)(4, 64, 2)
    assert all(within(p, 1 / 8) for p in layer.parameters())


def test_attention_starts_from_xavier_and_zeros(lib: Lib) -> None:
    layer = lib.nn.MultiheadAttention(32, 4)
    assert within(layer.in_proj_weight, math.sqrt(6 / (32 + 96)))
    assert within(layer.out_proj.weight, 1 / math.sqrt(32))
    assert layer.in_proj_bias.abs().sum().item() == layer.out_proj.bias.abs().sum().item() == 0


@pytest.mark.parametrize(
    ("arguments", "gain"),
    [
        (("linear",), 1),
        (("conv2d",), 1),
        (("sigmoid",), 1),
        (("tanh",), 5 / 3),
        (("relu",), math.sqrt(2)),
        (("leaky_relu",), math.sqrt(2 / (1 + 0.01**2))),
        (("leaky_relu", 0.2), math.sqrt(2 / 1.04)),
        (("selu",), 3 / 4),
    ],
)
def test_the_gain_of_a_nonlinearity(lib: Lib, arguments: Any, gain: float) -> None:
    assert lib.nn.init.calculate_gain(*arguments) == pytest.approx(gain)


BOUNDED = [
    ("uniform_", {}, None),
    ("xavier_uniform_", {}, math.sqrt(6 / 96)),
    ("xavier_uniform_", {"gain": 2.0}, 2 * math.sqrt(6 / 96)),
    ("kaiming_uniform_", {}, math.sqrt(6 / 64)),
    ("kaiming_uniform_", {"a": math.sqrt(5)}, 1 / 8),
    ("kaiming_uniform_", {"mode": "fan_out", "nonlinearity": "relu"}, math.sqrt(6 / 32)),
]
NORMAL = [
    ("normal_", {"mean": 0.0, "std": 0.3}, 0.3),
    ("trunc_normal_", {"std": 0.3}, 0.3),
    ("xavier_normal_", {}, math.sqrt(2 / 96)),
    ("kaiming_normal_", {}, math.sqrt(2 / 64)),
    ("kaiming_normal_", {"mode": "fan_out"}, math.sqrt(2 / 32)),
]


@pytest.mark.parametrize(("name", "arguments", "bound"), BOUNDED)
def test_uniform_initial_values(lib: Lib, name: str, arguments: Any, bound: float | None) -> None:
    weight = lib.empty(32, 64)
    assert getattr(lib.nn.init, name)(weight, **arguments) is weight
    assert within(weight, bound) if bound else 0 <= weight.min().item() < weight.max().item() <= 1


@pytest.mark.parametrize(("name", "arguments", "std"), NORMAL)
def test_normal_initial_values(lib: Lib, name: str, arguments: Any, std: float) -> None:
    weight = lib.empty(32, 64)
    getattr(lib.nn.init, name)(weight, **arguments)
    assert abs(weight.mean().item()) < 0.1 * std
    assert weight.std().item() == pytest.approx(std, rel=0.1)


def test_constant_and_structured_initial_values(lib: Lib) -> None:
    init = lib.nn.init
    assert init.constant_(lib.empty(2), 3.0).tolist() == [3.0, 3.0]
    assert (init.ones_(lib.empty(1)).item(), init.zeros_(lib.empty(1)).item()) == (1.0, 0.0)
    assert init.eye_(lib.empty(2, 3)).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    x = lib.arange(2.0 * 3 * 4).view(1, 2, 3, 4)
    kept = lib.nn.functional.conv2d(x, init.dirac_(lib.empty(2, 2, 3, 3)), padding=1)
    assert kept.tolist() == x.tolist()
    rows = init.orthogonal_(lib.empty(4, 6))
    np.testing.assert_allclose((rows @ rows.T).tolist(), np.eye(4), atol=1e-5)
    sparse = init.sparse_(lib.empty(20, 5), sparsity=0.3)
    assert (sparse == 0).sum(0).tolist() == [6] * 5


# -- the stream ---------------------------------------------------------------------------------

STREAM: dict[str, Any] = {
    "rand": (lambda t: t.rand(3), [0.88226926, 0.91500396, 0.38286376]),
    "rand float64": (lambda t: t.rand(2, dtype=t.float64), [0.058154486, 0.062910167]),
    "uniform_": (lambda t: t.empty(3).uniform_(-2, 5), [4.1758847, 4.4050279, 0.68004632]),
    "randint": (lambda t: t.randint(10, (6,)), [2, 7, 6, 4, 6, 5]),
    "randint of a range": (lambda t: t.randint(-5, 1000, (4,)), [367, 537, 11, 779]),
    "randperm": (lambda t: t.randperm(8), [6, 3, 0, 7, 2, 1, 4, 5]),
    "random_": (
        lambda t: t.empty(2, dtype=t.int64).random_(),
        [6909045637428952499, 8314211556539077902],
    ),
    "bernoulli_": (lambda t: t.empty(12).bernoulli_(0.3), [1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0]),
    "bernoulli": (lambda t: t.bernoulli(t.full((12,), 0.3)), [0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0]),
    "dropout": (
        lambda t: t.nn.functional.dropout(t.ones(12), 0.5),
        [2, 2, 2, 2, 0, 2, 0, 0, 2, 2, 2, 2],
    ),
    "multinomial": (lambda t: t.multinomial(t.tensor([1.0, 2.0, 3.0, 4.0]), 3), [3, 1, 2]),
    "multinomial again and again": (
        lambda t: t.multinomial(t.tensor([1.0, 2.0, 3.0, 4.0]), 5, replacement=True),
        [0, 0, 1, 0, 2],
    ),
    "randn of 3": (lambda t: t.randn(3), [0.33669037, 0.12880941, 0.23446237]),
    "randn of 20": (
        lambda t: t.randn(20)[[0, 7, 8, 15, 16, 19]],
        [1.9269153, 1.6806206, 0.35585991, 0.85985851, -0.30972677, -0.62159538],
    ),
    "exponential_": (lambda t: t.empty(3).exponential_(), [0.059914015, 0.064976126, 0.13191678]),
    "shuffle": (
        lambda t: t.cat(list(t.utils.data.DataLoader(t.arange(9), batch_size=4, shuffle=True))),
        [1, 6, 7, 4, 5, 3, 0, 8, 2],
    ),
}


@pytest.mark.parametrize("name", STREAM)
def test_a_seed_gives_pytorchs_numbers(lib: Lib, name: str) -> None:
    function, expected = STREAM[name]
    lib.manual_seed(42)
    np.testing.assert_allclose(function(lib).tolist(), expected, rtol=1e-6)


def test_only_the_low_32_bits_of_a_seed_count(lib: Lib) -> None:
    lib.manual_seed(7 + (5 << 32))
    first = lib.rand(2).tolist()
    lib.manual_seed(7)
    assert lib.rand(2).tolist() == first
