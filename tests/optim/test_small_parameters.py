"""Small parameters are updated together, large ones in pieces: nobody can tell from the bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from ddp import optim
from ddp.autograd.tensor import Tensor
from ddp.optim.elementwise import MANY, SMALL, ElementwiseOptimizer
from ddp.optim.pieces import PIECE_ELEMENTS

Array = np.ndarray[Any, np.dtype[Any]]
Make = Callable[[Sequence[Tensor]], ElementwiseOptimizer]

OPTIMIZERS: dict[str, Make] = {
    "sgd": lambda params: optim.SGD(params, lr=0.1),
    "plain": lambda params: optim.SGD(params, 0.1, 0.9),
    "momentum": lambda params: optim.SGD(params, 0.1, 0.9, dampening=0.2, weight_decay=0.1),
    "nesterov": lambda params: optim.SGD(params, 0.1, 0.9, nesterov=True, maximize=True),
    "adam": lambda params: optim.Adam(params, amsgrad=True, weight_decay=0.1),
    "adamw": lambda params: optim.AdamW(params, weight_decay=0.1),
    "rmsprop": lambda params: optim.RMSprop(params, momentum=0.9, centered=True),
    "adagrad": lambda params: optim.Adagrad(params, lr_decay=0.1),
    "adadelta": lambda params: optim.Adadelta(params, weight_decay=0.1),
    "adamax": lambda params: optim.Adamax(params),
    "nadam": lambda params: optim.NAdam(params, decoupled_weight_decay=True, weight_decay=0.1),
    "radam": lambda params: optim.RAdam(params),
    "asgd": lambda params: optim.ASGD(params, t0=1.0),
    "rprop": lambda params: optim.Rprop(params),
}
SHAPES = [(), (1,), (3, 4), (5,), (2, 3, 4, 5), (0,), (7, 1), (33,), (2, 2), (SMALL,), (SMALL + 1,)]
assert len(SHAPES) > MANY


def draw(seed: int, shape: tuple[int, ...]) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def parameters() -> list[Tensor]:
    params = [Tensor(draw(seed, shape)) for seed, shape in enumerate(SHAPES)]
    last = Tensor(draw(99, (2, 5, 4, 3)).transpose(0, 3, 1, 2))  # as convolutions lie in memory
    return [*params, last]


def give_gradients(params: Sequence[Tensor], step: int) -> None:
    """One parameter after the other sits out a step, so that their steps are counted apart."""
    for number, param in enumerate(params):
        idle = step > 0 and number == step
        gradient = np.asarray(draw(1000 * step + number, param.shape))
        param.grad = None if idle else Tensor(gradient)


def train(optimizers: Sequence[ElementwiseOptimizer], params: Sequence[Tensor]) -> None:
    for step in range(4):
        give_gradients(params, step)
        for optimizer in optimizers:
            optimizer.step()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_parameters_updated_together_get_the_bits_of_each_alone(name: str) -> None:
    together, apart = parameters(), parameters()
    one = OPTIMIZERS[name](together)
    many = [OPTIMIZERS[name]([param]) for param in apart]
    train([one], together)
    train(many, apart)
    for param, own, alone in zip(together, apart, many, strict=True):
        np.testing.assert_array_equal(param.array, own.array)
        assert one.state[param].keys() == alone.state[own].keys()
        for key, value in one.state[param].items():
            np.testing.assert_array_equal(value.array, alone.state[own][key].array)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_parameter_cut_into_pieces_gets_the_bits_of_its_parts(name: str) -> None:
    values, gradient = draw(1, (2 * PIECE_ELEMENTS + 5,)), draw(2, (2 * PIECE_ELEMENTS + 5,))
    whole = Tensor(values.copy())
    whole.grad = Tensor(gradient)
    OPTIMIZERS[name]([whole]).step()
    cut = PIECE_ELEMENTS - 3
    parts = [Tensor(values[:cut].copy()), Tensor(values[cut:].copy())]
    parts[0].grad, parts[1].grad = Tensor(gradient[:cut]), Tensor(gradient[cut:])
    OPTIMIZERS[name](parts).step()
    np.testing.assert_array_equal(whole.array, np.concatenate([part.array for part in parts]))


def test_plain_momentum_has_the_bits_of_the_formula_it_is_a_case_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    large = [Tensor(draw(5, (PIECE_ELEMENTS + 3,))), Tensor(draw(6, (400, 300)).T)]
    params = [*parameters(), *large]
    others = [Tensor(param.array.copy("K")) for param in params]
    train([optim.SGD(params, 0.1, 0.9)], params)
    monkeypatch.setattr(optim.SGD, "_is_plain", lambda self, group: False)
    train([optim.SGD(others, 0.1, 0.9)], others)
    for param, other in zip(params, others, strict=True):
        np.testing.assert_array_equal(param.array, other.array)


def test_parameters_that_share_memory_see_what_is_done_to_each_other() -> None:
    params = parameters()[:MANY]
    tied = params[2]
    params.append(Tensor(tied.array[1]))  # the second row, once more
    start = tied.array.copy()
    for param in params:
        param.grad = Tensor(np.ones_like(param.array))
    optim.SGD(params, lr=0.5).step()
    expected = start - np.float32(0.5)
    expected[1] -= np.float32(0.5)
    np.testing.assert_array_equal(tied.array, expected)


def test_state_that_was_loaded_goes_on_with_the_same_bits() -> None:
    params, others = parameters(), parameters()
    optimizer, other = optim.AdamW(params), optim.AdamW(others)
    train([optimizer], params)
    for param, copy in zip(params, others, strict=True):
        copy.array[...] = param.array
    other.load_state_dict(optimizer.state_dict())
    train([optimizer], params)
    train([other], others)
    for param, copy in zip(params, others, strict=True):
        np.testing.assert_array_equal(param.array, copy.array)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_gradient_factor_is_as_good_as_gradients_multiplied_before(name: str) -> None:
    params, others = parameters(), parameters()
    give_gradients(params, 0)
    give_gradients(others, 0)
    kept = [np.array(param.grad.array) for param in params if param.grad is not None]
    for param in others:
        assert param.grad is not None
        param.grad.array *= np.float32(0.3)
    optimizer = OPTIMIZERS[name](params)
    optimizer.gradient_factor = 0.3
    optimizer.step()
    OPTIMIZERS[name](others).step()
    for param, other, gradient in zip(params, others, kept, strict=True):
        assert param.grad is not None
        np.testing.assert_array_equal(param.array, other.array)
        np.testing.assert_array_equal(param.grad.array, gradient)
