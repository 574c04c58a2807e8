"""Every program in the notes runs, and does what the notes say it does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.helpers.libraries import for_library
from tests.seed import blocks


def run(block: str, library: Any = None, **names: Any) -> dict[str, Any]:
    """Execute a block with `names` defined; its names afterwards."""
    exec(for_library(block, library.__name__ if library else "ddp"), names)
    return names


def values(tensor: Any) -> Any:
    return tensor.detach().numpy().copy()


@pytest.fixture
def network(torch: Any) -> dict[str, Any]:
    """The network of the notes, a batch for it, and what they leave to the reader."""
    names = run(blocks.NETWORK, torch)
    return names | {
        "model": names["net"],
        "input": torch.randn(4, 3, 32, 32),
        "target": torch.tensor([3, 1, 4, 1]),
        "criterion": torch.nn.CrossEntropyLoss(),
    }


@pytest.fixture
def steep(torch: Any) -> dict[str, Any]:
    """A model and a loss whose gradients are far over 1: (30, -40) and 0.5."""
    model = torch.nn.Linear(2, 1)
    loss = model(torch.tensor([[60.0, -80.0]])).sum() * 0.5
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return {"torch": torch, "model": model, "loss": loss, "optimizer": optimizer}


# -- ResNet-18 ----------------------------------------------------------------------------------


@pytest.mark.slow  # ResNet-18 has 11.7 million parameters
def test_the_training_loop_gives_every_parameter_a_gradient_and_takes_a_step() -> None:
    import ddp

    ddp.manual_seed(0)
    before = values(ddp.models.resnet18().fc.weight)
    ddp.manual_seed(0)
    names = run(blocks.TRAINING_LOOP)
    model = names["model"]
    assert names["prediction"].shape == (1, 1000)
    assert all(parameter.grad is not None for parameter in model.parameters())
    expected = before - np.float32(1e-2) * values(model.fc.weight.grad)
    np.testing.assert_allclose(values(model.fc.weight), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.slow  # ResNet-18 has 11.7 million parameters
def test_with_all_but_the_new_layer_frozen_only_that_layer_learns() -> None:
    import ddp

    names = run(blocks.FREEZING)
    model = names["model"].eval()
    prediction = model(ddp.rand(2, 3, 64, 64))
    assert prediction.shape == (2, 10)
    prediction.sum().backward()
    trained = [name for name, parameter in model.named_parameters() if parameter.grad is not None]
    assert trained == ["fc.weight", "fc.bias"]


# -- the small network --------------------------------------------------------------------------


def test_the_network_has_ten_outputs_and_ten_learnable_parameters(network: dict[str, Any]) -> None:
    assert network["net"](network["input"]).shape == (4, 10)
    assert len(list(network["net"].parameters())) == 10


def test_the_update_by_hand_is_weight_minus_learning_rate_times_gradient(
    network: dict[str, Any],
) -> None:
    net = network["net"]
    network["criterion"](net(network["input"]), network["target"]).backward()
    before = [(values(p), values(p.grad)) for p in net.parameters()]
    run(blocks.UPDATE_BY_HAND, **network)
    for parameter, (weight, gradient) in zip(net.parameters(), before, strict=True):
        np.testing.assert_array_equal(values(parameter), weight - np.float32(0.01) * gradient)


def test_the_optimizer_does_the_update_by_hand(torch: Any, network: dict[str, Any]) -> None:
    net = network["net"]
    start = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    run(blocks.UPDATE_BY_OPTIMIZER, torch, **network)
    by_optimizer = [values(p) for p in net.parameters()]

    net.load_state_dict(start)
    net.zero_grad()
    network["criterion"](net(network["input"]), network["target"]).backward()
    run(blocks.UPDATE_BY_HAND, **network)
    for parameter, expected in zip(net.parameters(), by_optimizer, strict=True):
        np.testing.assert_allclose(values(parameter), expected, rtol=1e-6, atol=1e-8)


# -- clipping -----------------------------------------------------------------------------------


def test_clipping_by_value_clamps_each_element_before_the_step(steep: dict[str, Any]) -> None:
    before = values(steep["model"].weight)
    run(blocks.CLIPPING_BY_VALUE, **steep)
    np.testing.assert_array_equal(values(steep["model"].weight.grad), [[1.0, -1.0]])
    np.testing.assert_array_equal(values(steep["model"].bias.grad), [0.5])
    np.testing.assert_allclose(values(steep["model"].weight), before - [[0.1, -0.1]], rtol=1e-6)


def test_clipping_by_norm_shortens_all_gradients_together(steep: dict[str, Any]) -> None:
    run(blocks.CLIPPING_BY_NORM, **steep)
    norm = np.sqrt(30.0**2 + 40.0**2 + 0.5**2)
    np.testing.assert_allclose(
        values(steep["model"].weight.grad), np.array([[30.0, -40.0]]) / norm, rtol=1e-6
    )
    np.testing.assert_allclose(values(steep["model"].bias.grad), [0.5 / norm], rtol=1e-6)


# -- hooks --------------------------------------------------------------------------------------


def test_the_hook_prints_the_gradient_and_replaces_it(
    torch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    a = torch.tensor([1.0, 2.0], requires_grad=True)
    c = a * 3
    run(blocks.HOOK, c=c)
    c.sum().backward()
    assert capsys.readouterr().out == "tensor([1., 1.])\n"
    assert a.grad.tolist() == [9.0, 9.0]  # (1 + 2) · 3
