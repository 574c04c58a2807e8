"""Where samplers draw from."""

from __future__ import annotations

from ddp.autograd.random import RandomSource, current_generator


def source(generator: RandomSource | None) -> RandomSource:
    """`generator`, or what operations draw from now."""
    return current_generator() if generator is None else generator


def random_seed(generator: RandomSource | None) -> int:
    """63 random bits: PyTorch's `empty((), dtype=int64).random_()`."""
    return int(source(generator).integers(0, 2**63, (1,))[0])
