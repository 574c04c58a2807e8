"""Optimizers: golden values of PyTorch, groups, state, and bits that do not depend on cuts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ddp import optim
from ddp.autograd.grad_mode import no_grad
from ddp.autograd.tensor import Tensor
from ddp.nn.parameter import Parameter
from ddp.optim import SGD, Adam, AdamW, Optimizer


def parameter(*values: float) -> Parameter:
    return Parameter(Tensor(np.array(values, np.float32)))


def set_grads(params: list[Parameter], value: float) -> None:
    for param in params:
        param.grad = Tensor(np.full(param.shape, value, np.float32))


# Three steps from p = [1, 2], [3] with gradients 1, 2, 3 at lr 0.1: the first element of the first
# parameter after each, from PyTorch 2.13.
GOLDEN: list[tuple[type[Optimizer], dict[str, Any], list[float]]] = [
    (SGD, {"momentum": 0.9}, [0.9, 0.61, 0.048999]),
    (SGD, {"momentum": 0.9, "dampening": 0.5}, [0.9, 0.71, 0.389]),
    (
        SGD,
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
        [0.791, 0.306871, -0.517557],
    ),
    (Adam, {}, [0.9, 0.803482, 0.707682]),
    (AdamW, {"weight_decay": 0.5}, [0.85, 0.710982, 0.579633]),
    (Adam, {"weight_decay": 0.5, "amsgrad": True}, [0.9, 0.801553, 0.70365]),
]


@pytest.mark.parametrize(("kind", "arguments", "expected"), GOLDEN)
def test_three_steps_give_the_golden_values(
    kind: Any, arguments: dict[str, Any], expected: list[float]
) -> None:
    params = [parameter(1, 2), parameter(3)]
    optimizer = kind(params, lr=0.1, **arguments)
    for gradient, value in zip((1, 2, 3), expected, strict=True):
        set_grads(params, gradient)
        optimizer.step()
        assert params[0].array[0] == pytest.approx(value, abs=2e-6)
        assert all(param.dtype == np.float32 for param in params)


def test_maximize_negates_before_weight_decay_is_added() -> None:
    p = parameter(1)
    set_grads([p], 1)
    SGD([p], lr=0.1, weight_decay=0.1, maximize=True).step()
    assert p.array[0] == pytest.approx(1.09)


CUTS: list[tuple[type[Optimizer], dict[str, Any]]] = [
    (SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    (SGD, {"momentum": 0.9, "dampening": 0.3, "maximize": True}),
    (Adam, {"weight_decay": 0.1, "amsgrad": True}),
    (AdamW, {}),
]


@pytest.mark.parametrize(("kind", "arguments"), CUTS)
def test_the_bits_do_not_depend_on_how_a_parameter_is_cut(
    kind: Any, arguments: dict[str, Any]
) -> None:
    size = 40_000
    rng = np.random.default_rng(0)
    start = rng.standard_normal(size).astype(np.float32)
    gradients = rng.standard_normal((3, size)).astype(np.float32)

    def run(borders: list[int], strided: bool = False) -> np.ndarray[Any, Any]:
        memory = start.copy()
        if strided:  # no flat view exists: another path through the pieces
            memory = np.repeat(start, 2)[::2]
        parts = [slice(a, b) for a, b in zip([0, *borders], [*borders, size], strict=True)]
        params = [Parameter(Tensor(memory[part])) for part in parts]
        optimizer = kind(params, lr=0.1, **arguments)
        for gradient in gradients:
            for param, part in zip(params, parts, strict=True):
                param.grad = Tensor(gradient[part])
            optimizer.step()
        return memory

    whole = run([])
    assert (run([1, 17, 16_384, 16_385, 32_768, 39_999]) == whole).all()
    assert (run([20_000], strided=True) == whole).all()
    assert not (whole == start).any()


def test_a_parameter_without_gradient_is_passed_over_entirely() -> None:
    trained, frozen = parameter(1), parameter(1)
    optimizer = AdamW([trained, frozen], lr=0.1)
    set_grads([trained], 1)
    optimizer.step()
    assert frozen.array[0] == 1
    assert list(optimizer.state) == [trained]


def test_sgd_without_momentum_keeps_no_state() -> None:
    p = parameter(1)
    optimizer = SGD([p], lr=0.1)
    set_grads([p], 1)
    optimizer.step()
    assert optimizer.state_dict()["state"] == {}


def test_step_counts_are_zero_dimensional_float32_tensors() -> None:
    p = parameter(1)
    optimizer = Adam([p])
    for _ in range(3):
        set_grads([p], 1)
        optimizer.step()
    step = optimizer.state[p]["step"]
    assert (step.shape, step.dtype, step.item()) == ((), np.float32, 3)


def test_a_step_counts_as_an_in_place_change() -> None:
    p = parameter(2)
    loss = (p * p).sum()
    set_grads([p], 1)
    SGD([p], lr=0.1).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_step_returns_what_the_closure_returned() -> None:
    p = parameter(1)
    optimizer = SGD([p], lr=0.1)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 1
    assert p.array[0] == pytest.approx(0.8)
    assert optimizer.step() is None


def test_zero_grad_forgets_or_zeroes_in_place() -> None:
    p = parameter(1)
    optimizer = SGD([p], lr=0.1)
    set_grads([p], 1)
    assert p.grad is not None
    memory = p.grad.array
    optimizer.zero_grad(set_to_none=False)
    assert p.grad is not None
    assert p.grad.array is memory
    assert p.grad.array[0] == 0
    optimizer.zero_grad()
    assert p.grad is None


def test_groups_have_their_own_hyper_parameters() -> None:
    a, b = parameter(1), parameter(1)
    optimizer = SGD([{"params": [a], "lr": 0.5}, {"params": b}], lr=0.1)
    set_grads([a, b], 1)
    optimizer.step()
    assert (a.array[0], b.array[0]) == (np.float32(0.5), np.float32(0.9))
    optimizer.param_groups[1]["lr"] = 0.0
    set_grads([a, b], 1)
    optimizer.step()
    assert b.array[0] == np.float32(0.9)


def test_named_parameters_leave_their_names_in_the_group() -> None:
    optimizer = SGD([("w", parameter(1)), ("b", parameter(2))], lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["w", "b"]


@pytest.mark.parametrize(
    ("kind", "arguments"), [(SGD, {"momentum": 0.9}), (Adam, {}), (AdamW, {"amsgrad": True})]
)
def test_a_loaded_state_continues_the_same_bits(kind: Any, arguments: dict[str, Any]) -> None:
    params = [parameter(1, 2), parameter(3)]
    optimizer = kind(params, lr=0.1, **arguments)
    set_grads(params, 1)
    optimizer.step()
    others = [parameter(*param.array.tolist()) for param in params]
    resumed = kind(others, lr=99.0)
    resumed.load_state_dict(optimizer.state_dict())
    for value in (2, 3):
        for pair in (params, others):
            set_grads(pair, value)
        optimizer.step()
        resumed.step()
    for param, other in zip(params, others, strict=True):
        assert (param.array == other.array).all()


def test_state_dict_numbers_parameters_across_groups() -> None:
    a, b, c = parameter(1), parameter(2), parameter(3)
    optimizer = SGD([{"params": [a, b]}, {"params": [c]}], lr=0.1, momentum=0.9)
    set_grads([c], 1)
    optimizer.step()
    saved = optimizer.state_dict()
    assert [group["params"] for group in saved["param_groups"]] == [[0, 1], [2]]
    assert list(saved["state"]) == [2]


def test_loading_casts_state_to_the_parameters_dtype() -> None:
    wide = Parameter(Tensor(np.ones(2)))
    source = Adam([wide])
    wide.grad = Tensor(np.ones(2))
    source.step()
    target = Adam([parameter(1, 1)])
    target.load_state_dict(source.state_dict())
    state = target.state[target.param_groups[0]["params"][0]]
    assert {key: value.dtype for key, value in state.items()} == {
        "step": np.float32,
        "exp_avg": np.float32,
        "exp_avg_sq": np.float32,
    }


REFUSED: list[tuple[Any, type[Exception], str]] = [
    (lambda: SGD([]), ValueError, "optimizer got an empty parameter list"),
    (lambda: SGD(parameter(1)), TypeError, "should be an iterable of Tensors"),
    (lambda: SGD({parameter(1)}), TypeError, "ordered collections"),
    (lambda: SGD([1.0]), TypeError, "can only optimize Tensors"),
    (lambda: SGD([parameter(1) * 2]), ValueError, "can't optimize a non-leaf Tensor"),
    (lambda: SGD([parameter(1)], lr=-1), ValueError, "Invalid learning rate: -1"),
    (lambda: SGD([parameter(1)], lr=float("nan")), ValueError, "Invalid learning rate: nan"),
    (lambda: SGD([parameter(1)], momentum=-1), ValueError, "Invalid momentum value: -1"),
    (lambda: SGD([parameter(1)], weight_decay=-1), ValueError, "Invalid weight_decay value: -1"),
    (lambda: SGD([parameter(1)], nesterov=True), ValueError, "Nesterov momentum requires"),
    (lambda: Adam([parameter(1)], eps=-1), ValueError, "Invalid epsilon value: -1"),
    (lambda: Adam([parameter(1)], betas=(0.9, 1.0)), ValueError, "parameter at index 1: 1.0"),
]


@pytest.mark.parametrize(("build", "error", "words"), REFUSED)
def test_what_cannot_be_is_refused(build: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        build()


def test_a_parameter_in_two_groups_is_refused_and_twice_in_one_warned_of() -> None:
    p = parameter(1)
    with pytest.raises(ValueError, match="appear in more than one parameter group"):
        SGD([{"params": [p]}, {"params": [p]}])
    with pytest.warns(UserWarning, match="duplicate parameters"):
        SGD([p, p])


def test_a_state_dict_of_other_groups_is_refused() -> None:
    one = SGD([parameter(1)])
    with pytest.raises(ValueError, match="different number of parameter groups"):
        one.load_state_dict(SGD([{"params": [parameter(1)]}, {"params": []}]).state_dict())
    with pytest.raises(ValueError, match="doesn't match the size of optimizer's group"):
        one.load_state_dict(SGD([parameter(1), parameter(2)]).state_dict())


@pytest.mark.parametrize("name", ["Adafactor", "Muon", "SparseAdam", "swa_utils"])
def test_an_optimizer_that_is_not_there_says_what_to_take_instead(name: str) -> None:
    assert not hasattr(optim, name)
    with pytest.raises(AttributeError, match=rf"^ddp\.optim has no '{name}': ."):
        getattr(optim, name)


def test_an_average_of_weights_is_a_line_under_no_grad() -> None:
    param = Tensor(np.array([1.0, 2.0], np.float32), requires_grad=True)
    average = param.detach().clone()
    with no_grad():
        param.mul_(3)
        average.lerp_(param, 0.25)
    np.testing.assert_array_equal(average.array, [1.5, 3.0])
