"""From a configuration to the things it names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ddp.autograd.random import current_generator
from ddp.autograd.tensor import Tensor
from ddp.build import OPTIMIZERS, build_loss, build_model, build_task, make_optimizer, text_after
from ddp.config import Config, from_dict
from ddp.errors import ConfigError
from ddp.nn.loss_layers import BCEWithLogitsLoss, CrossEntropyLoss, MSELoss
from ddp.nn.module import Module
from ddp.optim.adam import Adam, AdamW
from ddp.optim.optimizer import Optimizer
from ddp.optim.sgd import SGD
from ddp.serialization import save
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


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_of_the_config_has_the_defaults_of_its_class(name: str) -> None:
    tensors = [Tensor(np.zeros(2, np.float32))]
    made = make_optimizer(config(optimizer={"name": name, "lr": 0.5}))(tensors)
    assert made.param_groups == OPTIMIZERS[name](tensors, lr=0.5).param_groups


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


# ---- where a model starts, and what is trained of it


def frozen_and_trained(model: Module) -> tuple[list[str], list[str]]:
    named = list(model.named_parameters())
    return [n for n, p in named if not p.requires_grad], [n for n, p in named if p.requires_grad]


def test_frozen_parts_are_not_trained() -> None:
    built = build_model(config(model={"freeze": ["0", "1.weight"]}))
    frozen, trained = frozen_and_trained(built)
    assert frozen == ["0.weight", "0.bias", "1.weight"]
    assert trained == ["1.bias", "4.weight", "4.bias"]


@pytest.mark.parametrize(
    ("part", "hint"), [("4.wieght", r" \(did you mean '4\.weight'\?\)"), ("layer", "$"), ("", "$")]
)
def test_a_part_to_freeze_that_is_not_there_is_refused(part: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=rf"'model\.freeze' names '{part}', which .* have{hint}"):
        build_model(config(model={"freeze": [part]}))


def test_a_name_is_not_taken_for_another_that_begins_with_it() -> None:
    deep = {"args": {"depth": 5, "extras": False}, "freeze": ["1", "10"]}
    frozen, _ = frozen_and_trained(build_model(config(model={**deep, "freeze": ["10"]})))
    assert frozen == ["10.weight", "10.bias"]
    with pytest.raises(ConfigError, match="names '1'"):  # a ReLU, which has nothing to freeze
        build_model(config(model=deep))


def test_weights_come_from_a_file(tmp_path: Path) -> None:
    source, path = build_model(config(seed=5)), tmp_path / "w.pth"
    save(source.state_dict(), path)
    built = build_model(config(model={"weights": str(path)}))
    assert weights(built) == weights(source)


def test_fresh_parts_keep_the_weights_of_the_seed(tmp_path: Path) -> None:
    """The file's last layer has two classes, the model's three."""
    path = tmp_path / "w.safetensors"
    source = build_model(config(seed=5, model={"args": {"classes": 2}}))
    save(source.state_dict(), path)
    built = build_model(config(model={"weights": str(path), "fresh": ["4"]}))
    assert weights(built)[:4] == weights(source)[:4]
    assert weights(built)[4:] == weights(build_model(config()))[4:]


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"weights": "{}/none.pth"}, r"'model\.weights' is '.*none\.pth': .*no such file"),
        ({"weights": "{}/w.pth"}, r"'model\.weights' is .* size mismatch for 4\.weight"),
        ({"weights": "{}/bad.pth"}, r"'model\.weights' is .*bad\.pth: not a whole file"),
        ({"weights": "{}/w.pth", "fresh": ["fc"]}, r"'model\.fresh' names 'fc', which"),
    ],
)
def test_weights_that_cannot_be_taken_are_refused(
    table: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    save(build_model(config(model={"args": {"classes": 2}})).state_dict(), tmp_path / "w.pth")
    (tmp_path / "bad.pth").write_bytes(b"bad")
    table = table | {"weights": table["weights"].format(tmp_path)}
    with pytest.raises(ConfigError, match=sentence) as caught:
        build_model(config(model=table))
    assert "\n" not in str(caught.value)


def test_fresh_parts_without_weights_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"'model\.fresh' has a meaning only together with"):
        config(model={"fresh": ["4"]})


# ---- what is said of the trained model


def mean_weight(model: Module) -> str:
    assert not model.training
    (first, *_) = model.parameters()
    return f"mean weight {first.array.mean():.1f}"


AFTER = {"after": "tests.test_build:mean_weight"}


def test_the_text_after_training_is_about_the_trained_weights(tmp_path: Path) -> None:
    """The file of initial weights is not needed for it."""
    table = {"weights": str(tmp_path / "gone.pth")}
    start = build_model(config()).state_dict()
    trained = {name: np.full_like(tensor.array, 7) for name, tensor in start.items()}
    assert text_after(config(model=table, train=AFTER), trained) == "mean weight 7.0"
    assert text_after(config(), trained) is None


def test_a_wrong_name_after_training_is_refused_before_it() -> None:
    with pytest.raises(ConfigError, match=r"'train\.after'.*did you mean 'mean_weight'"):
        build_task(config(train={"after": "tests.test_build:mean_wieght"}))
