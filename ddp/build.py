"""From a configuration to the things it names: model, loss, data sets, optimizer."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddp import kernels
from ddp.autograd.random import Generator, use_generator
from ddp.autograd.tensor import Tensor
from ddp.config.imports import call_factory, import_callable
from ddp.config.schema import Config, Model
from ddp.data.files import AnyDataset, open_datasets
from ddp.errors import CheckpointError, ConfigError
from ddp.nn.loss_layers import BCEWithLogitsLoss, CrossEntropyLoss, MSELoss
from ddp.nn.module import Module
from ddp.optim.adagrad import Adadelta, Adagrad
from ddp.optim.adam import Adam, AdamW
from ddp.optim.adam_variants import Adamax, NAdam, RAdam
from ddp.optim.elementwise import ElementwiseOptimizer
from ddp.optim.rmsprop import RMSprop
from ddp.optim.sgd import SGD
from ddp.serialization.weights import load_state

Loss = Callable[[Tensor, Tensor], Tensor]

LOSSES: dict[str, Callable[[], Loss]] = {
    "cross_entropy": CrossEntropyLoss,
    "mse": MSELoss,
    "bce_with_logits": BCEWithLogitsLoss,
}
OPTIMIZERS: dict[str, Callable[..., ElementwiseOptimizer]] = {
    "SGD": SGD,
    "Adam": Adam,
    "AdamW": AdamW,
    "RMSprop": RMSprop,
    "Adagrad": Adagrad,
    "Adadelta": Adadelta,
    "Adamax": Adamax,
    "NAdam": NAdam,
    "RAdam": RAdam,
}


@dataclass(frozen=True, slots=True)
class Task:
    """What a run is about: a model with its initial weights, a mean loss, and the data."""

    model: Module
    loss: Loss  # (output, target) -> the mean over the samples
    train: AnyDataset
    test: AnyDataset | None


def build_task(config: Config) -> Task:
    """Everything the configuration names, its kernels among it. The seed decides the weights.

    Raises ConfigError and DataError.
    """
    kernels.use(config.train.kernels)
    if config.train.after is not None:  # a wrong name is told before training, not after it
        import_callable(config.train.after, "train.after")
    train, test = open_datasets(config.data)
    return Task(build_model(config), build_loss(config.model.loss), train, test)


def build_model(config: Config) -> Module:
    """The model with its initial weights and its frozen parts. Raises ConfigError."""
    model = make_model(config)
    take_weights(model, config.model)
    freeze(model, config.model.freeze)
    return model


def make_model(config: Config) -> Module:
    """What the factory makes, from the seed."""
    with use_generator(Generator(config.seed)):
        model = call_factory(config.model.factory, config.model.args, "model.factory")
    if not isinstance(model, Module):
        raise ConfigError(
            f"'model.factory' is '{config.model.factory}': expected it to give a ddp.nn.Module, "
            f"got a {type(model).__name__}"
        )
    return model


def take_weights(model: Module, table: Model) -> None:
    """Load the file `model.weights`, if there is one, but for the parts in `model.fresh`."""
    if table.weights is None:
        return
    kept = members_of(model, table.fresh, "model.fresh", model.state_dict())
    try:
        found = load_state(Path(table.weights).expanduser())
        own = {name: tensor for name, tensor in model.state_dict().items() if name in kept}
        others = {name: value for name, value in found.items() if not _is_part(name, table.fresh)}
        model.load_state_dict(others | own)
    except (CheckpointError, RuntimeError) as error:
        what = re.sub(r"\s+", " ", str(error)).strip()
        raise ConfigError(f"'model.weights' is '{table.weights}': {what}") from None


def freeze(model: Module, parts: Sequence[str]) -> None:
    """Take the parameters of these parts out of training."""
    parameters = dict(model.named_parameters())
    for name in members_of(model, parts, "model.freeze", parameters):
        parameters[name].requires_grad = False


def members_of(model: Module, parts: Sequence[str], key: str, members: Iterable[str]) -> list[str]:
    """The names among `members` that belong to `parts`, names of modules or of members.

    Raises ConfigError for a part, under the config's `key`, that there is not.
    """
    names = list(members)
    for part in parts:
        if not any(_is_part(name, [part]) for name in names):
            known = [name for name, _ in model.named_modules() if name] + names
            near = difflib.get_close_matches(part, known, n=1)
            hint = f" (did you mean '{near[0]}'?)" if near else ""
            raise ConfigError(f"'{key}' names '{part}', which the model does not have{hint}")
    return [name for name in names if _is_part(name, parts)]


def _is_part(name: str, parts: Sequence[str]) -> bool:
    return any(name == part or name.startswith(f"{part}.") for part in parts)


def text_after(config: Config, weights: Mapping[str, Any]) -> str | None:
    """What `train.after` says of the model with these trained weights; None when it is not set."""
    if config.train.after is None:
        return None
    model = make_model(config)
    model.load_state_dict(weights)
    return str(import_callable(config.train.after, "train.after")(model.eval()))


def build_loss(name: str) -> Loss:
    return LOSSES[name]() if name in LOSSES else import_callable(name, "model.loss")


def make_optimizer(config: Config) -> Callable[[Sequence[Tensor]], ElementwiseOptimizer]:
    """A function that makes the configured optimizer over any list of tensors."""
    arguments: dict[str, Any] = config.optimizer.arguments()
    return lambda tensors: OPTIMIZERS[config.optimizer.name](list(tensors), **arguments)
