"""A configuration is read, checked and refused as promised: one sentence, the key, the cure."""

from __future__ import annotations

import contextlib
import json
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddp.config import (
    Config,
    call_factory,
    differences,
    from_dict,
    import_callable,
    load,
    resolve_shards,
    to_dict,
)
from ddp.errors import ConfigError
from ddp.schedule import SCHEDULES, learning_rate

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.toml"))

BASE = """
[model]
factory = "shop.models:build"

[data]
factory = "shop.data:sets"

[optimizer]
name = "SGD"
lr = 0.1

[train]
epochs = 2
global_batch = 32
"""

KEYS = [
    *["name", "seed", "model", "data", "optimizer", "schedule", "train", "checkpoint", "cluster"],
    *["factory", "args", "loss", "lr", "betas", "scale", "epochs", "shards", "keep", "workers"],
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(BASE)
    return path


def refusal(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, overrides)
    text = str(caught.value)
    assert "\n" not in text
    return text


# ---- reading


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_file_in_configs_is_loaded_and_bears_its_own_name(path: Path) -> None:
    assert load(path).name == path.stem


def test_there_are_configs_to_load() -> None:
    assert {"digits", "quick"} <= {path.stem for path in CONFIGS}


def test_what_is_not_said_has_the_promised_defaults(file: Path) -> None:
    config = load(file)
    assert (config.name, config.seed, config.model.loss) == ("small", 0, "cross_entropy")
    assert config.schedule.name == "constant"
    assert (config.train.shards, config.train.clip_norm, config.checkpoint.keep) == (None, None, 3)
    assert (config.cluster.first_bucket_bytes, config.cluster.bucket_bytes) == (2**20, 25 * 2**20)


def test_a_config_survives_json_unchanged(file: Path) -> None:
    config = load(file, ["optimizer.name=AdamW", "optimizer.lr=1e-3", "model.args.sizes=[3, 4]"])
    assert from_dict(json.loads(json.dumps(to_dict(config)))) == config


DECOUPLED = "decoupled_weight_decay"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("SGD", {"lr", "momentum", "dampening", "weight_decay", "nesterov"}),
        ("Adam", {"lr", "betas", "eps", "weight_decay", "amsgrad"}),
        ("AdamW", {"lr", "betas", "eps", "weight_decay", "amsgrad"}),
        ("RMSprop", {"lr", "alpha", "eps", "weight_decay", "momentum", "centered"}),
        ("Adagrad", {"lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps"}),
        ("Adadelta", {"lr", "rho", "eps", "weight_decay"}),
        ("Adamax", {"lr", "betas", "eps", "weight_decay"}),
        ("NAdam", {"lr", "betas", "eps", "weight_decay", "momentum_decay", DECOUPLED}),
        ("RAdam", {"lr", "betas", "eps", "weight_decay", DECOUPLED}),
    ],
)
def test_an_optimizer_hands_on_its_own_arguments(
    file: Path, name: str, arguments: set[str]
) -> None:
    optimizer = load(file, [f"optimizer.name={name}"]).optimizer
    assert optimizer.name == name
    assert set(optimizer.arguments()) == arguments


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_hands_on_arguments_that_its_formula_takes(file: Path, name: str) -> None:
    extra = ["schedule.step_size=5"] if name == "step" else []
    schedule = load(file, [f"schedule.name={name}", *extra]).schedule
    assert learning_rate(schedule.name, 0.1, 0, 10, **schedule.arguments()) == 0.1


# ---- --set


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("model.args.width=32", 32),
        ("model.args.width=3.5", 3.5),
        ("model.args.width=true", True),
        ("model.args.width=wide", "wide"),
        ("model.args.width='two words'", "two words"),
        ("model.args.width=[1, 2]", [1, 2]),
        ("model.args.width = {a = 1}", {"a": 1}),
        ("model.args.width=some/path-1.npz", "some/path-1.npz"),
        ("model.args.width=a.b:c", "a.b:c"),
    ],
)
def test_an_override_is_toml_or_a_bare_word(file: Path, override: str, value: Any) -> None:
    assert load(file, [override]).model.args == {"width": value}


def test_the_last_override_of_a_key_holds(file: Path) -> None:
    assert load(file, ["seed=1", "seed=2"]).seed == 2


def test_an_empty_override_takes_a_key_away(file: Path) -> None:
    train = load(file, ["train.epochs=", "train.steps=7"]).train
    assert (train.epochs, train.steps) == (None, 7)


@pytest.mark.parametrize(
    ("override", "answer"),
    [
        ("train", "expected key=value, such as train.epochs=3"),
        ("=3", "expected key=value, such as train.epochs=3"),
        ("train..epochs=3", "expected key=value, such as train.epochs=3"),
        ("train.epochs=[1", "expected a TOML value or a bare word after '='"),
        ("train.epochs=1\nseed=2", "expected a TOML value or a bare word after '='"),
        ("train.epochs.most=1", "'train.epochs' is a value, not a table with keys"),
    ],
)
def test_an_override_that_cannot_be_read_is_refused(file: Path, override: str, answer: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(file, [override])
    assert str(caught.value) == f"--set {override}: {answer}"


# ---- refusals: (overrides, whose fault, what is said)

REFUSALS = [
    ("train.global_bach=3", "unknown key 'train.global_bach' (did you mean 'train.global_batch'?)"),
    ("trian.epochs=1", "unknown key 'trian' (did you mean 'train'?)"),
    (
        "cluster.zzz=1",
        "unknown key 'cluster.zzz' (expected one of workers, heartbeat_s, heartbeat_timeout_s, "
        "join_timeout_s, exchange_timeout_s, first_bucket_bytes, bucket_bytes, shared_memory, "
        "allow_other_kernel)",
    ),
    (
        "optimizer.amsgrad=true",
        "unknown key 'optimizer.amsgrad' of SGD "
        "(expected one of lr, momentum, dampening, weight_decay, nesterov, name)",
    ),
    (
        "schedule={name='cosine', finl_lr=1}",
        "unknown key 'schedule.finl_lr' of cosine (did you mean 'schedule.final_lr'?)",
    ),
    ("train.epochs=many", "'train.epochs' is \"many\": expected an integer"),
    ("train.epochs=1.5", "'train.epochs' is 1.5: expected an integer"),
    ("train.epochs=true", "'train.epochs' is true: expected an integer"),
    ("train.epochs=0", "'train.epochs' is 0: expected an integer >= 1"),
    ("optimizer.lr='0.1'", "'optimizer.lr' is \"0.1\": expected a number"),
    ("optimizer.lr=-1", "'optimizer.lr' is -1: expected a number >= 0.0"),
    ("optimizer.lr=nan", "'optimizer.lr' is nan: expected a finite number"),
    ("optimizer.nesterov=1", "'optimizer.nesterov' is 1: expected true or false"),
    (
        "optimizer.name=Sgd",
        "'optimizer.name' is \"Sgd\": expected one of SGD, Adam, AdamW, RMSprop, Adagrad, "
        "Adadelta, Adamax, NAdam, RAdam",
    ),
    ("optimizer.name=", "'optimizer.name' is missing"),
    ("model.factory=", "'model.factory' is missing"),
    ("model=", "'model' is missing"),
    ("model=3", "'model' is 3: expected a table"),
    ("model.factory=build", "'model.factory' is \"build\": expected 'package.module:callable'"),
    (
        "model.loss=crossentropy",
        "'model.loss' is 'crossentropy': expected one of cross_entropy, mse, bce_with_logits, "
        "or 'package.module:callable'",
    ),
    ("train.kernels=c", "'train.kernels' is \"c\": expected one of numpy, numba"),
    ("seed=-1", "'seed' is -1: expected an integer >= 0"),
    ("seed=1979-05-27", "'seed' is 1979-05-27: expected a number, a string, a list or a table"),
    (
        "seed=99999999999999999999",
        "'seed' is 99999999999999999999: expected an integer of at most 64 bits",
    ),
    (
        "name='../x'",
        "'name' is \"../x\": expected letters, digits and . _ + -, "
        "beginning with a letter or digit",
    ),
    (
        "train.steps=3",
        "'train.epochs' and 'train.steps': expected exactly one of them, got both "
        "(an empty --set train.epochs= takes one away)",
    ),
    (
        "train.epochs=",
        "'train.epochs' and 'train.steps': expected exactly one of them, got neither",
    ),
    (
        "train.shards=33",
        "'train.global_batch' is 32: expected at least 'train.shards' = 33, "
        "a sample for every shard",
    ),
    (
        "optimizer.nesterov=true",
        "'optimizer.nesterov' is true: expected 'optimizer.momentum' above 0 and "
        "'optimizer.dampening' 0 with it",
    ),
    ("checkpoint.keep=0", "'checkpoint.keep' is 0: expected an integer >= 1"),
    (
        "cluster.heartbeat_s=5",
        "'cluster.heartbeat_timeout_s' is 10.0: expected more than twice "
        "'cluster.heartbeat_s' = 5.0, or one late heartbeat ends the run",
    ),
    ("cluster.bucket_bytes=0", "'cluster.bucket_bytes' is 0: expected an integer >= 1"),
    (
        "data.train=x.npz",
        "'data.factory' and 'data.train': expected exactly one of them, got both",
    ),
    ("data.factory=", "'data.factory' and 'data.train': expected exactly one of them, got neither"),
    ("data.scale=0.5", "'data.scale' has a meaning only together with 'data.train'"),
    ("data.test=x.npz", "'data.test' has a meaning only together with 'data.train'"),
]


@pytest.mark.parametrize(("override", "answer"), REFUSALS, ids=[o for o, _ in REFUSALS])
def test_a_wrong_override_is_named_in_one_sentence(file: Path, override: str, answer: str) -> None:
    assert refusal(file, override) == f"--set {override}: {answer}"


@pytest.mark.parametrize(
    ("overrides", "answer"),
    [
        (
            ["optimizer.name=Adam", "optimizer.betas=[0.9]"],
            "'optimizer.betas' is [0.9]: expected a list of length 2, got 1",
        ),
        (
            ["optimizer.name=Adam", "optimizer.betas=[0.9, 1.0]"],
            "'optimizer.betas[1]' is 1.0: expected a number < 1.0",
        ),
        (
            ["data.factory=", "data.train=x.csv"],
            "'data.train' is 'x.csv': expected the path of a .npz file with the arrays x and y, "
            "or a pair of .npy files",
        ),
        (
            ["data.factory=", "data.train=['x.npy']"],
            "'data.train' is ['x.npy']: expected the path of a .npz file with the arrays "
            "x and y, or a pair of .npy files",
        ),
        (
            ["data.factory=", "data.train=x.npz", "data.args={a=1}"],
            "'data.args' has a meaning only together with 'data.factory'",
        ),
        (
            ["train.epochs=", "train.steps=9", "schedule.name=constant", "schedule.warmup_steps=9"],
            "'schedule.warmup_steps' is 9: expected fewer than 'train.steps' = 9",
        ),
        (
            ["cluster.workers=3", "train.shards=2"],
            "'train.shards' is 2: expected at least the number of workers, 3; "
            "a worker without a shard has nothing to compute",
        ),
    ],
)
def test_keys_that_do_not_go_together_are_refused(
    file: Path, overrides: list[str], answer: str
) -> None:
    assert refusal(file, *overrides).endswith(f": {answer}")


def test_a_fault_in_the_file_is_put_to_the_file(file: Path) -> None:
    file.write_text(BASE.replace("epochs", "epoch"))
    said = refusal(file, "seed=3")
    assert said == f"{file}: unknown key 'train.epoch' (did you mean 'train.epochs'?)"


def test_malformed_toml_is_named_with_line_and_column(file: Path) -> None:
    file.write_text(BASE + "clip_norm = = 1\n")
    line = BASE.count("\n") + 1
    assert refusal(file) == f"{file}: line {line}, column 13: not TOML: Invalid value"


def test_a_file_that_ends_too_soon_is_malformed(file: Path) -> None:
    file.write_text(BASE + 'name = "x')
    assert f"{file}: " in refusal(file)
    assert "not TOML: " in refusal(file)


def test_bytes_that_are_no_text_are_refused(file: Path) -> None:
    file.write_bytes(b"name = '\xff'\n")
    assert refusal(file) == f"{file}: expected a readable TOML file: not UTF-8 text"


def test_a_missing_file_brings_its_neighbours_to_mind(file: Path) -> None:
    missing = file.with_name("smal.toml")
    assert refusal(missing) == f"{missing}: no such file (in {file.parent} there is small.toml)"


def test_a_directory_is_no_configuration(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path}: expected a readable TOML file: Is a directory"


def test_every_key_of_every_table_is_known_by_its_name(file: Path) -> None:
    """to_dict names all keys; each of them is accepted back, none is lost."""
    plain = to_dict(load(file))
    assert set(plain) == {
        "name", "seed", "model", "data", "optimizer", "schedule", "train", "checkpoint", "cluster",
    }  # fmt: skip
    assert to_dict(from_dict(plain)) == plain


# Anything a TOML file can hold.
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
words = st.sampled_from(["SGD", "Adam", "cosine", "a.b:c", "x.npz", "y.npy", "lr", "args"])
anything = st.recursive(
    scalars | words,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.sampled_from(KEYS), st.sampled_from(KEYS), anything)
def test_whatever_stands_under_a_key_is_taken_or_refused_by_us(
    outer: str, inner: str, value: Any
) -> None:
    base = tomllib.loads(BASE)
    for values in (base | {outer: value}, base | {outer: {**base.get(outer, {}), inner: value}}):
        with contextlib.suppress(ConfigError):
            config = from_dict(values)
            assert from_dict(json.loads(json.dumps(to_dict(config)))) == config


# ---- going on from a checkpoint


def changed(file: Path, *overrides: str, base: tuple[str, ...] = ()) -> list[str]:
    return differences(load(file, base), load(file, [*base, *overrides]))


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("seed=1", "seed"),
        ("model.args.width=3", "model.args.width"),
        ("model.loss=mse", "model.loss"),
        ("optimizer.lr=0.2", "optimizer.lr"),
        ("schedule.warmup_steps=3", "schedule.warmup_steps"),
        ("train.global_batch=64", "train.global_batch"),
        ("train.clip_norm=1.0", "train.clip_norm"),
        ("train.kernels='numba'", "train.kernels"),
        ("train.shards=4", "train.shards"),
        ("data.args.part=1", "data.args.part"),
    ],
)
def test_a_key_that_decides_bits_is_a_difference(file: Path, override: str, key: str) -> None:
    base = ("train.shards=2", "schedule.name=constant")
    assert changed(file, override, base=base) == [key]


@pytest.mark.parametrize(
    "override",
    [
        "name=other",
        "train.epochs=9",
        "train.evaluate_every_epochs=2",
        "train.evaluation_batch=8",
        "checkpoint.keep=9",
        "cluster.workers=2",
        "cluster.bucket_bytes=1000",
    ],
)
def test_a_key_that_cannot_change_a_bit_is_no_difference(file: Path, override: str) -> None:
    assert changed(file, override) == []


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_the_length_counts_under_a_schedule_that_bends_towards_the_end(
    file: Path, schedule: str
) -> None:
    base = (f"schedule.name={schedule}",)
    assert changed(file, "train.epochs=9", base=base) == ["train.epochs"]


def test_a_change_of_optimizer_is_told_by_its_name(file: Path) -> None:
    keys = changed(file, "optimizer.name=Adam")
    assert "optimizer.name" in keys
    assert "optimizer.momentum" in keys


def test_shards_not_set_agree_with_those_of_the_checkpoint(file: Path) -> None:
    assert changed(file, "train.shards=3") == []


@pytest.mark.parametrize(
    ("shards", "stored", "workers", "resolved"),
    [(None, None, 3, 3), (None, 4, 2, 4), (6, None, 2, 6), (6, 4, 2, 6)],
)
def test_shards_come_from_the_config_then_the_checkpoint_then_the_workers(
    file: Path, shards: int | None, stored: int | None, workers: int, resolved: int
) -> None:
    config = load(file, [f"train.shards={shards}"] if shards else [])
    assert resolve_shards(config, workers, stored).train.shards == resolved


def test_more_workers_than_shards_are_refused(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"'train.shards' is 2: expected at least .* workers, 3"):
        resolve_shards(load(file, ["train.shards=2"]), 3)


def test_more_workers_than_samples_in_a_batch_are_refused(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"'train.global_batch' is 32: expected at least"):
        resolve_shards(load(file), 33)


# ---- factories


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's package in the working directory; forgotten again after the test."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").write_text("")
    (tmp_path / "shop" / "models.py").write_text(
        "def build(width: int, depth: int = 2) -> tuple:\n    return (width, depth)\nlimit = 3\n"
    )
    (tmp_path / "shop" / "broken.py").write_text("import not_installed_anywhere\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "shop"]:
        del sys.modules[name]


@pytest.mark.usefixtures("shop")
def test_a_factory_in_the_working_directory_is_found_and_called() -> None:
    assert import_callable("shop.models:build", "model.factory")(1) == (1, 2)
    assert call_factory("shop.models:build", {"width": 5}, "model.factory") == (5, 2)


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("spec", "answer"),
    [
        ("shopp.models:build", "there is no module 'shopp' (did you mean 'shop'?)"),
        ("shop.model:build", "there is no module 'shop.model' (did you mean 'shop.models'?)"),
        ("shop.models:biuld", "shop.models has no 'biuld' (did you mean 'build'?)"),
        ("shop.models:limit", "expected something callable, found a int"),
    ],
)
def test_a_factory_that_is_not_there_is_refused_with_the_nearest(spec: str, answer: str) -> None:
    with pytest.raises(ConfigError) as caught:
        import_callable(spec, "model.factory")
    assert str(caught.value) == f"'model.factory' is '{spec}': {answer}"


@pytest.mark.usefixtures("shop")
def test_a_fault_inside_the_users_module_keeps_its_own_error() -> None:
    with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere"):
        import_callable("shop.broken:build", "model.factory")


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        ({"widht": 5}, "unknown key 'model.args.widht' (did you mean 'model.args.width'?)"),
        ({}, "'model.args': missing a required argument: 'width'"),
    ],
)
def test_arguments_that_the_factory_does_not_take_are_refused(
    arguments: dict[str, Any], answer: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        call_factory("shop.models:build", arguments, "model.factory")
    assert str(caught.value) == f"{answer}: shop.models:build takes (width, depth=2)"


def test_the_digits_config_is_plain_toml(file: Path) -> None:
    config = next(path for path in CONFIGS if path.stem == "digits")
    assert isinstance(load(config), Config)
    assert tomllib.loads(config.read_text())["train"]["shards"] == 4
