"""From "package.module:callable" in a configuration to the callable, or to a clear refusal.

Only a wrong name is a ConfigError. An exception inside the user's module keeps its traceback:
it is what the user needs to see.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import os
import pkgutil
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ddp.errors import ConfigError


def import_callable(spec: str, key: str) -> Callable[..., Any]:
    """The object that `spec`, the value of the config's `key`, names.

    The working directory is importable, as under `python -m`. Raises ConfigError when the
    module or the attribute does not exist or cannot be called.
    """
    module_name, _, attributes = spec.partition(":")
    found: Any = _import_module(module_name, spec, key)
    for name in attributes.split("."):
        if not hasattr(found, name):
            where = getattr(found, "__name__", module_name)
            hint = _nearest(name, (n for n in dir(found) if not n.startswith("_")))
            raise ConfigError(f"'{key}' is '{spec}': {where} has no '{name}'{hint}")
        found = getattr(found, name)
    if not callable(found):
        kind = type(found).__name__
        raise ConfigError(f"'{key}' is '{spec}': expected something callable, found a {kind}")
    call: Callable[..., Any] = found
    return call


def call_factory(spec: str, arguments: Mapping[str, Any], key: str) -> Any:
    """Call what `spec` names; raises ConfigError when it does not take these arguments.

    `key` is the config's key of the spec; the arguments are those of the table `args` beside it.
    """
    factory = import_callable(spec, key)
    try:
        signature = inspect.signature(factory)
    except ValueError:  # a builtin without one
        return factory(**arguments)
    table = f"{key.rpartition('.')[0]}.args"
    takes = f"{spec} takes {_bare(signature)}"
    for name in _unknown_arguments(signature, arguments):
        hint = _nearest(name, signature.parameters, prefix=f"{table}.")
        raise ConfigError(f"unknown key '{table}.{name}'{hint}: {takes}")
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise ConfigError(f"'{table}': {error}: {takes}") from None
    return factory(**arguments)


def _bare(signature: inspect.Signature) -> inspect.Signature:
    """The signature without its annotations: "(width=16, classes=10)"."""
    parameters = signature.parameters.values()
    return inspect.Signature([p.replace(annotation=p.empty) for p in parameters])


def _unknown_arguments(signature: inspect.Signature, arguments: Mapping[str, Any]) -> list[str]:
    parameters = signature.parameters
    takes_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    return [] if takes_all else [name for name in arguments if name not in parameters]


def _import_module(name: str, spec: str, key: str) -> Any:
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        if not f"{name}.".startswith(f"{missing}."):
            raise  # the module exists; something it needs does not
        parent, _, last = missing.rpartition(".")
        hint = _nearest(last, _submodules(parent), prefix=f"{parent}." if parent else "")
        where = hint or f", neither in the working directory ({here}) nor installed"
        raise ConfigError(f"'{key}' is '{spec}': there is no module '{missing}'{where}") from None


def _submodules(parent: str) -> Iterable[str]:
    path = getattr(sys.modules.get(parent), "__path__", []) if parent else None
    return (module.name for module in pkgutil.iter_modules(path))


def _nearest(name: str, known: Iterable[str], prefix: str = "") -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)
    return f" (did you mean '{prefix}{near[0]}'?)" if near else ""
