"""Derivatives of functions: `jacobian`, `hessian`, `vjp`, `jvp`, `vhp`, `hvp`, as PyTorch's.

`func` takes tensors and returns a tensor or a tuple of them. Answers have the structure of the
arguments: a tensor for a tensor, a tuple for a tuple. With `create_graph` they can be
differentiated further; with `strict` an output that does not depend on an input is an error, else
its derivative is zero.

Left out: `vectorize` and forward mode, which would change speed only: they are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ddp.autograd.grad_mode import enable_grad
from ddp.autograd.gradients import grad
from ddp.autograd.ops.join import stack
from ddp.autograd.ops.shape import reshape
from ddp.autograd.tensor import Tensor, wrap

Func = Callable[..., Any]
Several = Tensor | tuple[Tensor, ...]


def vjp(
    func: Func, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(func(inputs), vᵀ J): the gradients of the outputs weighted by `v`, of the outputs' shapes.

    `v` may be left out for one output of one element.
    """
    with enable_grad():
        xs = _variables(inputs, create_graph)
        answer = func(*xs)
        ys = _as_tuple(answer)
        weights = _weights(v, ys, "v")
        gradients = _gradients(ys, xs, weights, create_graph, strict)
    return _detached(answer, create_graph), _like(inputs, gradients, create_graph)


def jvp(
    func: Func, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(func(inputs), J v): the change of the outputs along `v`, of the inputs' shapes.

    Computed as the derivative of u ↦ uᵀ J, which is linear in u: two backward passes.
    """
    with enable_grad():
        xs = _variables(inputs, create_graph)
        answer = func(*xs)
        ys = _as_tuple(answer)
        weights = _weights(v, xs, "v")
        us = tuple([Tensor(np.zeros_like(y.array), requires_grad=True) for y in ys])
        gradients = _gradients(ys, xs, us, True, strict)
        changes = _gradients(gradients, us, weights, create_graph, strict)
    return _detached(answer, create_graph), _like(answer, changes, create_graph)


def jacobian(
    func: Func,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """All derivatives: entry [i][j] has the shape of output i followed by that of input j."""
    _refuse(vectorize, strategy)
    with enable_grad():
        xs = _variables(inputs, create_graph)
        answer = func(*xs)
        rows = [_derivatives(y, xs, create_graph, strict) for y in _as_tuple(answer)]
    by_output = tuple([_like(inputs, row, create_graph) for row in rows])
    return by_output if isinstance(answer, tuple) else by_output[0]


def hessian(
    func: Func,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """All second derivatives of a function with one output of one element."""
    _refuse(vectorize, outer_jacobian_strategy)

    def gradients(*xs: Tensor) -> Any:
        y = _one_element(func(*xs))
        return _like(inputs, _gradients((y,), xs, (_ones(y),), True, strict), True)

    return jacobian(gradients, inputs, create_graph, strict)


def vhp(
    func: Func, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(func(inputs), vᵀ H) for a function with one output of one element."""
    with enable_grad():
        xs = _variables(inputs, create_graph)
        answer = func(*xs)
        y = _one_element(answer)
        weights = _weights(v, xs, "v")
        gradients = _gradients((y,), xs, (_ones(y),), True, strict)
        products = _gradients(gradients, xs, weights, create_graph, strict)
    return _detached(answer, create_graph), _like(inputs, products, create_graph)


def hvp(
    func: Func, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(func(inputs), H v): H is symmetric, so this is `vhp`."""
    return vhp(func, inputs, v, create_graph, strict)


def _refuse(vectorize: bool, strategy: str) -> None:
    if vectorize or strategy != "reverse-mode":
        raise NotImplementedError(
            "ddp has neither vmap nor forward mode: leave vectorize False and the strategy "
            "'reverse-mode'"
        )


def _as_tuple(value: Any) -> tuple[Tensor, ...]:
    return (value,) if isinstance(value, Tensor) else tuple(value)


def _variables(inputs: Any, create_graph: bool) -> tuple[Tensor, ...]:
    """What `func` is called with: the inputs as new variables, with their history if wanted."""
    tensors = _as_tuple(inputs)
    if create_graph:
        return tuple([reshape(x, x.shape) if x.requires_grad else _leaf(x) for x in tensors])
    return tuple([_leaf(x) for x in tensors])


def _leaf(x: Tensor) -> Tensor:
    return x.detach().requires_grad_()


def _ones(y: Tensor) -> Tensor:
    return wrap(np.ones_like(y.array))


def _one_element(answer: Any) -> Tensor:
    if not isinstance(answer, Tensor) or answer.array.size != 1:
        raise RuntimeError(
            "The Tensor returned by the function given to hessian should contain a single element"
        )
    return answer


def _weights(v: Any, tensors: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
    """`v` as a tuple that fits `tensors`; a one where it was left out for a single element."""
    if v is None:
        if len(tensors) != 1 or tensors[0].array.size != 1:
            raise RuntimeError(
                f"The vector {name} can only be None if there is one tensor with a single element"
            )
        return (_ones(tensors[0]),)
    weights = _as_tuple(v)
    shapes, expected = [w.shape for w in weights], [t.shape for t in tensors]
    if shapes != expected:
        raise RuntimeError(f"{name} has the shapes {shapes}, expected {expected}")
    return weights


def _gradients(
    ys: Sequence[Tensor],
    xs: Sequence[Tensor],
    weights: Sequence[Tensor],
    create_graph: bool,
    strict: bool,
) -> tuple[Tensor, ...]:
    """The gradients of `ys` weighted; zeros, or with `strict` an error, for no dependence."""
    pairs = [(y, w) for y, w in zip(ys, weights, strict=True) if y.requires_grad]
    for output_nr, y in enumerate(ys):
        if strict and not y.requires_grad:
            raise RuntimeError(
                f"Output {output_nr} of the user-provided function does not require gradients. The "
                "outputs must be computed in a differentiable manner from the input when running "
                "in strict mode."
            )
    if not pairs:
        return tuple([wrap(np.zeros_like(x.array)) for x in xs])
    ys, weights = zip(*pairs, strict=True)
    found = grad(ys, xs, weights, True, create_graph, allow_unused=True)
    for index, dx in enumerate(found):
        if strict and dx is None:
            raise RuntimeError(
                f"The output of the user-provided function is independent of input {index}. This "
                "is not allowed in strict mode."
            )
    pairs_found = zip(xs, found, strict=True)
    return tuple([wrap(np.zeros_like(x.array)) if dx is None else dx for x, dx in pairs_found])


def _derivatives(
    y: Tensor, xs: Sequence[Tensor], create_graph: bool, strict: bool
) -> tuple[Tensor, ...]:
    """The Jacobian of one output, one backward pass per element."""
    rows = []
    for i in range(y.array.size):
        unit = np.zeros(y.array.size, y.dtype)
        unit[i] = 1
        rows.append(_gradients((y,), xs, (wrap(unit.reshape(y.shape)),), create_graph, strict))
    if not rows:
        return tuple([wrap(np.zeros((*y.shape, *x.shape), x.dtype)) for x in xs])
    columns = zip(*rows, strict=True)
    return tuple(
        [reshape(stack(c), (*y.shape, *x.shape)) for c, x in zip(columns, xs, strict=True)]
    )


def _detached(answer: Any, create_graph: bool) -> Any:
    if create_graph:
        return answer
    return answer.detach() if isinstance(answer, Tensor) else tuple([y.detach() for y in answer])


def _like(structure: Any, tensors: Sequence[Tensor], create_graph: bool) -> Any:
    """The tensors in the structure of what they belong to."""
    if not create_graph:
        tensors = [tensor.detach() for tensor in tensors]
    return tensors[0] if isinstance(structure, Tensor) else tuple(tensors)
