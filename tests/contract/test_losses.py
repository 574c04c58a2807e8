"""PyTorch's losses: reductions, weights, ignored targets, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

Lib = Any
NAN = math.nan
LOG3 = math.log(3)


@pytest.fixture
def F(lib: Lib) -> Any:
    return lib.nn.functional


def near(expected: Any) -> Any:
    return pytest.approx(expected, rel=1e-5, abs=1e-6, nan_ok=True)


# -- cross entropy ------------------------------------------------------------------------------

ROWS = [[1.0, 2.0, 3.0], [1.0, 0.0, 1.0], [0.5, 0.0, -1.0]]
# -log softmax of each
COSTS = [[2.407606, 1.407606, 0.407606], [0.861995, 1.861995, 0.861995],
         [0.604131, 1.104131, 2.104131]]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "loss"),
    [
        ({}, (0.407606 + 0.861995 + 1.104131) / 3),
        ({"reduction": "sum"}, 0.407606 + 0.861995 + 1.104131),
        ({"reduction": "none"}, [0.407606, 0.861995, 1.104131]),
        ({"weight": [1.0, 2.0, 3.0]}, (3 * 0.407606 + 0.861995 + 2 * 1.104131) / 6),
        ({"ignore_index": 0}, (0.407606 + 1.104131) / 2),
        ({"ignore_index": 0, "reduction": "none"}, [0.407606, 0.0, 1.104131]),
        ({"weight": [1.0, 2.0, 3.0], "ignore_index": 0}, (3 * 0.407606 + 2 * 1.104131) / 5),
    ],
)
def test_cross_entropy_of_classes(lib: Lib, F: Any, options: Any, loss: Any) -> None:
    options = {k: lib.tensor(v) if k == "weight" else v for k, v in options.items()}
    found = F.cross_entropy(lib.tensor(ROWS), lib.tensor([2, 0, 1]), **options)
    assert found.tolist() == near(loss)
    log = F.log_softmax(lib.tensor(ROWS), 1)
    assert F.nll_loss(log, lib.tensor([2, 0, 1]), **options).tolist() == near(loss)


def test_cross_entropy_is_nll_of_log_softmax_to_the_bit(lib: Lib, F: Any) -> None:
    lib.manual_seed(1)
    x, y = lib.randn(7, 5), lib.arange(7) % 5
    assert F.cross_entropy(x, y).item() == F.nll_loss(F.log_softmax(x, 1), y).item()


def test_label_smoothing_spreads_over_all_classes(lib: Lib, F: Any) -> None:
    x, target, e = lib.tensor(ROWS), lib.tensor([2, 0, 1]), 0.3
    costs = np.array(COSTS)
    rows = (1 - e) * costs[[0, 1, 2], [2, 0, 1]] + e / 3 * costs.sum(1)
    smoothed = F.cross_entropy(x, target, label_smoothing=e, reduction="none")
    assert smoothed.tolist() == near(rows.tolist())
    weight = np.array([1.0, 2.0, 3.0])
    rows = (1 - e) * (costs * weight)[[0, 1, 2], [2, 0, 1]] + e / 3 * (costs * weight).sum(1)
    found = F.cross_entropy(x, target, lib.tensor(weight.tolist()), label_smoothing=e)
    assert found.item() == near(rows.sum() / 6)
    found = F.cross_entropy(x, target, label_smoothing=e, ignore_index=0)
    assert found.item() == near(
        ((1 - e) * (costs[0, 2] + costs[2, 1]) + e / 3 * costs[[0, 2]].sum()) / 2
    )


def test_probabilities_as_targets_divide_by_the_rows_and_take_gradients(lib: Lib, F: Any) -> None:
    x = lib.tensor(ROWS)
    target = lib.tensor([[0.2, 0.3, 0.5]] * 3, requires_grad=True)
    rows = np.array(COSTS) @ [0.2, 0.3, 0.5]
    loss = F.cross_entropy(x, target)
    assert loss.item() == near(rows.mean())
    loss.backward()
    np.testing.assert_allclose(target.grad.tolist(), np.array(COSTS) / 3, rtol=1e-5)
    weighted = F.cross_entropy(x, target.detach(), lib.tensor([1.0, 2.0, 3.0]))
    assert weighted.item() == near((np.array(COSTS) @ [0.2, 0.6, 1.5]).mean())
    with pytest.raises(RuntimeError, match="ignore_index is not supported for floating point tar"):
        F.cross_entropy(x, target.detach(), ignore_index=1)


def test_shapes_of_cross_entropy(lib: Lib, F: Any) -> None:
    assert F.cross_entropy(lib.zeros(3), lib.tensor(1)).item() == near(LOG3)
    assert F.cross_entropy(lib.zeros(2, 3, 4, 5), lib.zeros(2, 4, 5).long()).item() == near(LOG3)
    assert F.cross_entropy(lib.zeros(2, 3), lib.zeros(2, dtype=lib.uint8)).item() == near(LOG3)
    assert F.nll_loss(lib.zeros(3), lib.tensor(1)).item() == 0


def test_nothing_to_average_is_nan_and_its_sum_zero(lib: Lib, F: Any) -> None:
    x, ignored = lib.zeros(2, 3), lib.tensor([-100, -100])
    assert F.cross_entropy(x, ignored).item() == near(NAN)
    assert F.cross_entropy(x, ignored, reduction="sum").item() == 0
    nothing = lib.zeros(0, dtype=lib.int64)
    assert F.cross_entropy(lib.zeros(0, 3), nothing).item() == near(NAN)
    assert F.cross_entropy(lib.zeros(0, 3), nothing, reduction="sum").item() == 0


def test_the_gradient_of_cross_entropy_is_probability_minus_target(lib: Lib, F: Any) -> None:
    x = lib.tensor(ROWS, requires_grad=True)
    F.cross_entropy(x, lib.tensor([2, 0, 1])).backward()
    expected = (np.exp(-np.array(COSTS)) - np.eye(3)[[2, 0, 1]]) / 3
    np.testing.assert_allclose(x.grad.tolist(), expected, atol=1e-6)


REFUSED = {
    "int32": (lambda lib, F: F.cross_entropy(lib.zeros(2, 3), lib.tensor([0, 1]).int()),
              RuntimeError, "expected .*Long"),
    "out of range": (lambda lib, F: F.cross_entropy(lib.zeros(1, 3), lib.tensor([3])),
                     IndexError, r"Target 3 is out of bounds\."),
    "negative": (lambda lib, F: F.cross_entropy(lib.zeros(1, 3), lib.tensor([-1])),
                 IndexError, r"Target -1 is out of bounds\."),
    "another batch": (lambda lib, F: F.cross_entropy(lib.zeros(2, 3), lib.tensor([0])),
                      ValueError, r"Expected input batch_size \(2\) to match target batch"),
    "reduction": (lambda lib, F: F.cross_entropy(lib.zeros(1, 3), lib.tensor([0]), reduction="x"),
                  ValueError, "x is not a valid value for reduction"),
    "bce above 1": (lambda lib, F: F.binary_cross_entropy(lib.tensor([1.5]), lib.ones(1)),
                    RuntimeError, "all elements of input should be between 0 and 1"),
    "bce target above 1": (
        lambda lib, F: F.binary_cross_entropy(lib.tensor([0.5]), lib.tensor([1.5])),
        RuntimeError, "all elements of target should be between 0 and 1"),
    "bce sizes": (lambda lib, F: F.binary_cross_entropy(lib.ones(2), lib.ones(1)),
                  ValueError, "Using a target size"),
    "bce integer target": (lambda lib, F: F.binary_cross_entropy(lib.ones(1), lib.tensor([1])),
                           RuntimeError, "Found dtype Long but expected Float"),
    "logits sizes": (
        lambda lib, F: F.binary_cross_entropy_with_logits(lib.ones(2, 1), lib.ones(2)),
        ValueError, "Target size .* must be the same as input size"),
    "beta": (lambda lib, F: F.smooth_l1_loss(lib.ones(1), lib.ones(1), beta=-1.0),
             RuntimeError, "does not support negative values for beta"),
    "delta": (lambda lib, F: F.huber_loss(lib.ones(1), lib.ones(1), delta=0.0),
              RuntimeError, "does not support non-positive values for delta"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused(lib: Lib, F: Any, name: str) -> None:
    call, error, words = REFUSED[name]
    with pytest.raises(error, match=words):
        call(lib, F)


# -- binary cross entropy -----------------------------------------------------------------------


def test_bce_clamps_logarithms_and_gradients(lib: Lib, F: Any) -> None:
    p = lib.tensor([0.0, 1.0], requires_grad=True)
    loss = F.binary_cross_entropy(p, lib.tensor([1.0, 0.0]), reduction="none")
    assert loss.tolist() == [100.0, 100.0]
    loss.sum().backward()
    np.testing.assert_allclose(p.grad.tolist(), [-1e12, 1e12], rtol=1e-6)


def test_bce_of_logits_is_finite_and_its_gradient_a_difference(lib: Lib, F: Any) -> None:
    x, y = lib.tensor([1000.0, -1000.0, 0.0], requires_grad=True), lib.tensor([0.0, 1.0, 1.0])
    F.binary_cross_entropy_with_logits(x, y, reduction="sum").backward()
    assert x.grad.tolist() == [1.0, -1.0, -0.5]
    loss = F.binary_cross_entropy_with_logits(x, y, reduction="none")
    assert loss.tolist() == near([1000.0, 1000.0, math.log(2)])


def test_weights_of_bce(lib: Lib, F: Any) -> None:
    x, y = lib.zeros(2), lib.tensor([1.0, 0.0])
    one = math.log(2)
    loss = F.binary_cross_entropy_with_logits
    assert loss(x, y, pos_weight=lib.tensor(3.0)).item() == near((3 * one + one) / 2)
    assert loss(x, y, weight=lib.tensor([2.0, 4.0])).item() == near((2 + 4) * one / 2)
    half = lib.full((2,), 0.5)
    assert F.binary_cross_entropy(half, y, weight=lib.tensor([2.0, 4.0])).item() == near(3 * one)


# -- distances ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"])
def test_distances_broadcast_and_warn(lib: Lib, F: Any, name: str) -> None:
    with pytest.warns(UserWarning, match="that is different to the input size"):
        loss = getattr(F, name)(lib.zeros(3, 1), lib.full((2,), 2.0), reduction="none")
    assert loss.shape == (3, 2)


def test_shapes_of_distances(lib: Lib, F: Any) -> None:
    x, y = lib.tensor([0.0, 0.25, 3.0], requires_grad=True), lib.zeros(3)
    F.l1_loss(x, y, reduction="sum").backward()
    assert x.grad.tolist() == [0.0, 1.0, 1.0]
    d = x.detach()
    none = {"reduction": "none"}
    assert F.mse_loss(d, y, **none).tolist() == [0.0, 0.0625, 9.0]
    assert F.smooth_l1_loss(d, y, beta=0.5, **none).tolist() == [0.0, 0.0625, 2.75]
    assert F.smooth_l1_loss(d, y, beta=0.0, **none).tolist() == [0.0, 0.25, 3.0]
    assert F.huber_loss(d, y, delta=2.0, **none).tolist() == [0.0, 0.03125, 4.0]


def test_kl_divergence(lib: Lib, F: Any) -> None:
    log_q = lib.tensor([[0.5, 0.5], [0.5, 0.5]]).log()
    p = lib.tensor([[1.0, 0.0], [0.25, 0.75]])
    total = math.log(2) + 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    assert F.kl_div(log_q, p, reduction="sum").item() == near(total)
    assert F.kl_div(log_q, p, reduction="batchmean").item() == near(total / 2)
    with pytest.warns(UserWarning, match="'batchmean'|batchmean"):
        assert F.kl_div(log_q, p, reduction="mean").item() == near(total / 4)
    log_p = p.clamp(min=1e-30).log()
    assert F.kl_div(log_q, log_p, reduction="sum", log_target=True).item() == near(total)


def test_the_old_arguments_of_reduction_are_warned_of(lib: Lib) -> None:
    with pytest.warns(UserWarning, match="size_average and reduce args will be deprecated"):
        loss = lib.nn.MSELoss(size_average=False)
    assert loss(lib.zeros(2), lib.ones(2)).item() == 2.0


LAYERS = ["CrossEntropyLoss", "NLLLoss", "BCELoss", "BCEWithLogitsLoss", "MSELoss", "L1Loss",
          "SmoothL1Loss", "HuberLoss", "KLDivLoss"]  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_losses_are_modules_with_a_reduction(lib: Lib, name: str) -> None:
    loss = getattr(lib.nn, name)(reduction="sum")
    assert loss.reduction == "sum"
    assert repr(loss) == f"{name}()"
    assert list(loss.parameters()) == []
