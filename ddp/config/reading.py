"""TOML and `--set` in, a checked Config or a one-sentence ConfigError out.

A refusal says where the fault stands (the file, or the `--set` that brought it), the full key,
what came, what is expected, and for a misspelt key the nearest right one. The walk for unknown
keys comes before msgspec's conversion, which knows types and ranges but no neighbours.
"""

from __future__ import annotations

import difflib
import json
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

import msgspec

from ddp.config.schema import Config, Section
from ddp.errors import ConfigError

# What msgspec calls a type → what a person writing TOML calls it.
TYPE_NAMES = {
    "int": "an integer",
    "float": "a number",
    "str": "a string",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}
# A word that needs no quotes on the command line: a name, a path, "package.module:callable".
BARE_WORD = re.compile(r"[^\s\"'\[\]{}=#,]+")
PATTERNS = {
    "name": "letters, digits and . _ + -, beginning with a letter or digit",
    "factory": "'package.module:callable'",
}


def load(path: str | Path, overrides: Iterable[str] = ()) -> Config:
    """Read the TOML file at `path`, apply the overrides ("a.b=value") in order, check it all.

    A value is read as TOML, a bare word is a string, an empty value removes the key. The name of
    the run is the file's stem unless the file has one. Raises ConfigError.
    """
    path = Path(path)
    values = {"name": path.stem} | _read_toml(path)
    origins = {}
    for text in overrides:
        origins[_override(values, text)] = f"--set {text}"
    return from_dict(values, source=str(path), origins=origins)


def from_dict(
    values: Mapping[str, Any], source: str = "config", origins: Mapping[str, str] | None = None
) -> Config:
    """The Config of nested plain dicts, as `to_dict` gives and checkpoints store them.

    `source` begins the message of a ConfigError; `origins` names the keys that came from
    elsewhere.
    """
    try:
        _refuse_unknown(Config, values, ())
        _refuse_unstorable(values, "")
        return msgspec.convert(values, Config)
    except msgspec.ValidationError as error:
        message = _explain(str(error), values)
    except ConfigError as error:
        message = str(error)
    owners = (text for key, text in (origins or {}).items() if _quotes(message, key))
    raise ConfigError(f"{next(owners, source)}: {message}")


def to_dict(config: Config) -> dict[str, Any]:
    """The Config as nested plain dicts with every key present, fit for JSON and msgpack."""
    plain: dict[str, Any] = msgspec.to_builtins(config)
    return plain


# ---- the file


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file{_similar_files(path)}") from None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"{path}: expected a readable TOML file: {why}") from None
    except tomllib.TOMLDecodeError as error:
        what, _, where = str(error).removesuffix(")").partition(" (at ")
        raise ConfigError(f"{path}: {where}: not TOML: {what}") from None


def _similar_files(path: Path) -> str:
    folder = path.parent
    names = sorted(p.name for p in folder.glob("*.toml")) if folder.is_dir() else []
    near = difflib.get_close_matches(path.name, names, cutoff=0.4) or names[:5]
    return f" (in {folder} there is {', '.join(near)})" if near else ""


# ---- --set


def _override(values: dict[str, Any], text: str) -> str:
    """Put the override `text` into the nested `values`, in place; give back its key."""
    key, separator, value = text.partition("=")
    key, value = key.strip(), value.strip()
    *parents, last = key.split(".")
    if not separator or not all([*parents, last]):
        raise ConfigError(f"--set {text}: expected key=value, such as train.epochs=3")
    table = values
    for depth, parent in enumerate(parents):
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            inner = ".".join(parents[: depth + 1])
            raise ConfigError(f"--set {text}: '{inner}' is a value, not a table with keys")
    if value:
        table[last] = _parse_value(text, value)
    else:
        table.pop(last, None)
    return key


def _parse_value(text: str, value: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {value}")
    except tomllib.TOMLDecodeError:
        parsed = {"value": value} if BARE_WORD.fullmatch(value) else {}
    if list(parsed) != ["value"]:
        raise ConfigError(f"--set {text}: expected a TOML value or a bare word after '='")
    return parsed["value"]


# ---- refusals


def _refuse_unknown(kind: type[Section], values: Any, path: tuple[str, ...]) -> None:
    """Walk tables and structs together; the first key without a field is refused."""
    if not isinstance(values, Mapping):
        return  # a wrong type: msgspec says so
    tag = kind.__struct_config__.tag_field
    fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
    known = [*fields, *([tag] if tag else [])]
    for key in values:
        if key not in known:
            where = ".".join(path)
            raise ConfigError(_unknown_key(".".join((*path, key)), key, where, known, kind, values))
    for key, field_type in fields.items():
        table = _table_type(field_type, values.get(key))
        if table is not None:
            _refuse_unknown(table, values[key], (*path, key))


def _table_type(field_type: Any, value: Any) -> type[Section] | None:
    """The struct that `value` is to become: of a union, the one whose tag `value` has."""
    options = [t for t in (get_args(field_type) or (field_type,)) if _is_section(t)]
    if len(options) > 1 and isinstance(value, Mapping):
        options = [t for t in options if t.__struct_config__.tag == value.get("name")]
    return options[0] if len(options) == 1 and isinstance(value, Mapping) else None


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)


def _unknown_key(
    full: str,
    key: str,
    where: str,
    known: list[str],
    kind: type[Section],
    values: Mapping[str, Any],
) -> str:
    owner = f" of {values['name']}" if kind.__struct_config__.tag_field else ""
    near = difflib.get_close_matches(key, known, n=1)
    if near:
        return (
            f"unknown key '{full}'{owner} (did you mean '{f'{where}.' if where else ''}{near[0]}'?)"
        )
    return f"unknown key '{full}'{owner} (expected one of {', '.join(known)})"


def _refuse_unstorable(value: Any, key: str) -> None:
    """Refuse what TOML can say but a checkpoint or a message cannot carry."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            _refuse_unstorable(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list | tuple):
        for inner in value:
            _refuse_unstorable(inner, key)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"'{key}' is {value}: expected a finite number")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ConfigError(f"'{key}' is {value}: expected an integer of at most 64 bits")
    elif not isinstance(value, str | int | float | bool | None):
        raise ConfigError(f"'{key}' is {value}: expected a number, a string, a list or a table")


def _quotes(message: str, key: str) -> bool:
    """Whether `message` quotes `key`, something inside it, or a table that it opens."""
    quoted = re.findall(r"'([\w.]+)(?:\[\d+\])?'", message)
    return any(f"{q}.".startswith(f"{key}.") or f"{key}.".startswith(f"{q}.") for q in quoted)


def _explain(message: str, values: Mapping[str, Any]) -> str:
    """Turn msgspec's "… - at `$.a.b`" into a sentence with the key and the value that came."""
    what, _, location = message.partition(" - at `$")
    key = location.rstrip("`").lstrip(".")
    missing = re.fullmatch(r"Object missing required field `(\w+)`", what)
    if missing:
        return f"'{'.'.join(filter(None, [key, missing[1]]))}' is missing"
    return f"'{key}' is {_show(_value_at(values, key))}: {_expectation(what, key)}"


def _expectation(what: str, key: str) -> str:
    last = key.rsplit(".", 1)[-1]
    if what.startswith("Invalid value"):
        return f"expected one of {', '.join(_tags(key))}"
    if "matching regex" in what:
        return f"expected {PATTERNS[last]}"
    what = re.sub(r", got `\w+`$", "", what).removeprefix("Expected ")
    return "expected " + re.sub(r"`([^`]+)`", lambda found: _spell(found[1]), what)


def _spell(types: str) -> str:
    names = [TYPE_NAMES.get(name, name) for name in types.split(" | ") if name != "null"]
    return " or ".join(names)


def _tags(key: str) -> list[str]:
    section = key.split(".")[0]
    union = next(f.type for f in msgspec.structs.fields(Config) if f.name == section)
    return [str(option.__struct_config__.tag) for option in get_args(union)]


def _value_at(values: Any, key: str) -> Any:
    for part in re.findall(r"[^.\[\]]+", key):
        values = values[int(part)] if isinstance(values, list | tuple) else values[part]
    return values


def _show(value: Any) -> str:
    return json.dumps(value, default=str)
