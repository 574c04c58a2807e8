"""How a configuration is refused: the full key, what came, what is expected, the nearest right key.

The walk for unknown keys comes before msgspec's conversion, which knows types and ranges but no
neighbours; what the conversion then says is put into the words of someone who writes TOML. Keys
are quoted in single quotes, so that `quotes` finds again what a message is about.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Mapping
from typing import Any, get_args

import msgspec

from ddp.config.schema import Config
from ddp.config.section import Section
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
PATTERNS = {
    "name": "letters, digits and . _ + -, beginning with a letter or digit",
    "factory": "'package.module:callable'",
    "after": "'package.module:callable'",
}


def refuse_unknown(kind: type[Section], values: Any, prefix: str = "") -> None:
    """Walk tables and structs together; the first key without a field is refused."""
    if not isinstance(values, Mapping):
        return  # a wrong type: msgspec says so
    tag = kind.__struct_config__.tag_field
    fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
    known = [*fields, *([tag] if tag else [])]
    for key in values:
        if key not in known:
            owner = f" of {values[tag]}" if tag else ""
            raise ConfigError(f"unknown key '{prefix}{key}'{owner} {_hint(key, known, prefix)}")
    for key, field_type in fields.items():
        table = _table_type(field_type, values.get(key))
        if table is not None:
            refuse_unknown(table, values[key], f"{prefix}{key}.")


def _hint(key: Any, known: list[str], prefix: str) -> str:
    near = difflib.get_close_matches(str(key), known, n=1)
    if near:
        return f"(did you mean '{prefix}{near[0]}'?)"
    return f"(expected one of {', '.join(known)})"


def _table_type(field_type: Any, value: Any) -> type[Section] | None:
    """The struct that `value` is to become: of a union, the one whose tag `value` has."""
    options = [t for t in (get_args(field_type) or (field_type,)) if _is_section(t)]
    if len(options) > 1 and isinstance(value, Mapping):
        options = [t for t in options if t.__struct_config__.tag == value.get("name")]
    return options[0] if len(options) == 1 and isinstance(value, Mapping) else None


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)


def refuse_unstorable(value: Any, key: str = "") -> None:
    """Refuse what TOML can say but a checkpoint or a message cannot carry."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            refuse_unstorable(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list | tuple):
        for inner in value:
            refuse_unstorable(inner, key)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"'{key}' is {value}: expected a finite number")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ConfigError(f"'{key}' is {value}: expected an integer of at most 64 bits")
    elif not isinstance(value, str | int | float | bool | None):
        raise ConfigError(f"'{key}' is {value}: expected a number, a string, a list or a table")


def quotes(message: str, key: str) -> bool:
    """Whether `message` quotes `key`, something inside it, or a table that it opens."""
    quoted = re.findall(r"'([\w.]+)(?:\[\d+\])?'", message)
    return any(f"{q}.".startswith(f"{key}.") or f"{key}.".startswith(f"{q}.") for q in quoted)


def explain(message: str, values: Mapping[str, Any]) -> str:
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
    if what.startswith("Invalid enum value"):
        return f"expected one of {', '.join(_choices(key))}"
    if "matching regex" in what:
        return f"expected {PATTERNS[last]}"
    what = re.sub(r", got `\w+`$", "", what).removeprefix("Expected ")
    return "expected " + re.sub(r"`([^`]+)`", lambda found: _spell(found[1]), what)


def _spell(types: str) -> str:
    names = [TYPE_NAMES.get(name, name) for name in types.split(" | ") if name != "null"]
    return " or ".join(names)


def _tags(key: str) -> list[str]:
    """The names that the table of `key` can have, such as "SGD"."""
    section = key.split(".")[0]
    union = next(f.type for f in msgspec.structs.fields(Config) if f.name == section)
    return [str(option.__struct_config__.tag) for option in get_args(union)]


def _choices(key: str) -> tuple[str, ...]:
    """The strings that the value of `key`, a `Literal`, can be."""
    kind: Any = Config
    for part in key.split("."):
        kind = next(f.type for f in msgspec.structs.fields(kind) if f.name == part)
    return get_args(kind)


def _value_at(values: Any, key: str) -> Any:
    for part in re.findall(r"[^.\[\]]+", key):
        values = values[int(part)] if isinstance(values, list | tuple) else values[part]
    return values


def _show(value: Any) -> str:
    return json.dumps(value, default=str)
