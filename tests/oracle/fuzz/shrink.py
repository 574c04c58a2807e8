"""A program that differs, cut down to the statements that are needed for it."""

from __future__ import annotations

from collections.abc import Callable

from tests.oracle.fuzz.duel import Difference, Program

Check = Callable[[Program], Difference | None]


def shrink(program: Program, difference: Difference, check: Check) -> tuple[Program, Difference]:
    """Leave out halves, quarters, … and single statements as long as the same thing differs.

    A statement whose operands have been left out raises NameError on both sides, which is no
    difference: nothing need be known about what depends on what.
    """
    size = max(1, len(program) // 2)
    while True:
        shorter = without_some(program, size, difference, check)
        if shorter is not None:
            program, difference = shorter
        elif size == 1:
            return program, difference
        else:
            size //= 2


def without_some(
    program: Program, size: int, difference: Difference, check: Check
) -> tuple[Program, Difference] | None:
    """The first shorter program, from the end, in which the same kind of thing differs."""
    for start in range(len(program) - size, -size, -size):
        shorter = program[: max(0, start)] + program[start + size :]
        found = check(shorter)
        if found is not None and same(found, difference):
            return shorter, found
    return None


def same(one: Difference, other: Difference) -> bool:
    """Whether two differences are the same to somebody who mends them."""
    if one.kind != other.kind:
        return False
    if one.kind != "error":
        return True
    return one.statement == other.statement or heads(one) == heads(other)


def heads(difference: Difference) -> tuple[str, str]:
    """The error classes of both sides."""
    expected, found = str(difference.expected), str(difference.found)
    return expected.split(":")[0], found.split(":")[0]


def as_python(program: Program) -> str:
    """The program as somebody can paste it."""
    header = ["import torch  # or: import ddp as torch", "F = torch.nn.functional"]
    if any("log(" in statement for statement in program):
        header.append("def log(hook, gradient): print(hook, gradient)")
    return "\n".join([*header, *program]) + "\n"
