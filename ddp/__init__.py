"""Distributed data-parallel training for CPUs, on NumPy: the same bits on any number of workers.

This module offers the tensor-level names under PyTorch's names, for scripts that say
`import ddp as torch`; they stand in `ddp.surface`, and inside the project every name is imported
from the module that defines it. All of them are loaded when the first one is asked for, and the
subpackages (`ddp.nn`, `ddp.optim`, …) each by itself: importing `ddp` loads nothing, so that a
process which needs little starts soon. What PyTorch has and this library has not is an
AttributeError that names it.
"""

from __future__ import annotations

import importlib as _importlib
import importlib.util as _importlib_util
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from ddp.version import VERSION as _VERSION

if _TYPE_CHECKING:
    from ddp.surface import *  # noqa: F403

__version__ = _VERSION

_IN_SUBPACKAGES = {
    **dict.fromkeys(("load", "save"), "ddp.serialization"),
    **dict.fromkeys(
        ("conv1d", "conv2d", "conv_transpose2d", "cosine_similarity", "pairwise_distance",
         "pixel_shuffle", "celu", "selu", "prelu", "threshold"),
        "ddp.nn.functional",
    ),
}  # fmt: skip


# What scripts ask for most often and is not there, and what to do instead.
_ABSENT = {
    "compile": "operations run as they are written; leave it out",
    "complex64": "tensors are real",
    "complex128": "tensors are real",
    "func": "use ddp.autograd.functional",
    "jit": "operations run as they are written; leave it out",
    "multiprocessing": "the command `ddp train` starts the workers",
    "sparse": "tensors are dense",
    "vmap": "write the batch as a dimension",
}


def _surface() -> dict[str, _Any]:
    """The names of `ddp.surface`, from now on names of this module too."""
    public = {
        name: value
        for name, value in vars(_importlib.import_module("ddp.surface")).items()
        if not name.startswith("_") and name != "annotations"
    }
    for name, value in public.items():
        globals().setdefault(name, value)
    return public


def __dir__() -> list[str]:
    return sorted({*globals(), *_surface()})


def __getattr__(name: str) -> _Any:
    if name == "__all__":  # from ddp import *
        return sorted(_surface())
    if not name.startswith("_") and _importlib_util.find_spec(f"ddp.{name}"):
        return _importlib.import_module(f"ddp.{name}")
    if name in _IN_SUBPACKAGES:
        return getattr(_importlib.import_module(_IN_SUBPACKAGES[name]), name)
    if name in _ABSENT:
        raise AttributeError(f"ddp has no '{name}': {_ABSENT[name]}")
    if not name.startswith("_") and name in (public := _surface()):
        return public[name]
    raise AttributeError(
        f"ddp has no '{name}'. It has the part of PyTorch's interface that training on CPUs needs; "
        "dir(ddp) lists it."
    )
