"""Random programs do what PyTorch did with them once, statement by statement."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ddp
from tests import fixtures
from tests.oracle.fuzz.machine import Machine

assert fixtures.__file__ is not None
PROGRAMS = json.loads(Path(fixtures.__file__).with_name("programs.json").read_text())


@pytest.mark.parametrize("frozen", PROGRAMS, ids=range(len(PROGRAMS)))
def test_a_random_program_does_what_it_did_on_pytorch(frozen: dict[str, Any]) -> None:
    machine = Machine(ddp)
    try:
        for statement, expected in zip(frozen["program"], frozen["errors"], strict=True):
            error = machine.run(statement)
            names = [None] if error is None else [c.__name__ for c in type(error).__mro__]
            assert expected in names, statement
        if frozen["end"]:
            same_end(machine, frozen["end"])
    finally:
        machine.close()


def same_end(machine: Machine, expected: dict[str, Any]) -> None:
    """The same names, facts and values."""
    found = machine.see()
    assert set(found) == set(expected)
    for name, seen in found.items():
        facts = expected[name]
        values = np.array(facts.pop("values"), facts["dtype"]).reshape(facts["shape"])
        facts["shape"] = tuple(facts["shape"])
        assert seen.facts == facts, name
        scale = np.abs(values[np.isfinite(values)], dtype=np.float64).max(initial=1.0)
        np.testing.assert_allclose(seen.values, values, 1e-4, 1e-5 * scale, err_msg=name)
