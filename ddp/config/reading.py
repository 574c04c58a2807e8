"""TOML and `--set` in, a checked Config or a one-sentence ConfigError out.

A refusal begins with where the fault stands: the file, or the `--set` that brought it. What it
says after that is worded in refusals.py.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ddp.config.refusals import explain, quotes, refuse_unknown, refuse_unstorable
from ddp.config.schema import Config
from ddp.errors import ConfigError

# A word that needs no quotes on the command line: a name, a path, "package.module:callable".
BARE_WORD = re.compile(r"[^\s\"'\[\]{}=#,]+")


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
        refuse_unknown(Config, values)
        refuse_unstorable(values)
        return msgspec.convert(values, Config)
    except msgspec.ValidationError as error:
        message = explain(str(error), values)
    except ConfigError as error:
        message = str(error)
    owners = (text for key, text in (origins or {}).items() if quotes(message, key))
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
