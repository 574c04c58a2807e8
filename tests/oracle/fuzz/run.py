"""From a seed to a program, run while it is written."""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.oracle.fuzz import phrases
from tests.oracle.fuzz.duel import Difference, Duel
from tests.oracle.fuzz.machine import Machine
from tests.oracle.fuzz.writer import Writer

LENGTH = (5, 25)  # statements between opening and closing


class Outcome(NamedTuple):
    """The program of a seed as far as it ran, and where the two sides parted, if they did."""

    program: list[str]
    difference: Difference | None


def run(seed: int, theirs: Any, ours: Any) -> Outcome:
    """Write the program of `seed`, running each statement on both libraries."""
    duel = Duel(Machine(theirs), Machine(ours))
    writer = Writer(seed, duel.theirs.names, theirs.Tensor)
    program: list[str] = []

    def goes_on(statement: str) -> Difference | None:
        program.append(statement)
        return duel.step(statement)

    try:
        for statement in phrases.opening(writer):
            goes_on(statement)
        for _ in range(writer.rng.randrange(*LENGTH)):
            difference = goes_on(phrases.statement(writer))
            if difference is not None or duel.ended:
                return Outcome(program, difference)
        for statement in phrases.closing(writer):
            difference = goes_on(statement)
            if difference is not None or duel.ended:
                return Outcome(program, difference)
        return Outcome(program, duel.finish())
    finally:
        duel.close()
