"""Each import contract catches what it forbids: a violation is planted in a copy of the tree."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]

# contract → (file, line to plant there); each is what a hurried change might bring
PLANTED = {
    "imports point downwards, siblings are strangers": (
        "ddp/optim/sgd.py",
        "from ddp.nn.module import Module",
    ),
    "inside workers, processes use state machines, never the reverse": (
        "workers/worker_state.py",
        "import workers.session",
    ),
    "inside launcher, what is decided does not know how it is carried out": (
        "launcher/local_state.py",
        "import launcher.local",
    ),
    "the mathematics knows no network, disk, clock or process": (
        "ddp/parallel/layout.py",
        "import time",
    ),
    "the state machines import no network, disk, clock, thread or process themselves": (
        "workers/coordinator_state.py",
        "import time",
    ),
    "mpi4py only in ddp.comm.mpi": ("workers/mpi.py", "import mpi4py"),
    "zmq only in ddp.comm.zeromq and the two processes that speak it": (
        "workers/session.py",
        "import zmq",
    ),
    "msgpack only in ddp.wire": ("ddp/comm/solo.py", "import msgpack"),
    "numba only in ddp.kernels.compiled": ("ddp/autograd/ops/gelu.py", "import numba"),
    "PyTorch is an oracle for tests, never a part": ("ddp/nn/init.py", "import torch"),
    "transports do not know each other": ("ddp/comm/mpi.py", "import ddp.comm.threads"),
}


def lint_imports(tree: Path) -> str:
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-cache"], cwd=tree, capture_output=True, text=True)
    return done.stdout


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for package in ("ddp", "workers", "launcher"):
        shutil.copytree(ROOT / package, tmp_path / package)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_every_contract_has_a_violation_planted() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert [contract["name"] for contract in settings["contracts"]] == list(PLANTED)


@pytest.mark.parametrize("contract", PLANTED)
def test_a_planted_violation_is_caught(contract: str, tree: Path) -> None:
    file, line = PLANTED[contract]
    path = tree / file
    path.write_text(f"{path.read_text()}\n\ndef planted() -> None:\n    {line}\n")
    assert f"{contract} BROKEN" in lint_imports(tree)


def test_no_module_is_in_an_import_cycle() -> None:
    """At run time; imports for the type checker alone are left out."""
    graph = grimp.build_graph(
        "ddp", "workers", "launcher", exclude_type_checking_imports=True, cache_dir=None
    )
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    TopologicalSorter(imports).prepare()  # raises CycleError, which names a cycle
