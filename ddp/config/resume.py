"""What binds a run to its checkpoints: the number of shards, and the keys that decide bits."""

from __future__ import annotations

from typing import Any

import msgspec

from ddp.config.reading import to_dict
from ddp.config.schema import Config, require_shards

# Whole tables whose every key enters the arithmetic of a step.
DECIDING_TABLES = ("model", "data", "optimizer", "schedule")
# The rest of what a step computes. `seed`: weights, order and dropout. `global_batch` and
# `shards`: the shapes of the products and the order of every sum.
DECIDING_KEYS = (
    "seed",
    "train.global_batch",
    "train.shards",
    "train.clip_norm",
    "train.kernels",
)
# The length of the run enters only through a schedule that bends towards its end.
LENGTH_KEYS = ("train.epochs", "train.steps")


def resolve_shards(config: Config, workers: int, stored: int | None = None) -> Config:
    """The config with `train.shards` set: to its own value, else `stored`, else `workers`.

    `stored` is the number of shards in the checkpoint a run goes on from. Raises ConfigError
    when there are fewer shards than workers or fewer samples in a batch than shards.
    """
    shards = config.train.shards or stored or workers
    require_shards(shards, workers)
    return msgspec.structs.replace(
        config, train=msgspec.structs.replace(config.train, shards=shards)
    )


def differences(a: Config, b: Config) -> list[str]:
    """The keys, sorted, that decide bits and differ between `a` and `b`.

    In: model, data, optimizer, schedule, seed, global batch, shards, clip norm, kernels: each
    changes a step's result. `train.epochs`/`steps` are in only under a schedule that uses the total
    number of steps (cosine, linear); otherwise a longer run begins with the same steps, so
    extending it is allowed. An unset `train.shards` agrees with any: it takes the other's value.

    Out: name, checkpoint cadence, evaluation cadence and batch (they compute nothing that
    feeds back), and the whole of `cluster` (workers, buckets and time limits never change bits).
    """
    flat_a, flat_b = _flatten(to_dict(a)), _flatten(to_dict(b))
    bends = a.schedule.uses_total_steps or b.schedule.uses_total_steps
    keys = {k for k in flat_a.keys() | flat_b.keys() if k.split(".")[0] in DECIDING_TABLES}
    keys |= {*DECIDING_KEYS, *(LENGTH_KEYS if bends else ())}
    if None in (a.train.shards, b.train.shards):
        keys.discard("train.shards")
    return sorted(k for k in keys if flat_a.get(k) != flat_b.get(k))


def value_of(config: Config, key: str) -> Any:
    """The value of a key such as "optimizer.lr"; None where the config does not have it."""
    return _flatten(to_dict(config)).get(key)


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        flat.update(_flatten(value, f"{name}.") if isinstance(value, dict) else {name: value})
    return flat
