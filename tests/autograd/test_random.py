"""The random streams: PyTorch's, frozen, and the counter-based one."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from ddp.autograd.creation import rand, randint, randn, randperm
from ddp.autograd.random import (
    Generator,
    PhiloxGenerator,
    RandomSource,
    current_generator,
    manual_seed,
    use_generator,
)

SOURCES = [lambda: Generator(3), lambda: PhiloxGenerator(3, 1, 4)]


def test_the_stream_of_seed_0_is_pytorchs() -> None:
    # torch.manual_seed(0); torch.rand(3), torch.randn(2), torch.randperm(5), one after the other
    generator = Generator(0)
    expected = np.array([0.49625658988952637, 0.7682217955589294, 0.08847743272781372])
    np.testing.assert_array_equal(generator.uniform((3,)), expected.astype(np.float32))
    expected = np.array([0.3643381893634796, 0.13439632952213287])
    np.testing.assert_array_equal(generator.normal((2,)), expected.astype(np.float32))
    assert generator.permutation(5).tolist() == [3, 2, 1, 4, 0]


def test_the_philox_stream_is_frozen() -> None:
    # Computed once by this class: a run's bits depend on them, so they never change.
    generator = PhiloxGenerator(1, 2, 3)
    assert generator.bernoulli((8,), 0.5).tolist() == FROZEN_BERNOULLI
    assert generator.permutation(6).tolist() == FROZEN_PERMUTATION
    assert generator.uniform((3,)).tolist() == FROZEN_UNIFORM
    assert generator.integers(0, 100, (4,)).tolist() == FROZEN_INTEGERS
    np.testing.assert_allclose(generator.normal((3,)), FROZEN_NORMAL, rtol=1e-6)


FROZEN_BERNOULLI = [False, True, False, True, False, True, True, False]
FROZEN_PERMUTATION = [1, 3, 4, 2, 0, 5]
FROZEN_UNIFORM = [0.8556444048881531, 0.9117077589035034, 0.9295250773429871]
FROZEN_INTEGERS = [42, 68, 15, 58]
FROZEN_NORMAL = [0.20253603160381317, 0.1158590167760849, 0.3144446909427643]


@pytest.mark.parametrize(
    "keys", [(), (1,), (1, 2), (2, 1), (0, 0, 1), (0, 0, 0, 1), (1, 0, 0, 0, 1)]
)
def test_streams_of_different_keys_differ(keys: tuple[int, ...]) -> None:
    mine = PhiloxGenerator(*keys).uniform((8,))
    for other in [(), (1,), (1, 2), (2, 1), (0, 0, 1), (0, 0, 0, 1), (1, 0, 0, 0, 1)]:
        same = np.array_equal(mine, PhiloxGenerator(*other).uniform((8,)))
        assert same == (other == keys)


def test_a_key_is_at_most_five_words_of_64_bits() -> None:
    for keys in [(1,) * 6, (2**64,), (-1,)]:
        with pytest.raises(ValueError, match="expected at most five key words in"):
            PhiloxGenerator(*keys)


@pytest.mark.parametrize("make", SOURCES)
def test_distributions_have_their_ranges_dtypes_and_moments(make: type[RandomSource]) -> None:
    source = make()
    uniform = source.uniform((100, 100), -1.0, 3.0)
    assert uniform.dtype == np.float32
    assert -1 <= uniform.min() < uniform.max() < 3
    assert abs(uniform.mean() - 1) < 0.05
    normal = source.normal((100, 101))
    assert normal.dtype == np.float32
    assert abs(normal.mean()) < 0.05
    assert abs(normal.std() - 1) < 0.05
    assert abs(source.bernoulli((10_000,), 0.3).mean() - 0.3) < 0.02
    assert source.bernoulli((100,), 1.0).all()
    assert not source.bernoulli((100,), 0.0).any()
    assert sorted(source.permutation(50).tolist()) == list(range(50))
    integers = source.integers(-2, 5, (1000,))
    assert set(integers.tolist()) == set(range(-2, 5))
    assert integers.dtype == np.int64


@pytest.mark.parametrize("make", SOURCES)
def test_empty_shapes_and_single_values_are_fine(make: type[RandomSource]) -> None:
    source = make()
    assert source.uniform((0, 3)).shape == (0, 3)
    assert source.normal((0,)).shape == (0,)
    assert source.bernoulli((), 0.5).shape == ()
    assert source.permutation(0).tolist() == []
    assert source.permutation(1).tolist() == [0]


def test_a_saved_state_continues_the_same_stream() -> None:
    generator = Generator(7)
    generator.normal((3,))
    state = generator.get_state()
    first = generator.normal((5,)), generator.uniform((5,))
    generator.set_state(state)
    second = generator.normal((5,)), generator.uniform((5,))
    np.testing.assert_array_equal(first, second)


def test_only_the_low_32_bits_of_a_seed_count() -> None:
    np.testing.assert_array_equal(Generator(5).uniform((4,)), Generator(2**40 + 5).uniform((4,)))
    assert Generator(2**40 + 5).initial_seed() == 2**40 + 5


def test_the_innermost_generator_of_the_thread_is_drawn_from() -> None:
    outer, inner, seen = Generator(1), PhiloxGenerator(2), []
    with use_generator(outer):
        with use_generator(inner):
            assert current_generator() is inner
            thread = threading.Thread(target=lambda: seen.append(current_generator()))
            thread.start()
            thread.join()
        assert current_generator() is outer
    assert seen == [manual_seed(0)]
    assert current_generator() is seen[0]


def test_random_tensors_draw_from_the_current_generator_or_the_one_given() -> None:
    manual_seed(0)
    assert rand(3).tolist() == Generator(0).uniform((3,)).tolist()
    with use_generator(PhiloxGenerator(9)):
        assert randn(3).tolist() == PhiloxGenerator(9).normal((3,)).tolist()
    given = randperm(5, generator=Generator(4))
    assert given.tolist() == Generator(4).permutation(5).tolist()
    drawn = randint(0, 9, (2, 3), generator=Generator(4))
    assert drawn.tolist() == Generator(4).integers(0, 9, (2, 3)).tolist()
    assert rand(2, generator=Generator(1), requires_grad=True).requires_grad
