"""A program on two machines, statement by statement, up to the first difference."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tests.oracle.fuzz.machine import Machine, Seen, see

Program = list[str]

RTOL = {"float16": 1e-2, "float32": 1e-4, "float64": 1e-9}


class Difference(NamedTuple):
    """Where the two sides part: after which statement, in what, and how."""

    statement: str
    kind: str  # "error", "dtype", "shape", "requires_grad", "is_leaf", "names" or "values"
    what: str
    expected: Any
    found: Any

    def __str__(self) -> str:
        return (
            f"{self.kind} of {self.what} after `{self.statement}`:\n"
            f"PyTorch: {self.expected}\nours:    {self.found}"
        )


class Duel:
    """`theirs` is asked first; `ended` says that nothing can be compared any more."""

    def __init__(self, theirs: Machine, ours: Machine) -> None:
        self.theirs, self.ours = theirs, ours
        self.ended = False
        self.rtol = RTOL["float64"]

    def step(self, statement: str) -> Difference | None:
        """Run one statement on both; the first difference in what it raised or made."""
        expected, found = self.theirs.run(statement), self.ours.run(statement)
        if not catches(expected, found):
            return Difference(statement, "error", "the statement", told(expected), told(found))
        if expected is not None:
            # How far a backward or a write came before it failed is nobody's promise.
            self.ended = any(word in statement for word in ("backward", "autograd", "] ", "_("))
            return None
        made = statement.split(" = ")[0]
        if made.isidentifier() and made in self.theirs.names:
            return self.compare_one(statement, made)
        return None

    def compare_one(self, statement: str, name: str) -> Difference | None:
        """The one thing that a statement has made, if it is a tensor on both sides."""
        theirs, ours = self.theirs.names[name], self.ours.names[name]
        tensors = isinstance(theirs, self.theirs.library.Tensor)
        if tensors != isinstance(ours, self.ours.library.Tensor):
            return Difference(statement, "names", name, type(theirs), type(ours))
        return self.differ(statement, name, see(theirs), see(ours)) if tensors else None

    def finish(self, statement: str = "the end") -> Difference | None:
        """Everything that either side holds."""
        expected, found = self.theirs.see(), self.ours.see()
        if set(expected) != set(found):
            return Difference(statement, "names", "what is there", sorted(expected), sorted(found))
        for name, seen in expected.items():
            difference = self.differ(statement, name, seen, found[name])
            if difference is not None:
                return difference
        return None

    def differ(self, statement: str, name: str, expected: Seen, found: Seen) -> Difference | None:
        """What differs first; floating values agree to the coarsest precision seen by now."""
        self.rtol = max(self.rtol, RTOL.get(expected.facts["dtype"], 0.0))
        return differ(statement, name, expected, found, self.rtol)

    def close(self) -> None:
        """Leave both libraries as they were found."""
        self.theirs.close()
        self.ours.close()


def differ(
    statement: str, name: str, expected: Seen, found: Seen, rtol: float
) -> Difference | None:
    """The facts to the letter, floating values within rounding, all others equal."""
    for kind, value in expected.facts.items():
        if found.facts[kind] != value:
            return Difference(statement, kind, name, value, found.facts[kind])
    if np.array_equal(expected.values, found.values):
        return None
    if expected.facts["dtype"] in RTOL and close(expected.values, found.values, rtol):
        return None
    return Difference(statement, "values", name, expected.values.copy(), found.values.copy())


def close(expected: Any, found: Any, rtol: float) -> bool:
    """Within `rtol` of the largest finite number there (a sum's rounding is as its terms)."""
    finite = np.abs(expected[np.isfinite(expected)])
    atol = rtol * 0.1 * max(1.0, float(finite.max(initial=0.0)))
    return np.allclose(found, expected, rtol=rtol, atol=atol, equal_nan=True)


def catches(expected: Exception | None, found: Exception | None) -> bool:
    """Whether `except` with the class of PyTorch's error catches ours."""
    return isinstance(found, type(None) if expected is None else type(expected))


def told(error: Exception | None) -> str:
    """An error's class and its text; at most three lines of it."""
    return "no error" if error is None else f"{type(error).__name__}: {error}"[:300]


def replay(
    program: Program, theirs: Any, ours: Any, our_program: Program | None = None
) -> Difference | None:
    """Run a whole program on fresh machines; the first difference.

    With `our_program`, that runs on our side, and only the ends are compared.
    """
    duel = Duel(Machine(theirs), Machine(ours))
    try:
        if our_program is not None:
            for machine, statements in ((duel.theirs, program), (duel.ours, our_program)):
                for statement in statements:
                    machine.run(statement)
            return duel.finish()
        for statement in program:
            difference = duel.step(statement)
            if difference is not None or duel.ended:
                return difference
        return duel.finish()
    finally:
        duel.close()
