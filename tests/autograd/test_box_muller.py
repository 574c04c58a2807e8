"""Normal numbers are PyTorch's to the last bit; what is frozen here is from PyTorch 2.13."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from ddp.autograd.box_muller import box_muller
from ddp.autograd.random import Generator

# torch.manual_seed(2026); torch.empty(5000).normal_(): 5000 is no multiple of 16.
FIRST = [-0.18391042947769165, 0.7296398282051086, 0.6241669058799744, 0.12253476679325104]
LAST = [-1.7829267978668213, 0.01657375507056713]
SHA256 = "537ef85ec80af5d01ad34f6cdc02c0cfaef18635cf6e9115bd1aceb4f2fb64d6"


def test_the_normals_of_a_seed_have_pytorchs_bits() -> None:
    normals = Generator(2026).normal((5000,))
    assert (normals[:4].tolist(), normals[-2:].tolist()) == (FIRST, LAST)
    assert hashlib.sha256(normals.astype("<f4").tobytes()).hexdigest() == SHA256


def test_uniforms_at_the_ends_of_their_range_give_finite_normals() -> None:
    largest = 1 - 2.0**-24
    uniforms = np.repeat(np.array([0, largest, 0, largest], np.float32), [4, 4, 4, 4])
    normals = box_muller(uniforms)
    assert not normals[:4].any()  # 1 - u = 1: radius 0
    np.testing.assert_allclose(normals[4:8], np.sqrt(2 * 24 * np.log(2)), rtol=1e-6)


@pytest.mark.parametrize("quarter", range(8))
def test_angles_all_around_the_circle(quarter: int) -> None:
    angles = (quarter + np.linspace(0, 1, 8, endpoint=False)) / 8
    # A float32 angle near 2π is off by up to 4e-7, and the radius is 1.2.
    half = np.full(8, 0.5)
    normals = box_muller(np.concatenate([half, angles]).astype(np.float32)).astype(np.float64)
    radius = np.sqrt(2 * np.log(2))
    np.testing.assert_allclose(normals[:8], radius * np.cos(2 * np.pi * angles), atol=6e-7)
    np.testing.assert_allclose(normals[8:], radius * np.sin(2 * np.pi * angles), atol=6e-7)
