"""The element-wise optimizers: golden values of PyTorch, cuts, resuming, state keys."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ddp.autograd.tensor import Tensor
from ddp.nn.parameter import Parameter
from ddp.optim import ASGD, Adadelta, Adagrad, Adamax, NAdam, RAdam, RMSprop, Rprop
from tests.optim.test_optimizers import parameter, set_grads

Case = tuple[Any, dict[str, Any], list[float]]

# Three steps from p = [1, 2], [3] with gradients 1, 2, 3 at lr 0.1: the first element of the first
# parameter after each, from PyTorch 2.13.
GOLDEN: list[Case] = [
    (RMSprop, {}, [5.960464e-08, -0.8953229, -1.698827]),
    (RMSprop, {"centered": True, "momentum": 0.9}, [-0.005037799, -1.813025, -4.254155]),
    (Adagrad, {}, [0.9, 0.8105572, 0.7303789]),
    (
        Adagrad,
        {"lr_decay": 0.5, "initial_accumulator_value": 1.0},
        [0.9292893, 0.8748562, 0.8361264],
    ),
    (Adadelta, {}, [0.9996838, 0.9992797, 0.9987928]),
    (Adadelta, {"rho": 0.5, "weight_decay": 0.5}, [0.9998586, 0.9996744, 0.9994528]),
    (Adamax, {}, [0.9, 0.8236842, 0.7546805]),
    (Adamax, {"weight_decay": 0.5}, [0.9, 0.8183673, 0.7444495]),
    (NAdam, {}, [0.8943548, 0.7980601, 0.7018802]),
    (
        NAdam,
        {"weight_decay": 0.5, "decoupled_weight_decay": True},
        [0.8443548, 0.7058423, 0.5743703],
    ),
    (RAdam, {}, [0.9, 0.7473684, 0.5403573]),
    (RAdam, {"betas": (0.5, 0.6), "weight_decay": 0.5}, [0.85, 0.6383334, 0.3579524]),
    (ASGD, {}, [0.89999, 0.6999825, 0.3999799]),
    (ASGD, {"lambd": 0.5, "t0": 0}, [0.85, 0.6162133, 0.3082244]),
    (Rprop, {}, [0.9, 0.78, 0.636]),
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
        assert params[0].array[0] == pytest.approx(value, abs=1e-6)
        assert all(param.dtype == np.float32 for param in params)


@pytest.mark.parametrize(("kind", "arguments", "expected"), GOLDEN)
def test_the_bits_do_not_depend_on_how_a_parameter_is_cut(
    kind: Any, arguments: dict[str, Any], expected: list[float]
) -> None:
    size = 33_000
    rng = np.random.default_rng(0)
    start = rng.standard_normal(size).astype(np.float32)
    gradients = rng.standard_normal((7, size)).astype(np.float32)

    def run(borders: list[int]) -> np.ndarray[Any, Any]:
        memory = start.copy()
        parts = [slice(a, b) for a, b in zip([0, *borders], [*borders, size], strict=True)]
        params = [Parameter(Tensor(memory[part])) for part in parts]
        optimizer = kind(params, lr=0.1, **arguments)
        for gradient in gradients:
            for param, part in zip(params, parts, strict=True):
                param.grad = Tensor(gradient[part])
            optimizer.step()
        return memory

    whole = run([])
    assert (run([1, 17, 16_384, 16_385, 32_999]) == whole).all()
    assert np.isfinite(whole).all()
    assert (whole != start).mean() > 0.99


@pytest.mark.parametrize(("kind", "arguments", "expected"), GOLDEN)
def test_a_loaded_state_continues_the_same_bits(
    kind: Any, arguments: dict[str, Any], expected: list[float]
) -> None:
    params = [parameter(1, 2), parameter(3)]
    optimizer = kind(params, lr=0.1, **arguments)
    set_grads(params, 1)
    optimizer.step()
    others = [parameter(*param.array.tolist()) for param in params]
    resumed = kind(others, lr=99.0)
    resumed.load_state_dict(optimizer.state_dict())
    for value in (2, -3, 1):
        for pair in (params, others):
            set_grads(pair, value)
        optimizer.step()
        resumed.step()
    for param, other in zip(params, others, strict=True):
        assert (param.array == other.array).all()


KEYS: list[tuple[Any, dict[str, Any], list[str]]] = [
    (RMSprop, {}, ["step", "square_avg"]),
    (
        RMSprop,
        {"momentum": 0.9, "centered": True},
        ["step", "square_avg", "momentum_buffer", "grad_avg"],
    ),
    (Adagrad, {}, ["step", "sum"]),
    (Adadelta, {}, ["step", "square_avg", "acc_delta"]),
    (Adamax, {}, ["step", "exp_avg", "exp_inf"]),
    (NAdam, {}, ["step", "mu_product", "exp_avg", "exp_avg_sq"]),
    (RAdam, {}, ["step", "exp_avg", "exp_avg_sq"]),
    (ASGD, {}, ["step", "eta", "mu", "ax"]),
    (Rprop, {}, ["step", "prev", "step_size"]),
]


@pytest.mark.parametrize(("kind", "arguments", "keys"), KEYS)
def test_state_has_pytorchs_keys_in_float32(
    kind: Any, arguments: dict[str, Any], keys: list[str]
) -> None:
    p = parameter(1, 2)
    optimizer = kind([p], **arguments)
    set_grads([p], 1)
    optimizer.step()
    state = optimizer.state_dict()["state"][0]
    assert list(state) == keys
    assert {value.dtype for value in state.values()} == {np.dtype(np.float32)}
    assert (state["step"].shape, state["step"].item()) == ((), 1)


def test_adagrad_has_its_state_from_the_start() -> None:
    p = parameter(1, 2)
    optimizer = Adagrad([p], initial_accumulator_value=0.5)
    assert optimizer.state[p]["sum"].tolist() == [0.5, 0.5]
    assert optimizer.state[p]["step"].item() == 0


def test_rprop_rests_where_the_gradient_turned() -> None:
    p = parameter(1)
    optimizer = Rprop([p], lr=0.1)
    for gradient in (1, -1):
        set_grads([p], gradient)
        optimizer.step()
    assert p.array[0] == np.float32(0.9)
    assert optimizer.state[p]["step_size"].item() == pytest.approx(0.05)
    assert optimizer.state[p]["prev"].item() == 0


REFUSED: list[tuple[Any, str]] = [
    (lambda p: Adadelta(p, rho=1.5), "Invalid rho value: 1.5"),
    (lambda p: Rprop(p, etas=(1.5, 2.0)), "Invalid eta values: 1.5, 2.0"),
    (lambda p: NAdam(p, momentum_decay=-1.0), "Invalid momentum_decay value: -1.0"),
    (lambda p: RAdam(p, betas=(1.0, 0.9)), "Invalid beta parameter at index 0: 1.0"),
    (lambda p: RMSprop(p, lr=-1.0), "Invalid learning rate: -1.0"),
]


@pytest.mark.parametrize(("build", "words"), REFUSED)
def test_what_cannot_be_is_refused(build: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build([parameter(1)])
