"""Layers against PyTorch: outputs, gradients, buffers, initial values, state-dict names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ddp import models, nn
from ddp.autograd.random import Generator, manual_seed, use_generator
from ddp.autograd.tensor import Tensor
from ddp.nn import functional as F
from tests.oracle.compare import close, draw, same_function, same_module, torch

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7,), (5, 7), (1, 7), (2, 3, 7), (0, 7)])
def test_linear(shape: tuple[int, ...], bias: bool) -> None:
    same_module(nn.Linear(7, 3, bias), torch.nn.Linear(7, 3, bias), draw(1, *shape))


CONVOLUTIONS: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 8, 8), {"kernel_size": 3}),
    ((2, 3, 8, 8), {"kernel_size": 3, "padding": 1}),
    ((2, 3, 9, 7), {"kernel_size": (3, 2), "stride": (2, 1), "padding": (0, 1)}),
    ((1, 3, 11, 13), {"kernel_size": 3, "stride": 2, "dilation": 2, "padding": 2}),
    ((3, 3, 7, 5), {"kernel_size": 1}),
    ((3, 3, 7, 5), {"kernel_size": 1, "stride": 2}),
    ((3, 3, 7, 5), {"kernel_size": 1, "padding": 1}),
    ((2, 3, 6, 6), {"kernel_size": 6, "bias": False}),
    ((2, 3, 6, 9), {"kernel_size": (4, 3), "padding": "same"}),
    ((2, 3, 6, 9), {"kernel_size": 3, "padding": "same", "dilation": 2}),
    ((3, 6, 6), {"kernel_size": 3, "padding": "valid"}),
    ((2, 3, 8, 8), {"kernel_size": 3, "groups": 3, "padding": 1}),
    ((0, 3, 8, 8), {"kernel_size": 3}),
]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize(("shape", "arguments"), CONVOLUTIONS)
def test_conv2d(shape: tuple[int, ...], arguments: dict[str, Any]) -> None:
    ours, theirs = nn.Conv2d(3, 6, **arguments), torch.nn.Conv2d(3, 6, **arguments)
    same_module(ours, theirs, draw(2, *shape), atol=1e-5)


def test_conv2d_in_several_blocks_of_images() -> None:
    """In float64: the weight gradient sums 31,360 products, where float32 loses digits."""
    x, w = draw(17, 40, 3, 32, 32, dtype=np.float64), draw(18, 6, 3, 5, 5, dtype=np.float64)
    same_function(F.conv2d, torch.nn.functional.conv2d, x, w, rtol=1e-9, atol=1e-9)


def test_a_strided_image_convolves_as_a_dense_one() -> None:
    weight = draw(3, 4, 3, 3, 3)
    image = draw(4, 8, 9, 2, 3).transpose(2, 3, 0, 1)
    same_function(F.conv2d, torch.nn.functional.conv2d, image, weight, atol=1e-5)


POOLS: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 8, 8), {"kernel_size": 2}),
    ((2, 3, 7, 9), {"kernel_size": 2}),
    ((2, 3, 7, 9), {"kernel_size": 3, "stride": 2}),
    ((2, 3, 7, 9), {"kernel_size": 3, "stride": 1, "padding": 1}),
    ((2, 3, 7, 9), {"kernel_size": (2, 3), "stride": (3, 2), "padding": (1, 1)}),
    ((2, 3, 7, 8), {"kernel_size": 2, "ceil_mode": True}),
    ((2, 3, 8, 10), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
    ((3, 8, 8), {"kernel_size": 2}),
]


@pytest.mark.parametrize(
    ("shape", "arguments"),
    [
        *POOLS,
        ((2, 3, 9, 9), {"kernel_size": 2, "stride": 2, "dilation": 2}),
    ],
)
def test_max_pool2d(shape: tuple[int, ...], arguments: dict[str, Any]) -> None:
    same_module(nn.MaxPool2d(**arguments), torch.nn.MaxPool2d(**arguments), draw(5, *shape))


def test_max_pool2d_gives_the_gradient_to_the_first_of_equal_maxima() -> None:
    ties = np.random.default_rng(6).integers(0, 2, (2, 3, 7, 7)).astype(np.float32)
    for arguments in ({"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1}):
        same_module(nn.MaxPool2d(**arguments), torch.nn.MaxPool2d(**arguments), ties)


def test_max_pool2d_of_nan_is_nan() -> None:
    image = draw(7, 1, 1, 4, 4)
    image[0, 0, 1, 1] = np.nan
    close(nn.MaxPool2d(2)(Tensor(image)), torch.nn.MaxPool2d(2)(torch.tensor(image)))


@pytest.mark.parametrize("count_include_pad", [True, False])
@pytest.mark.parametrize(("shape", "arguments"), POOLS)
def test_avg_pool2d(
    shape: tuple[int, ...], arguments: dict[str, Any], count_include_pad: bool
) -> None:
    arguments = {**arguments, "count_include_pad": count_include_pad}
    same_module(nn.AvgPool2d(**arguments), torch.nn.AvgPool2d(**arguments), draw(8, *shape))


@pytest.mark.parametrize("kind", ["ReLU", "Sigmoid", "Tanh", "Identity", "Flatten"])
def test_activations(kind: str) -> None:
    x = draw(9, 4, 5, 3) * 30
    x[0, 0] = 0
    same_module(getattr(nn, kind)(), getattr(torch.nn, kind)(), x)


@pytest.mark.parametrize("shape", [(4, 5), (2, 5, 3), (2, 5, 3, 4)])
@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("scale", [1, 1000])
def test_softmax(kind: str, shape: tuple[int, ...], scale: float) -> None:
    for dim in (1, -1):
        x = draw(10, *shape) * np.float32(scale)
        same_module(getattr(nn, kind)(dim), getattr(torch.nn, kind)(dim), x)


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("BatchNorm2d", (4, 3, 5, 6)),
        ("BatchNorm2d", (1, 3, 1, 2)),
        ("BatchNorm1d", (6, 3)),
        ("BatchNorm1d", (6, 3, 4)),
    ],
)
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"momentum": None},
        {"momentum": 0.7, "eps": 1e-2},
        {"affine": False},
        {"bias": False},
        {"track_running_stats": False},
    ],
)
def test_batch_norm(kind: str, shape: tuple[int, ...], arguments: dict[str, Any]) -> None:
    ours, theirs = getattr(nn, kind)(3, **arguments), getattr(torch.nn, kind)(3, **arguments)
    if theirs.affine:
        with torch.no_grad():
            theirs.weight.uniform_(-1, 1)
            if theirs.bias is not None:
                theirs.bias.uniform_(-1, 1)
    for seed in (11, 12):
        same_module(ours, theirs, draw(seed, *shape) * 3 + 5, rtol=1e-4, atol=1e-5)
        ours.zero_grad()
        theirs.zero_grad()
    same_module(ours.eval(), theirs.eval(), draw(13, *shape), rtol=1e-4, atol=1e-5)


def test_batch_norm_of_values_far_from_zero_keeps_its_digits() -> None:
    x = draw(14, 8, 3, 6, 6) + 1000
    ours = nn.BatchNorm2d(3)(Tensor(x)).array
    theirs = torch.nn.BatchNorm2d(3).double()(torch.tensor(x, dtype=torch.float64))
    np.testing.assert_allclose(ours, theirs.detach().numpy(), atol=2e-3)


@pytest.mark.parametrize("seed", [0, 123])
def test_the_same_seed_gives_the_same_initial_bits(seed: int) -> None:
    torch.manual_seed(seed)
    theirs = [
        torch.nn.Conv2d(3, 6, 5),
        torch.nn.Conv2d(6, 16, 5, groups=2),
        torch.nn.Linear(400, 120),
        torch.nn.Linear(120, 10, bias=False),
    ]
    manual_seed(seed)
    ours = [
        nn.Conv2d(3, 6, 5),
        nn.Conv2d(6, 16, 5, groups=2),
        nn.Linear(400, 120),
        nn.Linear(120, 10, bias=False),
    ]
    for our_layer, their_layer in zip(ours, theirs, strict=True):
        for name, value in their_layer.state_dict().items():
            np.testing.assert_array_equal(our_layer.state_dict()[name].array, value.numpy())


def test_an_explicit_generator_stands_in_for_the_default() -> None:
    torch.manual_seed(5)
    theirs = torch.nn.Linear(4, 3)
    ours = nn.Linear(4, 3, generator=Generator(5))
    np.testing.assert_array_equal(ours.weight.array, theirs.weight.detach().numpy())


@pytest.mark.parametrize("p", [0.0, 0.3, 0.5, 1.0])
def test_dropout_draws_the_same_masks(p: float) -> None:
    x = draw(15, 6, 7, 5)
    torch.manual_seed(3)
    their_layer = torch.nn.Dropout(p)
    theirs = [their_layer(torch.tensor(x)) for _ in range(3)]
    our_layer = nn.Dropout(p)
    with use_generator(Generator(3)):
        for expected in theirs:
            close(our_layer(Tensor(x)), expected, atol=0)


def test_init_functions_agree() -> None:
    for name, exact in [
        ("xavier_uniform_", True),
        ("kaiming_uniform_", True),
        ("xavier_normal_", False),
        ("kaiming_normal_", False),
    ]:
        torch.manual_seed(1)
        theirs = getattr(torch.nn.init, name)(torch.empty(8, 4, 3, 3)).numpy()
        weight = Tensor(np.empty((8, 4, 3, 3), np.float32))
        getattr(nn.init, name)(weight, generator=Generator(1))
        tolerance = 0 if exact else 1e-6
        np.testing.assert_allclose(weight.array, theirs, rtol=tolerance, atol=tolerance)


def their_net() -> Any:
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = torch.nn.Conv2d(3, 6, 5)
            self.pool = torch.nn.MaxPool2d(2, 2)
            self.conv2 = torch.nn.Conv2d(6, 16, 5)
            self.fc1 = torch.nn.Linear(16 * 5 * 5, 120)
            self.fc2 = torch.nn.Linear(120, 84)
            self.fc3 = torch.nn.Linear(84, 10)

        def forward(self, x: Any) -> Any:
            x = self.pool(torch.relu(self.conv1(x)))
            x = self.pool(torch.relu(self.conv2(x)))
            x = torch.flatten(x, 1)
            return self.fc3(torch.relu(self.fc2(torch.relu(self.fc1(x)))))

    return Net()


def test_the_tutorial_network_starts_and_computes_as_theirs() -> None:
    torch.manual_seed(123)
    theirs = their_net()
    manual_seed(123)
    ours = models.Net()
    for name, value in theirs.state_dict().items():
        np.testing.assert_array_equal(ours.state_dict()[name].array, value.numpy())
    same_module(ours, theirs, draw(16, 4, 3, 32, 32), atol=1e-5)


def test_containers_print_and_name_their_children_alike() -> None:
    def build(lib: Any) -> Any:
        return lib.Sequential(
            lib.Conv2d(1, 4, (3, 5), stride=(1, 2), padding=1, dilation=2, bias=False),
            lib.MaxPool2d(2),
            lib.AvgPool2d(2),
            lib.ModuleDict({"a": lib.Tanh(), "b": lib.ModuleList([lib.ReLU(), lib.ReLU(True)])}),
            lib.Sequential(lib.Flatten(), lib.Dropout(0.3), lib.Linear(2, 3), lib.Sigmoid()),
            lib.CrossEntropyLoss(),
            lib.Identity(),
            lib.BatchNorm1d(3, affine=False),
            lib.BatchNorm2d(3, momentum=None),
            lib.Sequential(),
        )

    ours, theirs = build(nn), build(torch.nn)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [n for n, _ in ours.named_modules()] == [n for n, _ in theirs.named_modules()]
