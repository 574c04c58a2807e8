"""The example programs run, learn, and print on PyTorch what they print here."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.helpers.libraries import for_library
from tests.helpers.spawn import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
SMALL_TEXT = ["--length", "5000", "--words", "300", "--width", "24"]
RUNS = {
    "digits": ["--epochs", "2", "--save-model", "{tmp}/digits.pt"],
    "dcgan": ["--epochs", "4"],
    "resnet": ["--epochs", "1", "--width", "8", "--lr", "0.02", "--checkpoint", "{tmp}/resnet.pt"],
    "sorting": ["--iterations", "41", "--batch-size", "32"],
    "vae": ["--epochs", "2"],
    "words": ["--epochs", "2", *SMALL_TEXT],
    "words, tied": ["--model", "GRU", "--tied", "--epochs", "1", *SMALL_TEXT],
    "words, transformer": ["--model", "Transformer", "--lr", "1", "--epochs", "1", *SMALL_TEXT],
    "characters": ["--steps", "20", "--eval-iters", "2", "--eval-interval", "10",
                   "--sample", "60", "--out", "{tmp}/gpt.pt"],
}  # fmt: skip
NUMBER = re.compile(r"-?\d+\.\d+")
SECONDS = re.compile(r"^\[.* s\]\n", re.MULTILINE)


@pytest.fixture
def output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Any:
    """A function: what an example prints on a library, without the seconds."""

    def run(name: str, library: str) -> str:
        path = ROOT / "examples" / f"{name.split(',')[0]}.py"
        program = ModuleType("example")
        monkeypatch.setitem(sys.modules, program.__name__, program)  # dataclasses look it up
        code = compile(for_library(path.read_text(), library), str(path), "exec")
        exec(code, program.__dict__)
        program.main([argument.format(tmp=tmp_path) for argument in RUNS[name]])
        return SECONDS.sub("", capsys.readouterr().out)

    return run


def test_every_example_is_run() -> None:
    assert {path.stem for path in EXAMPLES} == {name.split(",")[0] for name in RUNS}


@pytest.mark.slow  # they train
@pytest.mark.parametrize("name", RUNS)
def test_an_example_learns(output: Any, name: str) -> None:
    losses = [float(number) for number in re.findall(r"loss (\d+\.\d+)", output(name, "ddp"))]
    assert losses[-1] < losses[0]


@pytest.mark.oracle
@pytest.mark.parametrize("name", RUNS)
def test_an_example_prints_the_same_on_pytorch(output: Any, name: str) -> None:
    ours, theirs = output(name, "ddp"), output(name, "torch")
    # The words that they draw too; they are few, since a draw can fall between two of them.
    assert NUMBER.sub("", ours) == NUMBER.sub("", theirs)
    our_numbers, their_numbers = ([float(n) for n in NUMBER.findall(t)] for t in (ours, theirs))
    assert len(our_numbers) > 2
    assert our_numbers == pytest.approx(their_numbers, rel=1e-4, abs=1e-6)
