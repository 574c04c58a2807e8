"""Training scripts of many kinds, in the manner of PyTorch's examples and tutorials, print alike.

`tests/scripts/printed.json` holds what they printed on PyTorch; written anew, where PyTorch is
installed, by `python -m tests.test_scripts`.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import warnings
from pathlib import Path

import pytest

from tests.helpers.libraries import LIBRARIES, for_library

SCRIPTS = sorted(Path(__file__).with_name("scripts").glob("*.py"))
PRINTED = Path(__file__).with_name("scripts") / "printed.json"
BOTH = [LIBRARIES[0], pytest.param(LIBRARIES[1], marks=pytest.mark.oracle)]
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def run(script: Path, library: str) -> str:
    """What a script prints on a library."""
    printed = io.StringIO()
    code = compile(for_library(script.read_text(), library), str(script), "exec")
    with contextlib.redirect_stdout(printed), warnings.catch_warnings():
        if library == "torch":  # it warns of its own inner life
            warnings.simplefilter("ignore")
        exec(code, {"__name__": "__main__"})
    return printed.getvalue()


@pytest.mark.parametrize("library", BOTH)
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_prints_what_it_printed_on_pytorch(script: Path, library: str) -> None:
    expected, found = json.loads(PRINTED.read_text())[script.stem], run(script, library)
    assert NUMBER.sub("#", found) == NUMBER.sub("#", expected)
    ours, theirs = ([float(n) for n in NUMBER.findall(text)] for text in (found, expected))
    assert ours
    assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-5)


def test_nothing_is_kept_of_scripts_that_are_gone() -> None:
    assert sorted(json.loads(PRINTED.read_text())) == [script.stem for script in SCRIPTS]


if __name__ == "__main__":
    texts = {script.stem: run(script, "torch") for script in SCRIPTS}
    PRINTED.write_text(json.dumps(texts, indent=1) + "\n")
