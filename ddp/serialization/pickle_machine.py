"""A machine for pickles that builds plain data, calls what its owner lists, and knows no more.

A pickle is a program for a stack machine, and Python's own runs whatever function it names. This
one is given the few names it may use, as a table. It makes dictionaries, lists, tuples, sets,
strings, numbers; a name outside the table ends it with `Refused`, before anything was called.
Opcodes that could reach further (INST, OBJ, NEWOBJ, EXT1 …) are not known to it at all.

The bytes are taken apart by `pickletools.genops`, which executes nothing. Memory stays in
proportion to the file: every length is checked there against the bytes that follow, and the memo
is a dictionary, so that a huge index costs nothing.
"""

from __future__ import annotations

import pickletools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any

Function = Callable[..., Any]

# Opcodes that push their argument, and those that push a constant or a new container.
LITERALS = frozenset(
    {"BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"}
    | {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
)
MAKERS: Mapping[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": set,
}
SHORT_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
IGNORED = frozenset({"PROTO", "FRAME"})
PUTS = frozenset({"BINPUT", "LONG_BINPUT"})
GETS = frozenset({"BINGET", "LONG_BINGET"})
# Containers are no keys here: the hash of tuples within tuples can take for ever.
KEYS = str | int | float | None
# What comes of bytes that are no pickle: MemoryError of a length that no memory holds.
WRONG = (ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError)


class Refused(Exception):
    """The pickle asks for something that is not on its list."""


class Damaged(Exception):
    """The bytes are no pickle, or one that is cut off or contradicts itself."""


@dataclass(frozen=True, slots=True)
class Callee:
    """A function of the table, on the stack: it can be called there, and nothing else."""

    name: str


def run(
    file: IO[bytes],
    functions: Mapping[str, Function],
    constants: Mapping[str, Any],
    persistent: Callable[[Any], Any],
) -> Any:
    """The object of the pickle that begins at `file`'s position; reads no further than its end.

    `functions` and `constants` have dotted names ("collections.OrderedDict"); `persistent` gives
    what a persistent id stands for. Raises Refused and Damaged.
    """
    machine = _Machine(functions, constants, persistent)
    try:
        for opcode, argument, _ in pickletools.genops(file):
            if opcode.name == "STOP":
                break
            machine.execute(opcode.name, argument)
        (result,) = machine.stack
    except WRONG as error:
        raise Damaged(str(error) or type(error).__name__) from None
    return result


class _Machine:
    """The stack, the stacks below the open marks, and the memo."""

    def __init__(
        self,
        functions: Mapping[str, Function],
        constants: Mapping[str, Any],
        persistent: Callable[[Any], Any],
    ) -> None:
        self._functions, self._constants, self._persistent = functions, constants, persistent
        self.stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def execute(self, name: str, argument: Any) -> None:
        """One opcode, by its name in `pickletools`."""
        if name in LITERALS:
            self.stack.append(argument)
        elif name in MAKERS:
            self.stack.append(MAKERS[name]())
        elif name in PUTS:
            self._memo[argument] = self.stack[-1]
        elif name in GETS:
            self.stack.append(self._memo[argument])
        elif name in SHORT_TUPLES:
            self.stack.append(tuple(self._pop_many(SHORT_TUPLES[name])))
        elif name not in IGNORED:
            self._execute_rare(name, argument)

    def _execute_rare(self, name: str, argument: Any) -> None:
        stack = self.stack
        match name:
            case "MARK":
                self._below.append(stack)
                self.stack = []
            case "TUPLE":
                members = tuple(self._pop_marked())
                self.stack.append(members)
            case "APPEND":
                item = stack.pop()
                _expect(stack[-1], list).append(item)
            case "APPENDS":
                items = self._pop_marked()
                _expect(self.stack[-1], list).extend(items)
            case "ADDITEMS":
                items = self._pop_marked()
                _expect(self.stack[-1], set).update(map(_key, items))
            case "SETITEM":
                key, value = self._pop_many(2)
                _expect(stack[-1], dict)[_key(key)] = value
            case "SETITEMS":
                items = self._pop_marked()
                pairs = zip(map(_key, items[::2]), items[1::2], strict=True)
                _expect(self.stack[-1], dict).update(pairs)
            case "MEMOIZE":
                self._memo[len(self._memo)] = stack[-1]
            case "GLOBAL":
                stack.append(self._find(argument.replace(" ", ".", 1)))
            case "STACK_GLOBAL":
                stack.append(self._find(".".join(self._pop_many(2))))
            case "REDUCE":
                callee, arguments = self._pop_many(2)
                stack.append(self._call(callee, arguments))
            case "BUILD":
                state = stack.pop()
                _set_metadata(stack[-1], state)
            case "BINPERSID":
                stack.append(self._persistent(stack.pop()))
            case _:
                raise Refused(f"it uses the instruction {name}")

    def _find(self, name: str) -> Any:
        if name in self._constants:
            return self._constants[name]
        if name not in self._functions:
            raise Refused(f"it asks for '{name}'")
        return Callee(name)

    def _call(self, callee: Any, arguments: Any) -> Any:
        if not isinstance(callee, Callee) or not isinstance(arguments, tuple):
            raise Refused(f"it calls a {type(callee).__name__}")
        return self._functions[callee.name](*arguments)

    def _pop_many(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise IndexError("the stack is empty")
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def _pop_marked(self) -> list[Any]:
        items, self.stack = self.stack, self._below.pop()
        return items


def _expect(value: Any, kind: type[Any]) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"expected a {kind.__name__}, got a {type(value).__name__}")
    return value


def _key(value: Any) -> Any:
    if not isinstance(value, KEYS):
        raise Refused(f"it has a {type(value).__name__} as a key")
    return value


def _set_metadata(target: Any, state: Any) -> None:
    """State dicts carry `_metadata` as an attribute; no other object has a state to set."""
    if not isinstance(target, OrderedDict) or not isinstance(state, dict):
        raise Refused(f"it sets the state of a {type(target).__name__}")
    if set(state) - {"_metadata"}:
        raise Refused(f"it sets the attributes {sorted(map(str, state))} of an OrderedDict")
    vars(target).update(state)
