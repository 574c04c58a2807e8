"""Whether operations are recorded: `no_grad`, `enable_grad`, `set_grad_enabled`, `inference_mode`.

The mode belongs to the thread. Each switch is a context manager and a decorator, as in PyTorch:
`@no_grad()` and `@no_grad` both work, a decorated generator runs in the mode only while it runs,
and the former mode comes back when the body raises.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar, overload

Wrapped = TypeVar("Wrapped", bound=Callable[..., Any])


class _Mode(threading.local):
    """What recording asks of its thread; a new thread records.

    `enabled` is True or False; where recording is watched it is the watch itself (`watch.py`)
    in place of True: so the plain case pays for one test only.
    """

    enabled: Any = True
    watch: Any = None  # who wants to see what is recorded, while it is
    inference = False  # results are inference tensors

    def switch(self, enabled: bool, inference: bool = False) -> None:
        """Record or do not."""
        self.enabled = (self.watch or True) if enabled else False
        self.inference = inference

    def look(self, watch: Any) -> None:
        """Have what is recorded watched by `watch`, or by nobody."""
        self.watch = watch
        self.switch(self.enabled is not False, self.inference)


mode = _Mode()


def is_grad_enabled() -> bool:
    """Whether operations on this thread are recorded now."""
    return mode.enabled is not False


def is_inference_mode_enabled() -> bool:
    """Whether this thread is inside `inference_mode`."""
    return mode.inference


class _Switch:
    """Sets the mode on entry and puts the former one back on exit."""

    inference: bool | None = None  # None: as it is outside

    def __init__(self, enabled: bool) -> None:
        self.target = enabled
        self.before: list[tuple[bool, bool]] = []

    def __enter__(self) -> None:
        self.before.append((is_grad_enabled(), mode.inference))
        mode.switch(self.target, mode.inference if self.inference is None else self.inference)

    def __exit__(self, *exc_info: object) -> None:
        mode.switch(*self.before.pop())

    def again(self) -> _Switch:
        """The same switch for one call of a decorated function."""
        return _Switch(self.target)

    def __call__(self, function: Wrapped) -> Wrapped:
        if inspect.isgeneratorfunction(function):
            return self._wrap_generator(function)  # type: ignore[return-value]

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with self.again():
                return function(*args, **kwargs)

        return wrapper  # type: ignore[return-value]

    def _wrap_generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            return (yield from _resume_in(self.again, function(*args, **kwargs)))

        return wrapper


def _resume_in(
    switch: Callable[[], _Switch], generator: Generator[Any, Any, Any]
) -> Generator[Any, Any, Any]:
    """Drive `generator`, switching the mode for each of its resumptions only."""
    resume: Callable[[], Any] = functools.partial(next, generator)
    while True:
        try:
            with switch():
                value = resume()
        except StopIteration as stop:
            return stop.value
        try:
            sent = yield value
        except GeneratorExit:
            with switch():
                generator.close()
            raise
        except BaseException as error:
            resume = functools.partial(generator.throw, error)
        else:
            resume = functools.partial(generator.send, sent)


class _Fixed(_Switch):
    """A switch whose direction is its class: usable as a decorator without parentheses."""

    enabled: bool

    if TYPE_CHECKING:

        @overload
        def __new__(cls) -> _Fixed: ...
        @overload
        def __new__(cls, function: Wrapped) -> Wrapped: ...  # type: ignore[misc]
        def __new__(cls, function: Any = None) -> Any: ...
        def __init__(self, function: Any = None) -> None: ...

    else:

        def __new__(cls, function=None):
            return super().__new__(cls) if function is None else cls()(function)

        def __init__(self):
            super().__init__(self.enabled)


class no_grad(_Fixed):
    """Record nothing inside: results have `requires_grad=False`."""

    enabled = False


class enable_grad(_Fixed):
    """Record inside, also under an outer `no_grad`."""

    enabled = True


class set_grad_enabled(_Switch):
    """Set the mode at once; as a context manager, put the former one back on exit."""

    def __init__(self, mode_: bool) -> None:
        super().__init__(mode_)
        self.before.append((is_grad_enabled(), mode.inference))
        mode.switch(mode_, mode.inference)

    def __enter__(self) -> None:
        """The mode was set on construction."""

    def __call__(self, function: Wrapped) -> Wrapped:
        mode.switch(*self.before.pop())  # as a decorator it changes nothing until called
        return super().__call__(function)


class inference_mode(_Switch):
    """`no_grad`, whose results can never be used where gradients are recorded.

    They have no version counter; a clone of one, made outside, is an ordinary tensor.
    `inference_mode(False)` is the ordinary, recording mode.
    """

    if TYPE_CHECKING:

        @overload
        def __new__(cls, mode: bool = True) -> inference_mode: ...
        @overload
        def __new__(cls, mode: Wrapped) -> Wrapped: ...  # type: ignore[misc]
        def __new__(cls, mode: Any = True) -> Any: ...

    else:

        def __new__(cls, mode=True):
            return super().__new__(cls) if isinstance(mode, bool) else cls()(mode)

    def __init__(self, mode: Any = True) -> None:
        super().__init__(not mode)
        self.inference = bool(mode)

    def again(self) -> _Switch:
        return inference_mode(self.inference)
