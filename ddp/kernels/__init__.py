"""Loops over arrays that may be had compiled: NumPy is the reference, numba an option.

An operation writes its arithmetic as a function over dense arrays and marks it `@kernel`. That
function, in NumPy, is what runs and what is meant. NumPy makes a pass over memory per arithmetic
operation, though; where a user installs numba and asks for it (`use("numba")`; `train.kernels` in
a run's configuration), the function of the same name and parameters in `ddp.kernels.compiled`
takes its place for float32 arrays and makes one pass.

Which kernels run decides bits, as the kernels of the BLAS do: `in_use` names them to the letter,
and all workers of a run, and the checkpoint it resumes from, must agree.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from typing import ParamSpec

from ddp.errors import ConfigError

P = ParamSpec("P")

NAMES = ("numpy", "numba")

_references: dict[str, Callable[..., None]] = {}  # every function marked `@kernel`
_names: dict[Callable[..., None], str] = {}  # of what `@kernel` made of them
_compiled: dict[str, Callable[..., None]] = {}  # what stands in for them; empty: NumPy


def kernel(reference: Callable[P, None]) -> Callable[P, None]:
    """Mark a function that writes its result into arrays and may be had compiled.

    Its first argument is an array, whose dtype is that of all that count. Arrays are dense, unless
    it says otherwise.
    """
    name = f"{reference.__module__.rpartition('.')[2]}.{reference.__name__}"

    @functools.wraps(reference)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        twin = _compiled.get(name)
        if twin is None or args[0].dtype.char != "f":  # type: ignore[attr-defined]
            reference(*args, **kwargs)
        else:
            twin(*args, **kwargs)

    _references[name] = reference
    _names[run] = name
    return run


def use(name: str) -> None:
    """From here on, in this process, compute with the kernels of "numpy" or of "numba".

    Those of numba are compiled for this machine's processor when they are first called, within
    seconds, and kept on disk.

    Raises ConfigError if numba is not installed, ValueError for another name.
    """
    if name not in NAMES:
        raise ValueError(f"expected kernels of {' or '.join(map(repr, NAMES))}, got {name!r}")
    _compiled.clear()
    if name == "numba":
        if not is_available():
            raise ConfigError(
                "'train.kernels' is \"numba\", and numba is not installed here: "
                "`pip install numba`, or have NumPy's kernels"
            )
        from ddp.kernels.compiled import for_this_processor

        _compiled.update(for_this_processor())


def is_available() -> bool:
    """Whether the compiled kernels can be used here."""
    return importlib.util.find_spec("numba") is not None


def in_use() -> str:
    """Which kernels compute: "numpy", or such as "numba 0.68.1 for icelake-server"."""
    if not _compiled:
        return "numpy"
    from ddp.kernels.compiled.target import description

    return description()


def stand_in(kernel: Callable[..., None]) -> Callable[..., None] | None:
    """What stands in for this kernel, for float32 arrays; None while NumPy computes."""
    return _compiled.get(_names[kernel])


def references() -> dict[str, Callable[..., None]]:
    """The NumPy kernels by name, of the modules imported so far: "gelu.forward"."""
    return dict(_references)


__all__ = ["NAMES", "in_use", "is_available", "kernel", "references", "stand_in", "use"]
