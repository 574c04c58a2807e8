"""Random numbers into tensors: `uniform_` and its kin, bernoulli, multinomial, normal.

With the default generator they are PyTorch's numbers for the same `manual_seed`, drawn in the same
order. Gradients through a draw are 0.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ddp.autograd.devices import require_cpu
from ddp.autograd.dtypes import Dtype, get_default_dtype, message_name
from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.ops.overwrite import Overwrite, overwrite
from ddp.autograd.ops.pointwise import Flat
from ddp.autograd.random import RandomSource, current_generator
from ddp.autograd.tensor import Tensor, wrap

Source = RandomSource | None
Shape = tuple[int, ...]


def draw_uniform(shape: Shape, dtype: Dtype, generator: Source, low: float, high: float) -> Array:
    """Values in [low, high) of a floating dtype."""
    source = generator or current_generator()
    if dtype == np.float64:
        return source.uniform64(shape) * (high - low) + low
    return source.uniform(shape, low, high).astype(dtype, copy=False)


def draw_normal(shape: Shape, dtype: Dtype, generator: Source) -> Array:
    """Standard normal values of a floating dtype."""
    source = generator or current_generator()
    if dtype == np.float64:
        return source.normal64(shape)
    return source.normal(shape).astype(dtype, copy=False)


def _require_floating(name: str, x: Tensor) -> None:
    if not x.is_floating_point():
        raise NotImplementedError(f'"{name}" not implemented for {x.dtype}: it needs a float dtype')


def uniform_(x: Tensor, from_: float = 0, to: float = 1, *, generator: Source = None) -> Tensor:
    """x = uniform in [from_, to)."""
    _require_floating("check_uniform_bounds", x)
    if from_ > to:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={from_} > to={to}"
        )
    return overwrite(x, draw_uniform(x.shape, x.dtype, generator, from_, to), UniformBackward0)


def normal_(x: Tensor, mean: float = 0, std: float = 1, *, generator: Source = None) -> Tensor:
    """x = normal with the mean and the standard deviation."""
    _require_floating("normal_kernel_cpu", x)
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    values = draw_normal(x.shape, x.dtype, generator)
    return overwrite(x, values * x.dtype.type(std) + x.dtype.type(mean), NormalBackward0)


def exponential_(x: Tensor, lambd: float = 1, *, generator: Source = None) -> Tensor:
    """x = exponential with the rate `lambd`."""
    _require_floating("exponential_", x)
    if lambd <= 0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd}")
    return overwrite(x, _exponential(x.shape, generator) / lambd, ExponentialBackward0)


def _exponential(shape: Shape, generator: Source) -> Array:
    return -np.log1p(-(generator or current_generator()).uniform64(shape))


def cauchy_(x: Tensor, median: float = 0, sigma: float = 1, *, generator: Source = None) -> Tensor:
    """x = Cauchy around the median."""
    _require_floating("cauchy_", x)
    if sigma <= 0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma}")
    angles = np.pi * ((generator or current_generator()).uniform64(x.shape) - 0.5)
    return overwrite(x, median + sigma * np.tan(angles), CauchyBackward0)


def geometric_(x: Tensor, p: float, *, generator: Source = None) -> Tensor:
    """x = the number of trials until the first success, each succeeding with probability `p`."""
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
    unit = (generator or current_generator()).uniform64(x.shape)
    return overwrite(x, np.ceil(np.log(unit) / math.log1p(-p)), GeometricBackward0)


def bernoulli_(x: Tensor, p: float | Tensor = 0.5, *, generator: Source = None) -> Tensor:
    """x = 1 with probability `p`, a number or a tensor of one probability per element; else 0."""
    if isinstance(p, Tensor):
        return overwrite(
            x, bernoulli(p.expand(x.shape), generator=generator).array, BernoulliBackward2
        )
    _require_probability(np.asarray(p))
    return overwrite(
        x, (generator or current_generator()).bernoulli(x.shape, p), BernoulliBackward2
    )


def _require_probability(p: Array) -> None:
    if not ((p >= 0) & (p <= 1)).all():
        raise RuntimeError("Expected p_in >= 0 && p_in <= 1 to be true, but got false.")


def bernoulli(x: Tensor, p: float | None = None, *, generator: Source = None) -> Tensor:
    """1 with the probability that x holds (or `p`, everywhere), else 0; in x's dtype."""
    if p is not None:
        return bernoulli_(wrap(np.empty_like(x.array)), p, generator=generator)
    _require_floating("bernoulli_tensor_cpu_p_", x)
    _require_probability(x.array)
    y = wrap((draw_uniform(x.shape, x.dtype, generator, 0, 1) < x.array).astype(x.dtype))
    BernoulliBackward0.record(y, x)
    return y


class BernoulliBackward0(Flat):
    """What was drawn does not follow the probability by small steps."""

    __slots__ = ()


def random_(
    x: Tensor, from_: int | None = None, to: int | None = None, *, generator: Source = None
) -> Tensor:
    """x = whole numbers in [from_, to) or [0, from_); by default all that the dtype holds."""
    low, high = (0, from_) if to is None else (from_ or 0, to)
    high = _whole_numbers(x.dtype) if high is None else high
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got {low} >= {high}")
    return overwrite(
        x, (generator or current_generator()).integers(low, high, x.shape), RandomBackward2
    )


def _whole_numbers(dtype: Dtype) -> int:
    """One more than the largest n such that the dtype holds 0 … n exactly."""
    if dtype.kind == "f":
        return 2 ** (np.finfo(dtype).nmant + 1) + 1
    return 2 if dtype.kind == "b" else int(np.iinfo(dtype).max) + 1


def multinomial(
    x: Tensor, num_samples: int, replacement: bool = False, *, generator: Source = None
) -> Tensor:
    """Indices drawn with the weights in x (classes,) or (rows, classes); int64."""
    if x.ndim not in (1, 2):
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if num_samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    _check_weights(x, num_samples, replacement)
    if replacement and num_samples > 1:
        return wrap(_with_replacement(x, num_samples, generator))
    times = _exponential(x.shape, generator).astype(x.dtype)
    with np.errstate(divide="ignore"):
        races = x.array / times
    if num_samples == 1:
        return wrap(races.argmax(-1, keepdims=True))
    return wrap(np.argsort(-races, -1, kind="stable")[..., :num_samples])


def _check_weights(x: Tensor, num_samples: int, replacement: bool) -> None:
    weights = x.array
    if weights.dtype.kind != "f":
        raise RuntimeError(
            "multinomial only supports floating-point dtypes for input, got: "
            f"{message_name(x.dtype)}"
        )
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if (weights.sum(-1) <= 0).any():
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    if not replacement and num_samples > weights.shape[-1]:
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) without replacement")


def _with_replacement(x: Tensor, num_samples: int, generator: Source) -> Array:
    """Every draw is looked up in the running sum of the weights."""
    rows = x.array.reshape(-1, x.shape[-1])
    bounds = rows.cumsum(-1)
    bounds /= bounds[:, -1:]
    draws = (generator or current_generator()).uniform64((len(rows), num_samples))
    found = [np.searchsorted(row, unit) for row, unit in zip(bounds, draws, strict=True)]
    return np.array(found, np.int64).reshape(*x.shape[:-1], num_samples)


def normal(
    mean: float | Tensor,
    std: float | Tensor = 1.0,
    size: Any = None,
    *,
    generator: Source = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """Normal values: one per element of the tensors `mean` and `std`, or `size` of them."""
    require_cpu(device)
    if not isinstance(mean, Tensor) and not isinstance(std, Tensor):
        chosen = get_default_dtype() if dtype is None else np.dtype(dtype)
        values = normal_(wrap(np.empty(tuple(size), chosen)), mean, std, generator=generator)
        return values.requires_grad_() if requires_grad else values
    given = [m for m in (mean, std) if isinstance(m, Tensor)]
    drawn = draw_normal(np.broadcast_shapes(*[m.shape for m in given]), given[0].dtype, generator)
    y = wrap((drawn * _plain(std) + _plain(mean)).astype(given[0].dtype, copy=False))
    if node := NormalBackward3.record(y, *given):
        node.shapes = [m.shape for m in given]
    return y


def _plain(x: float | Tensor) -> Any:
    return x.array if isinstance(x, Tensor) else x


class NormalBackward3(Node):
    """0 for the mean and for the standard deviation: PyTorch takes what was drawn as given."""

    __slots__ = ("shapes",)

    shapes: list[Shape]

    def backward(self, dy: Array) -> Gradients:
        return tuple([np.zeros(shape, dy.dtype) for shape in self.shapes])


class UniformBackward0(Overwrite):
    """Uniform numbers."""

    __slots__ = ()


class NormalBackward0(Overwrite):
    """Normal numbers."""

    __slots__ = ()


class ExponentialBackward0(Overwrite):
    """Exponential numbers."""

    __slots__ = ()


class CauchyBackward0(Overwrite):
    """Cauchy numbers."""

    __slots__ = ()


class GeometricBackward0(Overwrite):
    """Geometric numbers."""

    __slots__ = ()


class BernoulliBackward2(Overwrite):
    """Zeros and ones."""

    __slots__ = ()


class RandomBackward2(Overwrite):
    """Whole numbers."""

    __slots__ = ()
