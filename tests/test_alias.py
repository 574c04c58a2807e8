"""`import ddp as torch`: what scripts import and ask before they train, and what they are told."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import pytest

import ddp
from tests.helpers.libraries import LIBRARIES, for_library

BOTH = [LIBRARIES[0], pytest.param(LIBRARIES[1], marks=pytest.mark.oracle)]

IMPORTS = """
import ddp as torch
import ddp.nn as nn
import ddp.nn.functional as F
import ddp.optim as optim
import ddp.utils.data
import ddp.backends.cudnn as cudnn
import ddp.autograd as autograd
from ddp import nn, optim, Tensor
from ddp.autograd import Function, grad, gradcheck
from ddp.cuda.amp import GradScaler, autocast
from ddp.nn import Module, Parameter, functional as F, init
from ddp.nn.parameter import Parameter
from ddp.nn.utils import clip_grad_norm_
from ddp.nn.utils.rnn import pad_sequence
from ddp.optim import Adam, Optimizer
from ddp.optim.lr_scheduler import LambdaLR, StepLR, _LRScheduler
from ddp.utils.data import DataLoader, Dataset, TensorDataset, random_split
"""

CHOICE_OF_DEVICE = """
import ddp as torch
import ddp.backends.cudnn as cudnn

torch.manual_seed(1)
cudnn.benchmark = True
torch.backends.cudnn.deterministic = True
use_accelerator = torch.cuda.is_available() or torch.backends.mps.is_available()
if use_accelerator:
    torch.cuda.manual_seed_all(1)
device = torch.device("cuda:0" if use_accelerator else "cpu")
model = torch.nn.Linear(2, 1).to(device)
scaler = torch.amp.GradScaler("cuda", enabled=use_accelerator)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
with torch.autocast(device_type=device.type, enabled=use_accelerator):
    loss = model(torch.ones(3, 2, device=device)).sum()
scaler.scale(loss).backward()
scaler.step(optimizer)
scaler.update()
result = [device.type, torch.cuda.device_count(), loss.item(), model.bias.item()]
"""


def run(program: str, library: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(for_library(program, library), names)
    return names


@pytest.mark.parametrize("library", BOTH)
@pytest.mark.parametrize("line", IMPORTS.strip().splitlines())
def test_an_import_of_pytorch_programs_works(line: str, library: str) -> None:
    run(line, library)


@pytest.mark.parametrize("library", BOTH)
def test_a_program_that_asks_for_an_accelerator_goes_on_with_the_cpu(library: str) -> None:
    module = importlib.import_module(library)
    names = run(CHOICE_OF_DEVICE, library)
    if module.cuda.is_available() or module.backends.mps.is_available():
        pytest.skip("this machine has an accelerator")
    # From seed 1, as in PyTorch.
    assert names["result"] == pytest.approx(["cpu", 0, -0.2545087, -0.4370808], abs=1e-6)


@pytest.mark.parametrize("library", BOTH)
def test_sequences_are_padded_to_the_longest_and_found_again(library: str) -> None:
    torch = importlib.import_module(library)
    rnn = torch.nn.utils.rnn
    short, long = torch.ones(1, 2), torch.full((3, 2), 2.0, requires_grad=True)
    padded = rnn.pad_sequence([short, long], batch_first=True, padding_value=-1.0)
    assert padded.tolist() == [[[1, 1], [-1, -1], [-1, -1]], [[2, 2], [2, 2], [2, 2]]]
    padded.sum().backward()
    assert long.grad.tolist() == [[1, 1]] * 3
    assert rnn.pad_sequence([short, long]).shape == (3, 2, 2)
    from_left = rnn.pad_sequence([short, long], True, padding_side="left")
    assert from_left[0].tolist() == [[0, 0], [0, 0], [1, 1]]
    again = rnn.unpad_sequence(padded, torch.tensor([1, 3]), batch_first=True)
    assert [t.tolist() for t in again] == [short.tolist(), long.tolist()]
    with pytest.raises(RuntimeError, match="Expected padding_side to be one of left or right"):
        rnn.pad_sequence([short, long], padding_side="up")


def test_lower_precision_is_refused_and_absent_devices_disable_it() -> None:
    with pytest.raises(NotImplementedError, match="ddp computes in float32"):
        ddp.autocast("cpu")
    with pytest.warns(UserWarning, match="not available. Disabling"), ddp.autocast("cuda"):
        pass
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with ddp.autocast("cuda", enabled=False):
            pass
        assert ddp.autocast("cpu", enabled=False)(abs)(-3) == 3


@pytest.mark.parametrize("name", sorted(ddp._ABSENT))
def test_what_is_not_there_says_what_to_do_instead(name: str) -> None:
    assert not hasattr(ddp, name)
    with pytest.raises(AttributeError, match=f"^ddp has no '{name}': ."):
        getattr(ddp, name)


def test_any_other_name_is_told_in_a_sentence() -> None:
    with pytest.raises(
        AttributeError, match=r"ddp has no 'quantum'\. It has the part of PyTorch's"
    ):
        ddp.quantum  # noqa: B018


@pytest.mark.parametrize("library", BOTH)
def test_functions_of_networks_are_functions_of_the_library_too(library: str) -> None:
    torch = importlib.import_module(library)
    image = torch.arange(32.0).view(1, 4, 2, 4)
    kernel = torch.ones(3, 4, 1, 1)
    for found, expected in (
        (torch.conv2d(image, kernel), torch.nn.functional.conv2d(image, kernel)),
        (torch.pixel_shuffle(image, 2), torch.nn.functional.pixel_shuffle(image, 2)),
        (torch.selu(image), torch.nn.functional.selu(image)),
        (torch.cosine_similarity(image, image + 1), image.sum(1) * 0 + 1),
    ):
        assert torch.allclose(found, expected, atol=0.5)
    assert (torch.version.cuda, torch.cuda.memory_allocated()) == (None, 0)
