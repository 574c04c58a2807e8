"""What the documents say is so: commands exist, examples run, the files that are named are there.

python -m tests.test_documents      write the table of files in ddp/README.md anew
"""

from __future__ import annotations

import ast
import doctest
import importlib
import re
import shlex
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pytest

from ddp.config import load, to_dict
from ddp.errors import ConfigError
from ddp.version import VERSION
from launcher.arguments import parser
from tests.helpers.runs import ddp, fingerprint
from tests.helpers.spawn import ROOT, spawn

README, TOUR = ROOT / "README.md", ROOT / "ddp" / "README.md"
CHANGELOG, BENCHMARKS = ROOT / "CHANGELOG.md", ROOT / "benchmarks" / "README.md"
COMING = ROOT / "docs" / "coming-from-pytorch.md"
DOCUMENTS = [README, CHANGELOG, TOUR, BENCHMARKS, COMING]
PACKAGES = ("ddp", "workers", "launcher")
SECTIONS = ("model", "data", "optimizer", "schedule", "train", "checkpoint", "cluster")
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TABLE = re.compile(r"(?<=<!-- table of files -->\n).*(?=<!-- end of the table -->)", re.DOTALL)


class Block(NamedTuple):
    """A fenced block of a document."""

    document: str
    language: str
    text: str


def blocks(language: str) -> list[Block]:
    found = [
        Block(path.relative_to(ROOT).as_posix(), *match)
        for path in DOCUMENTS
        for match in FENCED.findall(path.read_text())
    ]
    return [block for block in found if block.language == language]


def commands() -> list[str]:
    """Every line of the shell blocks, without its comment."""
    lines = (line for block in blocks("sh") for line in block.text.splitlines())
    return [shlex.join(words) for line in lines if (words := shlex.split(line, comments=True))]


def sources() -> list[Path]:
    """All modules of the three packages, relative to the root, a folder after its own files."""
    paths = (p.relative_to(ROOT) for package in PACKAGES for p in (ROOT / package).rglob("*.py"))
    return sorted(paths, key=lambda p: (PACKAGES.index(p.parts[0]), p.parent, p.name))


def block_with(language: str, text: str) -> str:
    (found,) = [block.text for block in blocks(language) if text in block.text]
    return found


# -- commands ---------------------------------------------------------------------------------


@pytest.mark.parametrize("command", commands())
def test_a_command_in_the_documents_exists(command: str) -> None:
    match shlex.split(command):
        case ["mpiexec", "-n", _, "ddp", *words] | ["ddp", *words]:
            arguments = parser().parse_args(words)
            assert (ROOT / getattr(arguments, "config", "README.md")).exists()
        case ["make", target]:
            assert f"\n{target}:" in (ROOT / "Makefile").read_text()
        case ["python", "-m", module, *options] if module.startswith("benchmarks"):
            name = module.removeprefix("benchmarks").removeprefix(".") or "__main__"
            known = (ROOT / "benchmarks" / f"{name}.py").read_text()
            assert all(option in known for option in options if option.startswith("--"))
        case ["python", "-m", module]:
            assert importlib.util.find_spec(module)
        case ["python", program, *options]:
            known = (ROOT / program).read_text()
            assert all(option in known for option in options if option.startswith("--"))
        case ["docker", "compose", "up", *_]:
            assert (ROOT / "docker-compose.yml").exists()
        case ["pytest", *_]:
            pass
        case [program]:
            assert (ROOT / program).exists()
        case _:
            pytest.fail(f"nobody has said how to check {command!r}")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_options_and_config_keys_named_in_prose_exist(document: Path) -> None:
    prose = FENCED.sub("", document.read_text())
    options = set(re.findall(r"`(?:ddp [^`]*)?(--[a-z-]+)", prose))
    described = (ROOT / "launcher" / "arguments.py").read_text() + "--help"
    assert [option for option in options if option not in described] == []
    keys = to_dict(load(ROOT / "configs" / "digits.toml"))
    named = re.findall(rf"`({'|'.join(SECTIONS)})\.(?!py`)(\w+)[`=]", prose)
    assert [f"{section}.{key}" for section, key in named if key not in keys[section]] == []


# -- configs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("block", blocks("toml"))
def test_a_config_in_the_documents_loads(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "example.toml"
    path.write_text(block.text)
    load(path)


def test_the_config_shown_whole_is_the_one_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "digits.toml"
    path.write_text(block_with("toml", "digits_cnn"))
    assert load(path) == load(ROOT / "configs" / "digits.toml")


def test_the_refusal_shown_is_the_one_given() -> None:
    override = "train.global_bach=3"
    with pytest.raises(ConfigError) as refusal:
        load(ROOT / "configs" / "digits.toml", [override])
    assert block_with("text", override) == f"ddp: {refusal.value}\n"


# -- programs ---------------------------------------------------------------------------------


@pytest.mark.slow  # real runs
def test_the_model_and_data_of_the_readme_train_to_the_same_bits_on_one_and_two_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "spirals.py").write_text(block_with("python", "class Spirals"))
    (tmp_path / "spirals.toml").write_text(block_with("toml", "spirals:Net"))
    monkeypatch.chdir(tmp_path)
    for workers in ("1", "2"):
        done = ddp("train", "spirals.toml", "--workers", workers, "--out", workers)
        assert done.returncode == 0, done.stderr
        assert "after epoch 5: test loss" in done.stdout
        assert "test accuracy 100.00%" in done.stdout
    assert fingerprint(tmp_path / "1") == fingerprint(tmp_path / "2")


@pytest.mark.slow  # a process of its own
def test_the_script_of_the_readme_learns_the_digits(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(block_with("python", "ddp.manual_seed"))
    done = spawn([sys.executable, tmp_path / "script.py"])
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.removeprefix("test accuracy ").rstrip("%\n")) > 85


# -- files ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "document", [README, TOUR, BENCHMARKS, COMING], ids=lambda d: d.parent.name
)
def test_the_files_that_a_document_names_exist(document: Path) -> None:
    text = FENCED.sub("", document.read_text())
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    named = re.findall(r"`((?:\.?[\w-]+/)+[\w.-]+\.(?:py|md|toml|npz|yml|jsonl))`", text)
    assert links + named
    assert [link for link in links if not (document.parent / link).exists()] == []
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_names_that_the_tour_puts_beside_a_file_are_in_it() -> None:
    beside = re.findall(r"`([\w/]+\.py)` \(((?:`\w+`(?:, )?)+)\)", TOUR.read_text())
    assert beside
    for path, names in beside:
        source = (ROOT / path).read_text()
        assert [name for name in re.findall(r"\w+", names) if name not in source] == []


def test_the_table_of_files_names_the_files_there_are() -> None:
    match = TABLE.search(TOUR.read_text())
    assert match
    named, there = names(match.group()), names(table_of_files())
    assert named == there, "`python -m tests.test_documents` brings the table up to date"


def test_every_module_with_something_in_it_says_what_it_is() -> None:
    assert [path for path in sources() if (ROOT / path).read_text() and not _purpose(path)] == []


def test_the_changelog_has_the_version() -> None:
    assert f"\n## [{VERSION}]" in CHANGELOG.read_text()


# -- docstrings -------------------------------------------------------------------------------


def modules_with_examples() -> list[str]:
    found = [path for path in sources() if ">>> " in (ROOT / path).read_text()]
    return [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in found]


@pytest.mark.parametrize("module", modules_with_examples())
def test_the_examples_in_a_docstring_hold(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0
    assert result.failed == 0


# -- the table in ddp/README.md ---------------------------------------------------------------


def table_of_files() -> str:
    """A table for each folder: file → the first sentence of its docstring."""
    return "\n".join(line for folder in _folders() for line in folder)


def names(table: str) -> list[str]:
    """The folders and files of a table, without what it says of them."""
    return re.findall(r"^\*\*[\w/]+\*\*|^\| `[\w.]+`", table, re.MULTILINE)


def _folders() -> Iterator[list[str]]:
    for folder, paths in groupby(sources(), key=lambda path: path.parent):
        rows = [f"| `{path.name}` | {purpose} |" for path in paths if (purpose := _purpose(path))]
        if rows:
            yield [f"\n**{folder.as_posix()}/**\n", "| file | purpose |", "|---|---|", *rows]
    yield ["", ""]


def _purpose(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse((ROOT / path).read_text())) or ""
    paragraph = " ".join(docstring.split("\n\n")[0].split())
    return re.split(r"(?<=\.) ", paragraph)[0].replace("|", "\\|")


if __name__ == "__main__":
    TOUR.write_text(TABLE.sub(lambda _: table_of_files(), TOUR.read_text()))
