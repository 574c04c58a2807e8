"""Random programs do the same on both libraries, statement by statement.

FUZZ_PROGRAMS says how many, ten thousand by default; FUZZ_START is the first seed; 300 others are
the quick mode (`-k few`). A program that differs is shrunk and
printed as Python that can be pasted.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

import ddp
from tests.oracle.fuzz.duel import Difference, Duel, replay
from tests.oracle.fuzz.excuses import excuse
from tests.oracle.fuzz.machine import Machine
from tests.oracle.fuzz.run import run
from tests.oracle.fuzz.shrink import as_python, shrink

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.oracle

QUICK = 300
PROGRAMS = int(os.environ.get("FUZZ_PROGRAMS", "10000"))
START = int(os.environ.get("FUZZ_START", "0"))
BATCH = 1000
MOST_EXCUSED = 0.1  # of the programs of a batch; more means that something has come loose


def check(first: int, count: int) -> None:
    """Run the programs of `count` seeds; fail with all that differ without an excuse."""
    torch.set_num_threads(1)
    excused: Counter[str] = Counter()
    failures = []
    for seed in range(first, first + count):
        program, difference = run(seed, torch, ddp)
        if difference is None:
            continue
        reason = excuse(difference, program, torch)
        if reason is None:
            failures.append(told(seed, program, difference))
        else:
            excused[reason] += 1
    assert not failures, "\n\n".join(failures[:5])
    assert excused.total() <= MOST_EXCUSED * count, excused


def told(seed: int, program: list[str], difference: Difference) -> str:
    """The shortest program with the same difference."""
    shortest, last = shrink(program, difference, lambda p: replay(p, torch, ddp))
    return f"# seed {seed}: {last}\n{as_python(shortest)}"


@pytest.mark.timeout(300)
def test_a_few_random_programs_do_the_same_on_both_libraries() -> None:
    check(START + 1_000_000, QUICK)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(START, START + PROGRAMS, BATCH))
def test_random_programs_do_the_same_on_both_libraries(first: int) -> None:
    check(first, min(BATCH, START + PROGRAMS - first))


def test_a_difference_is_found_and_shrunk_to_what_it_needs() -> None:
    """PyTorch against PyTorch with a wrong product: the fuzz would notice."""

    class Wrong(Machine):
        def run(self, statement: str) -> Exception | None:
            return super().run(statement.replace(" * ", " + "))

    def against_itself(program: list[str]) -> Difference | None:
        duel = Duel(Machine(torch), Wrong(torch))
        for statement in program:
            if (difference := duel.step(statement)) is not None:
                return difference
        return duel.finish()

    program = ["v1 = torch.ones(2)", "v2 = torch.zeros(2)", "v3 = v1 + 1", "v4 = v1 * 2", "v5 = v2"]
    difference = against_itself(program)
    assert difference is not None
    shortest, last = shrink(program, difference, against_itself)
    assert shortest == ["v1 = torch.ones(2)", "v4 = v1 * 2"]
    assert (last.kind, last.what) == ("values", "v4")
