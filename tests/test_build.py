"""From a configuration to the things it names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ddp.autograd.random import current_generator
from ddp.autograd.tensor import Tensor
from ddp.build import build_loss, build_model, build_task, make_optimizer
from ddp.config import Config, from_dict
from ddp.errors import ConfigError
from ddp.nn.loss_layers import BCEWithLogitsLoss, CrossEntropyLoss, MSELoss
from ddp.nn.module import Module
from ddp.optim.adam import Adam, AdamW
from ddp.optim.optimizer import Optimizer
from ddp.optim.sgd import SGD
from tests.helpers.tasks import tables


def config(seed: int = 0, **changes: dict[str, Any]) -> Config:
    return from_dict({"seed": seed, **tables(**changes)})


def weights(model: Module) -> list[bytes]:
    return [parameter.array.tobytes() for parameter in model.parameters()]


def test_a_task_has_the_model_the_loss_and_both_data_sets() -> None:
    task = build_task(config())
    assert isinstance(task.loss, CrossEntropyLoss)
    assert (len(task.train), len(task.test or ())) == (24, 8)
    assert task.model(Tensor(np.zeros((2, 5), np.float32))).shape == (2, 3)


def test_the_initial_weights_depend_on_the_seed_alone() -> None:
    first = weights(build_model(config(seed=1)))
    current_generator().uniform((10,), 0.0, 1.0)  # numbers drawn elsewhere change nothing
    assert weights(build_model(config(seed=1))) == first
    assert weights(build_model(config(seed=2))) != first


def test_building_a_model_draws_nothing_from_the_generator_of_others() -> None:
    drawn = current_generator()
    build_model(config())
    assert current_generator() is drawn


def test_arguments_reach_the_factory() -> None:
    model = build_model(config(model={"args": {"hidden": 9, "extras": False}}))
    assert model[0].weight.shape == (9, 5)


@pytest.mark.parametrize("factory", ["builtins:dict", "tests.helpers.tasks:blobs"])
def test_a_factory_that_gives_no_module_is_refused(factory: str) -> None:
    with pytest.raises(ConfigError, match=r"'model\.factory'.*expected it to give a ddp\.nn\."):
        build_model(config(model={"factory": factory}))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("cross_entropy", CrossEntropyLoss),
        ("mse", MSELoss),
        ("bce_with_logits", BCEWithLogitsLoss),
    ],
)
def test_losses_are_known_by_name(name: str, kind: type) -> None:
    assert type(build_loss(name)) is kind


def absolute_error(output: Tensor, target: Tensor) -> Tensor:
    return (output - target).abs().mean()


def test_a_loss_may_be_any_callable() -> None:
    assert build_loss("tests.test_build:absolute_error") is absolute_error


def test_a_loss_that_does_not_exist_is_refused_with_its_key() -> None:
    with pytest.raises(ConfigError, match=r"'model\.loss'"):
        build_loss("tests.test_build:relative_error")


@pytest.mark.parametrize(
    ("table", "kind", "expected"),
    [
        ({"name": "SGD", "lr": 0.5, "momentum": 0.9, "nesterov": True}, SGD, {"nesterov": True}),
        ({"name": "Adam", "lr": 0.5, "betas": [0.8, 0.9]}, Adam, {"betas": (0.8, 0.9)}),
        ({"name": "AdamW", "lr": 0.5, "amsgrad": True}, AdamW, {"amsgrad": True}),
    ],
)
def test_the_optimizer_gets_its_arguments_and_can_be_made_over_any_tensors(
    table: dict[str, Any], kind: type[Optimizer], expected: dict[str, Any]
) -> None:
    make = make_optimizer(config(optimizer=table))
    for tensors in ([Tensor(np.zeros(2, np.float32))], [Tensor(np.zeros(0, np.float32))]):
        optimizer = make(tensors)
        assert type(optimizer) is kind
        (group,) = optimizer.param_groups
        assert group["params"] == tensors
        assert group.items() >= ({"lr": 0.5} | expected).items()
