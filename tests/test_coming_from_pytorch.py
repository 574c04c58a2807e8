"""What docs/coming-from-pytorch.md says is there is there, and what it says is not is not."""

from __future__ import annotations

import doctest
import importlib
import re
from typing import Any

import pytest

import ddp
from tests.helpers.libraries import LIBRARIES, for_library
from tests.helpers.spawn import ROOT

PAGE = ROOT / "docs" / "coming-from-pytorch.md"
BOTH = [LIBRARIES[0], pytest.param(LIBRARIES[1], marks=pytest.mark.oracle)]
NAME = re.compile(r"`((?:torch|nn|optim|autograd|utils|Tensor)\.[\w.]+)`")


def section(title: str) -> str:
    """The text under a heading, up to the next."""
    (text,) = re.findall(rf"^## {title}$(.*?)(?=^## |\Z)", PAGE.read_text(), re.M | re.S)
    return str(text)


def rows(title: str) -> list[list[str]]:
    """The cells of each row of the section's table, without its head."""
    table = [line for line in section(title).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in table]


PRESENT = sorted(set(NAME.findall(section("What is the same"))))
ABSENT = sorted({name for row in rows("What is not there")[1:] for name in NAME.findall(row[0])})
INSTEAD = {name for row in rows("What is not there")[1:] for name in NAME.findall(row[-1])}
REFUSED = {  # there, and tell
    "Tensor.cuda", "nn.Module.cuda", "torch.cuda.is_available", "torch.bfloat16",
    "torch.distributed.is_available", "torch.distributed.init_process_group",
    "nn.parallel.DistributedDataParallel",
}  # fmt: skip


def is_there(library: str, name: str) -> bool:
    """Whether a name such as `nn.Linear` or `torch.ones` can be reached in a library."""
    first, *path = name.split(".")
    found: Any = importlib.import_module(library)
    for part in path if first == "torch" else [first, *path]:
        found = getattr(found, part, None) or _submodule(found, part)
    return found is not None


def _submodule(package: Any, name: str) -> Any:
    try:
        return importlib.import_module(f"{package.__name__}.{name}")
    except (AttributeError, ModuleNotFoundError):
        return None


@pytest.mark.parametrize("library", BOTH)
@pytest.mark.parametrize("name", sorted({*PRESENT, *INSTEAD, *REFUSED}))
def test_what_is_said_to_be_the_same_is_there(name: str, library: str) -> None:
    assert is_there(library, name)


@pytest.mark.parametrize("name", sorted({*ABSENT} - REFUSED))
def test_what_is_said_not_to_be_there_is_not(name: str) -> None:
    assert not is_there("ddp", name)


@pytest.mark.oracle
@pytest.mark.parametrize("name", sorted({*ABSENT} - {"utils.tensorboard"}))  # a package of its own
def test_what_is_said_not_to_be_there_is_pytorchs(name: str) -> None:
    assert is_there("torch", name)


def test_the_page_names_enough_to_be_worth_checking() -> None:
    assert len(PRESENT) > 80
    assert len(ABSENT) > 25


@pytest.mark.parametrize("library", BOTH)
def test_the_imports_of_the_page_work(library: str) -> None:
    (imports,) = re.findall(r"```python\n(import .*?)```", PAGE.read_text(), re.DOTALL)
    exec(for_library(imports, library), {})


def test_the_session_shown_on_the_page_holds() -> None:
    result = doctest.testfile(str(PAGE), module_relative=False)
    assert result.attempted > 4
    assert result.failed == 0


def test_the_old_type_names_are_no_types() -> None:
    assert ddp.FloatTensor([1, 2]).dtype == ddp.float32
    assert not isinstance(ddp.FloatTensor, type)


def test_a_place_other_than_the_cpu_is_refused_and_the_cpu_is_where_a_tensor_is() -> None:
    x = ddp.ones(2)
    assert x.to("cpu") is x
    with pytest.raises(RuntimeError, match="on the CPU only"):
        x.to("cuda")


def test_a_second_view_of_a_convolution_may_be_a_copy() -> None:
    with ddp.no_grad():
        output = ddp.nn.Conv2d(3, 4, 3)(ddp.randn(2, 3, 6, 6))
    first = output[0]
    seen = output.view(2, -1)
    assert seen.tolist() == output.reshape(2, 64).tolist()
    kept = output.tolist()
    seen.zero_()
    assert output.tolist() == kept  # what the page warns of
    first.zero_()
    assert output[0].abs().sum().item() == 0
