"""Plans of small Python programs, carried out for real: processes, pipes, signals."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launcher import local_state
from launcher.local import run_plan
from launcher.plan import COORDINATOR, WORKER, Plan, Process

LIMIT_S = 20.0
FOREVER = "import time; print('ready', flush=True); time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {FOREVER}"


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorter limits, where not the limits are tested but what happens at them."""
    for name in ("SETTLE_S", "LEAVE_S", "GRACE_S"):
        monkeypatch.setattr(local_state, name, 0.2)


def process(program: str, role: str = WORKER, label: str = "worker 0") -> Process:
    argv = (sys.executable, "-S", "-c", program)
    return Process(role=role, label=label, argv=argv, environment={"ROLE": role})


def plan(coordinator: str, *workers: str) -> Plan:
    processes = [process(w, label=f"worker {i}") for i, w in enumerate(workers)]
    return Plan(processes=(process(coordinator, COORDINATOR, "coordinator"), *processes))


def run(plan: Plan) -> tuple[int, str]:
    stderr = io.StringIO()
    return run_plan(plan, stderr), stderr.getvalue()


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until_gone(pid: int, limit_s: float = 5.0) -> bool:
    end_s = time.monotonic() + limit_s
    while is_alive(pid) and time.monotonic() < end_s:
        os.sched_yield()
    return not is_alive(pid)


def test_lines_of_workers_are_signed_and_never_torn() -> None:
    writes = "import sys\nfor _ in range(200): sys.stdout.write('a' * 50); sys.stdout.write('b\\n')"
    code, output = run(plan("", writes, writes))
    assert code == 0
    lines = sorted(output.splitlines())
    assert lines == [f"[worker {i}] {'a' * 50}b" for i in (0, 1) for _ in range(200)]


def test_the_environment_of_the_plan_is_added_to_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_US", "yes")
    code, output = run(plan("", "import os; print(os.environ['FROM_US'], os.environ['ROLE'])"))
    assert (code, output) == (0, "[worker 0] yes worker\n")


def test_the_coordinator_writes_to_our_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    code, output = run(plan("import sys; print('step 1'); print('note', file=sys.stderr)", ""))
    assert code == 0
    assert capfd.readouterr().out == "step 1\n"
    assert output == "note\n"


def test_an_exception_is_shown_once_and_the_last_line_names_its_process() -> None:
    victim = "import sys, time\nprint('ready')\ntime.sleep(60)"
    code, output = run(
        plan(FOREVER, victim, "import os; print(os.getpid()); raise ValueError('x')")
    )
    assert code == 1
    assert output.count("Traceback") == 1
    pid = next(line for line in output.splitlines() if line.startswith("[worker 1] ")).split()[-1]
    last = output.splitlines()[-1]
    host = os.uname().nodename
    expected = f"worker 1 (host {host}, pid {pid}) failed with exit code 1: ValueError: x"
    assert last == f"ddp: {expected}"


@pytest.mark.slow  # the limit on stubborn processes, for real
def test_a_killed_worker_ends_the_run_in_time_and_leaves_nobody() -> None:
    start_s = time.monotonic()
    dies = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    pids = "import os; print(os.getpid(), flush=True); "
    code, output = run(plan(STUBBORN, pids + STUBBORN, dies, pids + FOREVER))
    assert time.monotonic() - start_s < 5.0
    assert code == 1
    assert output.splitlines()[-1].endswith("was killed by SIGKILL")
    for line in output.splitlines()[:-1]:
        word = line.split()[-1]
        assert not (word.isdecimal() and is_alive(int(word)))


@pytest.mark.usefixtures("little_patience")
def test_a_stopped_process_does_not_outlive_the_run() -> None:
    stops = "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"
    code, output = run(plan("import sys; sys.exit('ddp: rank 0 is silent')", stops))
    assert code == 1
    assert output == "ddp: rank 0 is silent\n"


@pytest.mark.usefixtures("little_patience")
def test_a_worker_that_exits_with_zero_in_the_middle_is_a_failure() -> None:
    code, output = run(plan(FOREVER, "", FOREVER))
    assert code == 1
    assert "worker 0" in output.splitlines()[-1]
    assert "left before the run was over" in output.splitlines()[-1]


def test_the_coordinators_verdict_is_the_last_line_and_brings_the_culprits_traceback(
    fifo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The victim ends first; the coordinator knows better, from what it was told.
    os.mkfifo(fifo)
    monkeypatch.setenv("RUN", str(fifo))
    coordinator = """
import os, sys
pid = open(os.environ['RUN']).read()
sys.exit(f'ddp: rank 1 (host h, pid {pid}) failed: the cause')
"""
    victim = "raise RuntimeError('rank 1 is gone')"
    culprit = """
import os
open(os.environ['RUN'], 'w').write(str(os.getpid()))
raise ValueError('the cause')
"""
    code, output = run(plan(coordinator, victim, culprit))
    assert code == 1
    assert output.splitlines()[-1].startswith("ddp: rank 1 (host h, pid ")
    assert "[worker 1] ValueError: the cause" in output
    assert "RuntimeError" not in output, "a victim's traceback explains nothing"


def test_a_program_that_cannot_be_started_leaves_no_other_behind() -> None:
    nonsense = Process(role=WORKER, label="worker 0", argv=("/no/such/program",), environment={})
    coordinator = plan(FOREVER).processes[0]
    with pytest.raises(FileNotFoundError):
        run(Plan(processes=(coordinator, nonsense)))


def test_what_a_worker_has_started_ends_with_it() -> None:
    starts = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, '-S', '-c', {FOREVER!r}], stdout=subprocess.DEVNULL)
print(child.pid)
"""
    code, output = run(plan("", starts))
    assert code == 0
    assert wait_until_gone(int(output.split()[-1]))


# -- a launcher of its own, to be sent signals ------------------------------------------------

COORDINATING = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
run = open(os.environ['RUN'], 'w')  # returns when a worker has come, closes when we end
os.write(1, b'%d\\n' % os.getpid())  # in one piece
time.sleep(60)
"""
WORKING = """
import os
run = open(os.environ['RUN'])
print(os.getpid(), flush=True)
run.read()  # until the coordinator is gone
"""
CHECKPOINTING = COORDINATING.replace("sys.exit(130)", "None").replace("sys.exit(143)", "None")


class Launched:
    """A launcher with a coordinator and two workers, all of them at work."""

    def __init__(self, coordinator: str, fifo: Path) -> None:
        os.mkfifo(fifo)
        program = (
            "import sys; from launcher.local import run_plan; "
            "from tests.launcher import test_local; "
            f"sys.exit(run_plan(test_local.plan({coordinator!r}, {WORKING!r}, {WORKING!r})))"
        )
        self._popen = subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "RUN": str(fifo)},
            start_new_session=True,
        )
        assert self._popen.stdout is not None
        lines = [self._popen.stdout.readline() for _ in range(3)]
        self.pids = [int(line.split()[-1]) for line in lines]

    def __enter__(self) -> Launched:
        return self

    def __exit__(self, *_: object) -> None:
        self._popen.kill()
        self._popen.communicate()

    def send(self, signum: int) -> None:
        self._popen.send_signal(signum)

    def end(self) -> tuple[int, str]:
        output, _ = self._popen.communicate(timeout=LIMIT_S)
        return self._popen.returncode, output


@pytest.mark.parametrize(
    ("signum", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)],
)
def test_a_signal_stops_the_run_by_way_of_the_coordinator(
    signum: int, code: int, fifo: Path
) -> None:
    with Launched(COORDINATING, fifo) as launched:
        launched.send(signum)
        assert launched.end() == (code, "")
    assert all(map(wait_until_gone, launched.pids))


def test_under_nohup_a_closed_terminal_stops_nothing(fifo: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what is ignored is inherited
    try:
        with Launched(COORDINATING, fifo) as launched:
            launched.send(signal.SIGHUP)
            launched.send(signal.SIGINT)
            assert launched.end() == (130, "")
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_second_ctrl_c_kills(fifo: Path) -> None:
    with Launched(CHECKPOINTING, fifo) as launched:
        launched.send(signal.SIGINT)
        launched.send(signal.SIGTERM)  # another one: two of the same could arrive as one
        code, _ = launched.end()
    assert code in (130, 143)  # the one that arrived first
    assert all(map(wait_until_gone, launched.pids))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tell a child of our death")
def test_a_launcher_that_is_killed_leaves_no_orphan(fifo: Path) -> None:
    with Launched(COORDINATING, fifo) as launched:
        launched.send(signal.SIGKILL)
        assert launched.end()[0] == -signal.SIGKILL
    assert all(map(wait_until_gone, launched.pids))
