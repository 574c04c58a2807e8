"""A run's configuration: TOML in, frozen structs out, one clear sentence for every mistake.

`schema` says what can be set, `reading` how it is read, `refusals` how it is refused, `resume`
what a resumed run must not change, and `imports` how "package.module:callable" becomes a callable.
"""

from ddp.config.imports import call_factory, import_callable
from ddp.config.reading import from_dict, load, to_dict
from ddp.config.resume import differences, resolve_shards, value_of
from ddp.config.schema import Config

__all__ = [
    "Config",
    "call_factory",
    "differences",
    "from_dict",
    "import_callable",
    "load",
    "resolve_shards",
    "to_dict",
    "value_of",
]
