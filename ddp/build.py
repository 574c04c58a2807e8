"""From a configuration to the things it names: model, loss, data sets, optimizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ddp.autograd.random import Generator, use_generator
from ddp.autograd.tensor import Tensor
from ddp.config.imports import call_factory, import_callable
from ddp.config.schema import Config
from ddp.data.files import AnyDataset, open_datasets
from ddp.errors import ConfigError
from ddp.nn.loss_layers import BCEWithLogitsLoss, CrossEntropyLoss, MSELoss
from ddp.nn.module import Module
from ddp.optim.adam import Adam, AdamW
from ddp.optim.optimizer import Optimizer
from ddp.optim.sgd import SGD

Loss = Callable[[Tensor, Tensor], Tensor]

LOSSES: dict[str, Callable[[], Loss]] = {
    "cross_entropy": CrossEntropyLoss,
    "mse": MSELoss,
    "bce_with_logits": BCEWithLogitsLoss,
}
OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {"SGD": SGD, "Adam": Adam, "AdamW": AdamW}


@dataclass(frozen=True, slots=True)
class Task:
    """What a run is about: a model with its initial weights, a mean loss, and the data."""

    model: Module
    loss: Loss  # (output, target) -> the mean over the samples
    train: AnyDataset
    test: AnyDataset | None


def build_task(config: Config) -> Task:
    """Everything the configuration names. The initial weights depend on the seed alone.

    Raises ConfigError and DataError.
    """
    train, test = open_datasets(config.data)
    return Task(build_model(config), build_loss(config.model.loss), train, test)


def build_model(config: Config) -> Module:
    with use_generator(Generator(config.seed)):
        model = call_factory(config.model.factory, config.model.args, "model.factory")
    if not isinstance(model, Module):
        raise ConfigError(
            f"'model.factory' is '{config.model.factory}': expected it to give a ddp.nn.Module, "
            f"got a {type(model).__name__}"
        )
    return model


def build_loss(name: str) -> Loss:
    return LOSSES[name]() if name in LOSSES else import_callable(name, "model.loss")


def make_optimizer(config: Config) -> Callable[[Sequence[Tensor]], Optimizer]:
    """A function that makes the configured optimizer over any list of tensors."""
    arguments: dict[str, Any] = config.optimizer.arguments()
    return lambda tensors: OPTIMIZERS[config.optimizer.name](list(tensors), **arguments)
