"""A plan is data: what is in it can be read off, without starting anything."""

from __future__ import annotations

import shlex
from pathlib import Path

from launcher.plan import COORDINATOR, WORKER, Plan, Run, describe, local_plan
from launcher.threads import THREAD_VARIABLES, one_thread


def plan_of(
    workers: int = 2,
    environ: dict[str, str] | None = None,
    config: str = "configs/digits.toml",
    resume: bool = False,
    overrides: tuple[str, ...] = (),
) -> Plan:
    run = Run(
        config=Path(config),
        out=Path("runs/digits"),
        workers=workers,
        resume=resume,
        overrides=overrides,
    )
    return local_plan(
        run,
        address="ipc://@here",
        python=("/usr/bin/python3", "-P"),
        environ=environ or {},
        cores=2,
    )


def test_a_plan_is_one_coordinator_and_the_workers_asked_for() -> None:
    plan = plan_of(workers=3)
    assert [p.role for p in plan.processes] == [COORDINATOR, WORKER, WORKER, WORKER]
    assert [p.label for p in plan.processes] == ["coordinator", "rank 0", "rank 1", "rank 2"]


def test_a_worker_is_told_its_rank_and_where_the_coordinator_listens() -> None:
    plan = plan_of()
    assert plan.processes[1].argv == (
        *("/usr/bin/python3", "-P", "-m", "workers", "worker"),
        *("--coordinator", "ipc://@here", "--rank", "0"),
    )


def test_the_coordinator_gets_what_the_user_asked_for() -> None:
    plan = plan_of(resume=True, overrides=("seed=3", "optimizer.lr=0.1"))
    assert plan.processes[0].argv == (
        *("/usr/bin/python3", "-P", "-m", "workers", "coordinator", "configs/digits.toml"),
        *("--listen", "ipc://@here", "--workers", "2", "--out", "runs/digits", "--resume"),
        *("--set", "seed=3", "--set", "optimizer.lr=0.1"),
    )


def test_a_file_name_that_looks_like_a_command_stays_one_argument() -> None:
    plan = plan_of(config="a b; rm -r $HOME.toml")
    assert plan.processes[0].argv[5] == "a b; rm -r $HOME.toml"
    last_line_of_coordinator = describe(plan).split("rank 0:")[0].strip().splitlines()[-1]
    assert tuple(shlex.split(last_line_of_coordinator)) == plan.processes[0].argv


def test_every_process_computes_on_one_thread() -> None:
    for process in plan_of().processes:
        assert {process.environment[name] for name in THREAD_VARIABLES} == {"1"}


def test_what_the_user_has_set_about_threads_stays_as_it_is() -> None:
    plan = plan_of(environ={"OMP_NUM_THREADS": "4"})
    assert "OMP_NUM_THREADS" not in plan.processes[1].environment
    assert one_thread({"OMP_NUM_THREADS": "4"})["OPENBLAS_NUM_THREADS"] == "1"


def test_memory_is_on_large_pages_unless_the_user_has_tuned_it() -> None:
    assert plan_of().processes[1].environment["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=1"
    plan = plan_of(environ={"GLIBC_TUNABLES": "glibc.malloc.check=1"})
    assert "GLIBC_TUNABLES" not in plan.processes[1].environment


def test_more_workers_than_cores_is_worth_a_warning() -> None:
    assert plan_of(workers=2).warnings == ()
    (warning,) = plan_of(workers=3).warnings
    assert "3 workers on 2 cores" in warning
    assert describe(plan_of(workers=3)).startswith("warning: 3 workers")
