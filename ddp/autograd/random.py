"""Where random numbers come from: PyTorch's CPU stream replayed, and a counter-based one.

`Generator(seed)` gives what PyTorch's CPU generator gives for the same seed (MT19937, drawn in
PyTorch's order), so that a PyTorch program can be followed number by number. `PhiloxGenerator`
is keyed by what it is for (seed, step, shard, …): any process computes any stream from its
start. It reads raw Philox words only, whose stream NumPy guarantees, and makes every
distribution itself, since NumPy may change its own between versions.

Operations draw from `current_generator()`: the innermost `use_generator` of this thread, else
the process-wide default that `manual_seed` sets.
"""

from __future__ import annotations

import contextlib
import math
import secrets
import threading
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ddp.autograd.box_muller import box_muller

Shape = tuple[int, ...]
Float32Array = NDArray[np.float32]

DEFAULT_SEED = 67280421310721  # PyTorch's default_rng_seed_val


class RandomSource(Protocol):
    """What initialisers, dropout and samplers draw from."""

    def uniform(self, shape: Shape, low: float = 0.0, high: float = 1.0) -> Float32Array:
        """Values in [low, high)."""

    def normal(self, shape: Shape) -> Float32Array:
        """Values with mean 0 and variance 1."""

    def uniform64(self, shape: Shape) -> NDArray[np.float64]:
        """float64 values in [0, 1), with 53 random bits."""

    def normal64(self, shape: Shape) -> NDArray[np.float64]:
        """float64 values with mean 0 and variance 1."""

    def bernoulli(self, shape: Shape, p: float) -> NDArray[np.bool_]:
        """True with probability `p`."""

    def permutation(self, n: int) -> NDArray[np.int64]:
        """0 … n-1 in random order."""

    def integers(self, low: int, high: int, shape: Shape) -> NDArray[np.int64]:
        """Values in [low, high)."""


class Generator:
    """PyTorch's CPU generator: the same numbers for the same seed.

    `uniform`, `uniform64`, `normal` of 16 values and more, `bernoulli`, `permutation` and
    `integers` are bit-equal to PyTorch's `uniform_` (float32 and float64), `normal_`,
    `bernoulli_`, `randperm` and `randint`; `normal` of fewer values and `normal64` may differ in
    the last bits (PyTorch's logarithm and cosine are its own). Only the low 32 bits of the seed
    count, as there.
    """

    def __init__(self, seed: int = DEFAULT_SEED, device: object = "cpu") -> None:
        self._source = np.random.MT19937()
        self.manual_seed(seed)

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of `seed`."""
        self._seed = seed
        state: Any = np.random.RandomState(seed & 0xFFFFFFFF).get_state(legacy=False)
        self._source.state = {"bit_generator": "MT19937", "state": state["state"]}
        self._spare_normal: float | None = None
        return self

    def initial_seed(self) -> int:
        """The seed the stream started from."""
        return self._seed

    def get_state(self) -> dict[str, Any]:
        """Everything that decides the numbers to come, for `set_state`."""
        return {"source": self._source.state, "spare_normal": self._spare_normal}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go back to what `get_state` returned."""
        self._source.state = state["source"]
        self._spare_normal = state["spare_normal"]

    def uniform(self, shape: Shape, low: float = 0.0, high: float = 1.0) -> Float32Array:
        # PyTorch computes x·(high-low)+low with one rounding (a fused multiply-add).
        unit = self._unit24(math.prod(shape)).astype(np.float64)
        span = float(np.float32(high) - np.float32(low))
        return (unit * span + float(np.float32(low))).astype(np.float32).reshape(shape)

    def normal(self, shape: Shape) -> Float32Array:
        n = math.prod(shape)
        values = self._normal_by_16(n) if n >= 16 else self._normal_by_pairs(n)
        return values.reshape(shape)

    def uniform64(self, shape: Shape) -> NDArray[np.float64]:
        return self._unit53(math.prod(shape)).reshape(shape)

    def normal64(self, shape: Shape) -> NDArray[np.float64]:
        n = math.prod(shape)
        if n < 16:
            return np.array(self._pairs(n)).reshape(shape)
        values = self._unit53(n)
        whole = n - n % 16
        values[:whole] = _box_muller64(values[:whole])
        if whole < n:
            values[n - 16 :] = _box_muller64(self._unit53(16))
        return values.reshape(shape)

    def bernoulli(self, shape: Shape, p: float) -> NDArray[np.bool_]:
        return (self._unit53(math.prod(shape)) < p).reshape(shape)

    def permutation(self, n: int) -> NDArray[np.int64]:
        order = list(range(n))
        draws = self._words(max(n - 1, 0)) % np.arange(n, 1, -1, dtype=np.uint64)
        for i, offset in enumerate(draws.tolist()):  # Fisher-Yates, forward
            j = i + offset
            order[i], order[j] = order[j], order[i]
        return np.array(order, np.int64)

    def integers(self, low: int, high: int, shape: Shape) -> NDArray[np.int64]:
        n, span = math.prod(shape), high - low
        draws = (self._words(n) if span < 2**32 else self._long_words(n)) % np.uint64(span)
        return (draws.astype(np.int64) + low).reshape(shape)

    def _long_words(self, n: int) -> NDArray[np.uint64]:
        """n values of 64 bits, the first draw of each the high half."""
        high, low = self._words(2 * n).reshape(n, 2).T
        return (high << np.uint64(32)) | low

    def _words(self, n: int) -> NDArray[np.uint64]:
        """n draws of 32 bits."""
        return np.asarray(self._source.random_raw(n), np.uint64)

    def _unit24(self, n: int) -> Float32Array:
        low_bits = (self._words(n) & np.uint64(0xFFFFFF)).astype(np.float32)
        return low_bits * np.float32(2.0**-24)

    def _unit53(self, n: int) -> NDArray[np.float64]:
        bits = self._long_words(n) & np.uint64((1 << 53) - 1)
        return bits.astype(np.float64) * 2.0**-53

    def _normal_by_16(self, n: int) -> Float32Array:
        """Box-Muller on blocks of 16: radii from the first 8, angles from the last 8."""
        values = self._unit24(n)
        whole = n - n % 16
        values[:whole] = box_muller(values[:whole])
        if whole < n:  # the last 16 values are drawn anew, over what is there
            values[n - 16 :] = box_muller(self._unit24(16))
        return values

    def _normal_by_pairs(self, n: int) -> Float32Array:
        """Box-Muller in float64, two values at a time; an odd one is kept for the next call."""
        return np.array(self._pairs(n), np.float32)

    def _pairs(self, n: int) -> list[float]:
        values = []
        for _ in range(n):
            if self._spare_normal is not None:
                values.append(self._spare_normal)
                self._spare_normal = None
                continue
            angle, radius = self._unit53(2).tolist()
            radius = math.sqrt(-2.0 * math.log1p(-radius))
            values.append(radius * math.cos(2.0 * math.pi * angle))
            self._spare_normal = radius * math.sin(2.0 * math.pi * angle)
        return values


def _box_muller64(uniforms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Box and Muller's normals in float64; see box_muller.py."""
    blocks = uniforms.reshape(-1, 2, 8)
    radius, angle = np.sqrt(-2 * np.log1p(-blocks[:, 0])), 2 * np.pi * blocks[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)


class PhiloxGenerator:
    """A counter-based stream keyed by up to five integers below 2⁶⁴: (seed, step, shard) say.

    Streams of different keys never overlap: two words are the Philox key, three lie in the upper
    part of its counter, and the lowest counter word runs.
    """

    def __init__(self, *key_words: int) -> None:
        if len(key_words) > 5 or not all(0 <= word < 2**64 for word in key_words):
            raise ValueError(f"expected at most five key words in [0, 2**64), got {key_words}")
        self._key_words = (*key_words, *[0] * (5 - len(key_words)))

    @cached_property
    def _source(self) -> np.random.Philox:
        """Made when it is drawn from: most models never do, and it takes 20 us."""
        words = self._key_words
        return np.random.Philox(
            key=np.array(words[:2], np.uint64), counter=np.array([0, *words[2:]], np.uint64)
        )

    def uniform(self, shape: Shape, low: float = 0.0, high: float = 1.0) -> Float32Array:
        n = math.prod(shape)
        unit = (self._half_words(n) >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
        return (unit * np.float32(high - low) + np.float32(low)).reshape(shape)

    def normal(self, shape: Shape) -> Float32Array:
        n = math.prod(shape)
        blocks = -(-n // 16)
        unit = (self._half_words(16 * blocks) >> np.uint32(8)).astype(np.float32)
        return box_muller(unit * np.float32(2.0**-24))[:n].reshape(shape)

    def bernoulli(self, shape: Shape, p: float) -> NDArray[np.bool_]:
        n = math.prod(shape)
        threshold = np.uint64(round(p * 2.0**32))  # p = 1 is 2³²: above every draw
        return (self._half_words(n) < threshold).reshape(shape)

    def uniform64(self, shape: Shape) -> NDArray[np.float64]:
        bits = self._words(math.prod(shape)) >> np.uint64(11)
        return (bits.astype(np.float64) * 2.0**-53).reshape(shape)

    def normal64(self, shape: Shape) -> NDArray[np.float64]:
        n = math.prod(shape)
        return _box_muller64(self.uniform64((-(-n // 16) * 16,)))[:n].reshape(shape)

    def permutation(self, n: int) -> NDArray[np.int64]:
        return np.argsort(self._words(n), kind="stable").astype(np.int64)

    def integers(self, low: int, high: int, shape: Shape) -> NDArray[np.int64]:
        draws = self._words(math.prod(shape)) % np.uint64(high - low)
        return (draws.astype(np.int64) + low).reshape(shape)

    def _words(self, n: int) -> NDArray[np.uint64]:
        return np.asarray(self._source.random_raw(n), np.uint64)

    def _half_words(self, n: int) -> NDArray[np.uint32]:
        """n draws of 32 bits: each word gives its low half, then its high half."""
        return self._words(-(-n // 2)).astype("<u8", copy=False).view("<u4")[:n]


class _Stack(threading.local):
    """The generators in use on this thread, innermost last."""

    def __init__(self) -> None:
        self.generators: list[RandomSource] = []


_stack = _Stack()
default_generator = Generator()


def current_generator() -> RandomSource:
    """What an operation without an explicit generator draws from."""
    return _stack.generators[-1] if _stack.generators else default_generator


@contextlib.contextmanager
def use_generator(generator: RandomSource) -> Iterator[RandomSource]:
    """Draw from `generator` inside, on this thread."""
    _stack.generators.append(generator)
    try:
        yield generator
    finally:
        _stack.generators.pop()


def manual_seed(seed: int) -> Generator:
    """Start the default generator's stream of `seed`, as `torch.manual_seed`."""
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Start the default generator's stream of a seed nobody chose; returns the seed."""
    chosen = secrets.randbits(64)
    default_generator.manual_seed(chosen)
    return chosen


def initial_seed() -> int:
    """The seed the default generator's stream started from."""
    return default_generator.initial_seed()


def get_rng_state() -> dict[str, Any]:
    """Everything that decides the default generator's numbers to come."""
    return default_generator.get_state()


def set_rng_state(state: dict[str, Any]) -> None:
    """Go back to what `get_rng_state` returned."""
    default_generator.set_state(state)


@contextlib.contextmanager
def fork_rng(devices: object = (), enabled: bool = True) -> Iterator[None]:
    """Put the default generator's state back at the end."""
    state = get_rng_state()
    try:
        yield
    finally:
        if enabled:
            set_rng_state(state)
