"""Are the gradients right? Analytical against numerical, in float64.

`gradcheck` compares every entry of the Jacobian, or with `fast_mode` one random direction per
input and output (the idea of HIPS/autograd's `check_vjp`): for a direction v in the input and a
weighting u of the output, u · J v by central differences must equal (Jᵀ u) · v by backward.
`gradgradcheck` does the same to the gradients themselves.

Left out: forward-mode derivatives and batched gradients; asking for them is refused.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ddp.autograd.gradients import grad
from ddp.autograd.node import Array
from ddp.autograd.tensor import Tensor, wrap

Func = Callable[..., Any]


class GradcheckError(RuntimeError):
    """The analytical gradient is not the numerical one."""


class _Tolerance(NamedTuple):
    eps: float  # half the width of a difference
    atol: float
    rtol: float
    nondet: float  # by how much two backward passes may differ

    def accepts(self, analytical: Any, numerical: Any) -> bool:
        return np.allclose(analytical, numerical, self.rtol, self.atol)


def gradcheck(
    func: Func,
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Whether `func(*inputs)` has the gradients that differences of width 2·eps give.

    `inputs` are float64 tensors; those that require grad are checked against every floating
    output. Raises GradcheckError, naming output and input, unless `raise_exception` is False;
    ValueError if no input requires grad. `check_undefined_grad` also lets each output alone go
    without a gradient; `check_grad_dtypes` wants gradients of the inputs' dtypes; `masked`, for
    sparse tensors, is accepted and means nothing here.
    """
    _refuse(check_batched_grad, check_batched_forward_grad, check_forward_ad)
    arguments = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    wanted = _differentiable_inputs(arguments)
    tolerance = _Tolerance(eps, atol, rtol, nondet_tol)
    check = _check_direction if fast_mode else _check_jacobian
    try:
        outputs = _outputs(func, arguments)
        for output_nr in range(len(outputs) if check_backward_ad else 0):
            for index in wanted:
                check(func, arguments, output_nr, index, tolerance)
                _check_repetition(func, arguments, output_nr, index, tolerance, check_grad_dtypes)
        if check_undefined_grad and check_backward_ad:
            _check_undefined(func, arguments, wanted)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Func,
    inputs: Tensor | Sequence[Any],
    grad_outputs: Tensor | Sequence[Tensor] | None = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """`gradcheck` of the gradients of `func`, with respect to `inputs` and to `grad_outputs`.

    `grad_outputs`, what backward starts from, are pseudo-random by default.
    """
    _refuse(check_batched_grad, check_fwd_over_rev)
    arguments = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    if grad_outputs is None:
        outputs = _outputs(func, arguments)
        seeds = [_seed_like(y, i, gen_non_contig_grad_outputs) for i, y in enumerate(outputs)]
    else:
        seeds = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)

    def gradients(*values: Any) -> tuple[Tensor, ...]:
        variables, starts = values[: len(arguments)], values[len(arguments) :]
        outputs = _outputs(func, variables)
        leaves = [v for v in variables if isinstance(v, Tensor) and v.requires_grad]
        answers = grad(outputs, leaves, starts, create_graph=True, allow_unused=True)
        return tuple([dx for dx in answers if dx is not None and dx.requires_grad])

    return gradcheck(
        gradients,
        (*arguments, *seeds),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        check_backward_ad=check_rev_over_rev,
        fast_mode=fast_mode,
    )


def _refuse(*asked: bool) -> None:
    if any(asked):
        raise NotImplementedError(
            "ddp has no forward-mode derivatives and no batched gradients, so they cannot be "
            "checked: leave check_batched_grad, check_forward_ad and check_fwd_over_rev False"
        )


def _seed_like(y: Tensor, output_nr: int, spread: bool) -> Tensor:
    """A fixed pseudo-random start for backward; `spread` leaves gaps in its memory."""
    values = np.random.default_rng(output_nr).standard_normal((*y.shape, 2)).astype(y.dtype)
    return Tensor(values[..., 0] if spread else values[..., 0].copy(), requires_grad=True)


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
    """The outputs of `func` that have gradients."""
    answer = func(*arguments)
    candidates = answer if isinstance(answer, (tuple, list)) else (answer,)
    tensors = [t for t in candidates if isinstance(t, Tensor) and t.is_floating_point()]
    return [t for t in tensors if t.requires_grad] or tensors


def _check_jacobian(
    func: Func, arguments: Sequence[Any], output_nr: int, index: int, tolerance: _Tolerance
) -> None:
    """Compare all entries; rows are outputs, columns inputs."""
    x = arguments[index].array
    columns = [
        _difference(func, arguments, output_nr, index, _unit(x, i), tolerance.eps)
        for i in range(x.size)
    ]
    y_size = _outputs(func, arguments)[output_nr].array.size
    numerical = np.array(columns).reshape(x.size, y_size).T
    rows = [_pulled_back(func, arguments, output_nr, index, u).reshape(-1) for u in np.eye(y_size)]
    analytical = np.array(rows).reshape(y_size, x.size)
    if not tolerance.accepts(analytical, numerical):
        raise GradcheckError(
            f"Jacobian mismatch for output {output_nr} with respect to input {index},\n"
            f"numerical:{numerical}\nanalytical:{analytical}\n"
        )


def _check_direction(
    func: Func, arguments: Sequence[Any], output_nr: int, index: int, tolerance: _Tolerance
) -> None:
    """Compare u · J v with (Jᵀ u) · v for one fixed pseudo-random pair."""
    random = np.random.default_rng(output_nr * 1000 + index)
    x = arguments[index].array
    v = random.standard_normal(x.shape)
    u = random.standard_normal(_outputs(func, arguments)[output_nr].array.size)
    numerical = float(u @ _difference(func, arguments, output_nr, index, v, tolerance.eps))
    analytical = float(np.vdot(_pulled_back(func, arguments, output_nr, index, u), v))
    if not tolerance.accepts(analytical, numerical):
        raise GradcheckError(
            f"Gradient mismatch along a random direction for output {output_nr} with respect to "
            f"input {index}, numerical: {numerical}, analytical: {analytical}"
        )


def _check_repetition(
    func: Func,
    arguments: Sequence[Any],
    output_nr: int,
    index: int,
    tolerance: _Tolerance,
    check_dtype: bool,
) -> None:
    """A second backward gives the same, and the gradient is of the input's dtype."""
    u = np.ones(_outputs(func, arguments)[output_nr].array.size)
    first, second = (_pulled_back(func, arguments, output_nr, index, u) for _ in range(2))
    if not np.allclose(first, second, 0.0, tolerance.nondet, equal_nan=True):
        raise GradcheckError(
            "Backward is not reentrant, i.e., running backward with same input and grad_output "
            f"multiple times gives different values, although analytical gradient matches "
            f"numerical gradient. The tolerance for nondeterminism was {tolerance.nondet}."
        )
    if check_dtype and first.dtype != arguments[index].dtype:
        raise GradcheckError(
            f"the gradient of input {index} is of dtype {first.dtype}, the input of dtype "
            f"{arguments[index].dtype}"
        )


def _check_undefined(func: Func, arguments: Sequence[Any], wanted: Sequence[int]) -> None:
    """No output that goes without a gradient may make a backward fail."""
    for output in _outputs(func, arguments):
        if not output.requires_grad:
            continue
        try:
            grad(
                output,
                [arguments[i] for i in wanted],
                wrap(np.zeros_like(output.array)),
                retain_graph=True,
                allow_unused=True,
            )
        except Exception as error:
            raise GradcheckError(
                f"backward fails where some outputs have no gradient: {error}"
            ) from error


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
    moved[index] = Tensor(np.asarray(x, arguments[index].dtype), requires_grad=True)
    return _outputs(func, moved)[output_nr].array.reshape(-1).astype(np.float64)


def _pulled_back(
    func: Func, arguments: Sequence[Any], output_nr: int, index: int, u: Array
) -> Array:
    """Jᵀ u, in the input's shape; zeros where the output does not depend on the input."""
    x, y = arguments[index], _outputs(func, arguments)[output_nr]
    if not y.requires_grad:
        return np.zeros_like(x.array)
    seed = wrap(u.reshape(y.shape).astype(y.dtype))
    (dx,) = grad(y, x, seed, materialize_grads=True)
    assert dx is not None
    return dx.array
