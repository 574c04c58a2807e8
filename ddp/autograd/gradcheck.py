"""Are the gradients right? Analytical against numerical, in float64.

`gradcheck` compares every entry of the Jacobian, or with `fast_mode` one random direction per
input and output (the idea of HIPS/autograd's `check_vjp`): for a direction v in the input and a
weighting u of the output, u · J v by central differences must equal (Jᵀ u) · v by backward.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ddp.autograd.grad_mode import no_grad
from ddp.autograd.gradients import grad
from ddp.autograd.node import Array
from ddp.autograd.tensor import Tensor, wrap

Func = Callable[..., Any]


class GradcheckError(RuntimeError):
    """The analytical gradient is not the numerical one."""


def gradcheck(
    func: Func,
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    fast_mode: bool = False,
) -> bool:
    """Whether `func(*inputs)` has the gradients that differences of width 2·eps give.

    `inputs` are float64 tensors; those that require grad are checked against every floating
    output. Raises GradcheckError, naming output and input, unless `raise_exception` is False;
    ValueError if no input requires grad.
    """
    arguments = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    wanted = _differentiable_inputs(arguments)
    check = _check_direction if fast_mode else _check_jacobian
    try:
        for output_nr in range(len(_outputs(func, arguments))):
            for index in wanted:
                check(func, arguments, output_nr, index, eps, atol, rtol)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _differentiable_inputs(arguments: Sequence[Any]) -> list[int]:
    wanted = [i for i, a in enumerate(arguments) if isinstance(a, Tensor) and a.requires_grad]
    if not wanted:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of the "
            "them have requires_grad=True."
        )
    if any(arguments[i].dtype != np.float64 for i in wanted):
        warnings.warn(
            "gradcheck: an input requires gradient and is not of double precision: differences "
            "will be too coarse and the check will likely fail.",
            UserWarning,
            stacklevel=3,
        )
    return wanted


def _outputs(func: Func, arguments: Sequence[Any]) -> list[Tensor]:
    """The floating outputs of `func`."""
    answer = func(*arguments)
    candidates = answer if isinstance(answer, tuple) else (answer,)
    return [t for t in candidates if isinstance(t, Tensor) and t.is_floating_point()]


def _check_jacobian(
    func: Func,
    arguments: Sequence[Any],
    output_nr: int,
    index: int,
    eps: float,
    atol: float,
    rtol: float,
) -> None:
    """Compare all entries; rows are outputs, columns inputs."""
    x = arguments[index].array
    columns = [
        _difference(func, arguments, output_nr, index, _unit(x, i), eps) for i in range(x.size)
    ]
    y_size = _outputs(func, arguments)[output_nr].array.size
    numerical = np.array(columns).reshape(x.size, y_size).T
    rows = [_pulled_back(func, arguments, output_nr, index, u) for u in np.eye(y_size)]
    analytical = np.array(rows).reshape(y_size, x.size)
    if not np.allclose(analytical, numerical, rtol, atol):
        raise GradcheckError(
            f"Jacobian mismatch for output {output_nr} with respect to input {index},\n"
            f"numerical:{numerical}\nanalytical:{analytical}\n"
        )


def _check_direction(
    func: Func,
    arguments: Sequence[Any],
    output_nr: int,
    index: int,
    eps: float,
    atol: float,
    rtol: float,
) -> None:
    """Compare u · J v with (Jᵀ u) · v for one fixed pseudo-random pair."""
    random = np.random.default_rng(output_nr * 1000 + index)
    x = arguments[index].array
    v = random.standard_normal(x.shape)
    u = random.standard_normal(_outputs(func, arguments)[output_nr].array.size)
    numerical = float(u @ _difference(func, arguments, output_nr, index, v, eps))
    analytical = float(np.vdot(_pulled_back(func, arguments, output_nr, index, u), v))
    if not np.isclose(analytical, numerical, rtol, atol):
        raise GradcheckError(
            f"Gradient mismatch along a random direction for output {output_nr} with respect to "
            f"input {index}, numerical: {numerical}, analytical: {analytical}"
        )


def _unit(x: Array, i: int) -> Array:
    unit = np.zeros(x.size)
    unit[i] = 1
    return unit.reshape(x.shape)


def _difference(
    func: Func, arguments: Sequence[Any], output_nr: int, index: int, v: Array, eps: float
) -> Array:
    """(f(x + eps·v) - f(x - eps·v)) / 2eps, flattened."""
    x = arguments[index].array
    above, below = (
        _value_at(func, arguments, output_nr, index, x + step * v) for step in (eps, -eps)
    )
    return (above - below) / (2 * eps)


def _value_at(func: Func, arguments: Sequence[Any], output_nr: int, index: int, x: Array) -> Array:
    moved = list(arguments)
    moved[index] = wrap(x.astype(arguments[index].dtype))
    with no_grad():
        return _outputs(func, moved)[output_nr].array.reshape(-1).astype(np.float64)


def _pulled_back(
    func: Func, arguments: Sequence[Any], output_nr: int, index: int, u: Array
) -> Array:
    """Jᵀ u, flattened; zeros where the output does not depend on the input."""
    y = _outputs(func, arguments)[output_nr]
    if not y.requires_grad:
        return np.zeros(arguments[index].array.size)
    seed = wrap(u.reshape(y.shape).astype(y.dtype))
    (dx,) = grad(y, arguments[index], seed, materialize_grads=True)
    assert dx is not None
    return dx.array.reshape(-1)
