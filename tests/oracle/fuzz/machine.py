"""One library's side of a duel: the names a program has made, and what can be seen of them.

Nothing here needs PyTorch: frozen programs are run by the same machine.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator
from types import CodeType
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


class Seen(NamedTuple):
    """What a program can see of one tensor; `facts` are what must be equal to the letter."""

    facts: dict[str, Any]
    values: Array


@functools.lru_cache(maxsize=64)
def compiled(statement: str) -> CodeType:
    """Both sides run the same code object."""
    return compile(statement, "<program>", "exec")


class Machine:
    """A library with the names of one program: `torch`, `F`, `log` and what its statements make."""

    def __init__(self, library: Any) -> None:
        self.library = library
        self.logged: dict[str, list[Any]] = {}
        self.names: dict[str, Any] = {}
        self.scope = {"torch": library, "F": library.nn.functional, "log": self.log}

    def log(self, hook: str, gradient: Any) -> None:
        """What a hook calls with the gradient it got."""
        self.logged.setdefault(hook, []).append(gradient.detach().clone())

    def run(self, statement: str) -> Exception | None:
        """The error that the statement raised, or None."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                exec(compiled(statement), self.scope, self.names)
        except Exception as error:
            return error
        return None

    def close(self) -> None:
        """Leave the library as it was found."""
        self.library.set_grad_enabled(True)

    def tensors(self) -> Iterator[tuple[str, Any]]:
        """The program's tensors by name, the gradients they have, what hooks were given."""
        for name, value in self.names.items():
            if isinstance(value, self.library.Tensor):
                yield name, value
        for name, value in list(self.names.items()):
            if isinstance(value, self.library.Tensor):
                grad = gradient(value)
                if grad is not None:
                    yield f"{name}.grad", grad
        for hook, gradients in self.logged.items():
            for call, logged in enumerate(gradients):
                yield f"{hook}[{call}]", logged

    def see(self) -> dict[str, Seen]:
        """All there is to compare."""
        return {name: see(value) for name, value in self.tensors()}


def gradient(tensor: Any) -> Any:
    """`tensor.grad`, without the warning about tensors that keep none."""
    keeps = tensor.retains_grad or fact(tensor, "is_leaf") is True
    return tensor.grad if keeps else None


def fact(tensor: Any, name: str) -> Any:
    """An attribute, or the class of the error: a view made without gradients of what was written
    to with them may no longer be asked."""
    try:
        return getattr(tensor, name)
    except RuntimeError as error:
        return type(error).__name__


def see(tensor: Any) -> Seen:
    """A view, not a copy: look before the next statement runs."""
    values = tensor.detach().numpy()
    facts = {
        "dtype": str(values.dtype),
        "shape": tuple(values.shape),
        "requires_grad": fact(tensor, "requires_grad"),
        "is_leaf": fact(tensor, "is_leaf"),
    }
    return Seen(facts, values)
