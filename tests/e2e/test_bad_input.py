"""Bad input as a user gives it: exit code 2, one sentence, and nothing begun or overwritten."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import numpy as np
import pytest
import zmq

from ddp.version import VERSION
from tests.helpers.runs import DDP, Run, ddp, fingerprint
from tests.helpers.spawn import ROOT, find_mpiexec, spawn
from workers import messages as m

pytestmark = pytest.mark.slow  # real processes

QUICK = ROOT / "configs" / "quick.toml"
NO_FACTORY = ("--set", "data.factory=")


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """What stderr says, after checking that it is one sentence for a user."""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("warning: ")]
    assert done.returncode == 2, done.stdout + done.stderr
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("ddp: ")
    return lines[0]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data files that do not fit."""
    folder = tmp_path_factory.mktemp("files")
    images, labels = np.zeros((64, 1, 8, 8), np.float32), np.arange(64) % 10
    np.savez(folder / "flat.npz", x=np.zeros((64, 9), np.float32), y=labels)
    np.savez(folder / "labels.npz", x=images, y=np.arange(64) % 12)
    np.savez(folder / "short.npz", x=images, y=labels[:50])
    (folder / "broken.npz").write_bytes(b"PK\\x03\\x04 and then nothing")
    (folder / "malformed.toml").write_text("[model\nfactory = 1\n")
    return folder


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["train.global_bach=3"], "unknown key 'train.global_bach' (did you mean"),
        (["train.global_batch=many"], "'train.global_batch' is \"many\": expected an integer"),
        (["train.shards=65"], "'train.global_batch' is 64: expected at least 'train.shards'"),
        (["model.factory=ddp.models:digit_cnn"], "did you mean 'digits_cnn'?"),
        (["model.factory=no.such:thing"], "there is no module 'no'"),
        (["model.args={depth=3}"], "unknown key 'model.args.depth'"),
        (["data.factory=", "data.train=/nowhere.npz"], "/nowhere.npz: no such file"),
        (["data.factory=", "data.train={files}/broken.npz"], "broken.npz: expected a whole .npz"),
        (["data.factory=", "data.train={files}/short.npz"], "as many targets as inputs"),
        (["data.factory=", "data.train={files}/flat.npz"], "do not fit the model"),
        (["data.factory=", "data.train={files}/labels.npz"], "label 10 at position 10"),
    ],
)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_wrong_configuration_or_data_set(
    overrides: list[str], said: str, workers: str, files: Path, tmp_path: Path
) -> None:
    changes = [part for o in overrides for part in ("--set", o.replace("{files}", str(files)))]
    out = tmp_path / "run"
    assert said in sentence(ddp("train", QUICK, "--workers", workers, "--out", out, *changes))
    assert not list(out.glob("[!.]*"))  # the same command, corrected, can use the directory


def test_a_malformed_file_says_where(files: Path) -> None:
    assert "malformed.toml: line 1, column 7" in sentence(ddp("train", files / "malformed.toml"))


def test_more_workers_than_shards(tmp_path: Path) -> None:
    done = ddp("train", QUICK, "--workers", "5", "--out", tmp_path / "run")
    assert "'train.shards' is 4: expected at least the number of workers, 5" in sentence(done)


@pytest.mark.mpi
@pytest.mark.parametrize(
    "change", ["model.factory=ddp.models:digit_cnn", "train.global_bach=3", "train.shards=2"]
)
def test_under_mpiexec_the_sentence_is_said_once(change: str, tmp_path: Path) -> None:
    command = [*DDP, "train", QUICK, "--out", tmp_path / "run", "--set", change]
    done = spawn([find_mpiexec(), "-n", "3", *command])
    assert done.returncode == 2
    # Open MPI adds a notice of its own about the exit code.
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("ddp: ")]
    assert f"'{change.partition('=')[0]}'" in said
    assert "Traceback" not in done.stderr


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        out = tmp_path / "run"
        done = ddp("coordinator", QUICK, "--listen", address, "--workers", "1", "--out", out)
    assert f"cannot listen on {address}" in sentence(done)
    assert not out.exists()


@pytest.mark.parametrize("address", ["nonsense", "tcp://127.0.0.1", "tcp://:5555", "udp://a:1"])
def test_an_address_that_is_none(address: str) -> None:
    assert "expected tcp://HOST:PORT" in sentence(ddp("worker", "--coordinator", address))


def test_a_coordinator_that_does_not_answer() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{unused.getsockname()[1]}"
        done = ddp("worker", "--coordinator", address, "--connect-timeout-s", "1")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"ddp: no coordinator answered at {address} within 1 s")


# -- checkpoints ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "run"
    assert ddp("train", QUICK, "--workers", "1", "--out", out).returncode == 0
    return out


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("harm", [flip_a_byte, truncate])
@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(
    harm, name: str, finished: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    harm(out / "step-00000040" / name)
    refused = ddp("evaluate", out / "step-00000040")
    assert f"step-00000040/{name}: " in sentence(refused)
    done = ddp("train", QUICK, "--workers", "1", "--out", out, "--resume")
    assert done.returncode == 0, done.stderr
    assert f"passed over: {out}/step-00000040/{name}: " in done.stdout
    assert "going on after step 30" in done.stdout
    assert fingerprint(out) == fingerprint(finished)


def test_resuming_with_another_configuration_names_the_key(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    done = ddp("train", QUICK, "--out", out, "--resume", "--set", "optimizer.lr=0.3")
    assert "'optimizer.lr' is 0.3, the checkpoint has 0.1" in sentence(done)


def test_two_runs_cannot_share_a_directory(tmp_path: Path) -> None:
    out = tmp_path / "run"
    long = ["--set", "train.steps=100000"]
    first = Run(
        [*DDP, "train", str(QUICK), "--workers", "1", "--out", str(out), *long],
        tmp_path / "log",
        out,
    )
    first.wait_for_step(1)
    second = ddp("train", QUICK, "--workers", "1", "--out", out, "--resume")
    first.process.terminate()
    assert first.end(10) == 143
    assert "is in use by process" in sentence(second)


# -- strangers at the coordinator's port ------------------------------------------------------


def test_garbage_oversized_frames_and_other_versions_do_not_disturb_a_run(
    finished: Path, tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address, out = f"tcp://127.0.0.1:{port}", tmp_path / "run"
    listen = ["--listen", address, "--workers", "2", "--out", str(out)]
    coordinator = Run([*DDP, "coordinator", str(QUICK), *listen], tmp_path / "coordinator", out)
    worker = [*DDP, "worker", "--coordinator", address]
    first = Run(worker, tmp_path / "first", out)
    coordinator.wait_until(lambda: f"listening at {address}" in coordinator.text)

    send_bytes(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    send_bytes(port, os.urandom(4096))
    with zmq.Context() as context, context.socket(zmq.DEALER) as stranger:
        stranger.connect(address)
        stranger.send_multipart([os.urandom(100)])
        stranger.send_multipart([b""] * 50)
        stranger.send(bytes(m.MAX_FRAME_BYTES + 1))
        stranger.close(linger=2000)
    with zmq.Context() as context, context.socket(zmq.DEALER) as older:
        older.setsockopt(zmq.IDENTITY, b"0123456789abcdef/main")
        older.connect(address)
        hello = m.Hello(version="0.0.1", host="elsewhere", pid=1, kernel="k")
        older.send_multipart(m.to_frames(hello))
        assert older.poll(5000), "no answer to a worker of another version"
        refused, _ = m.coordinator_message(older.recv_multipart())
    assert isinstance(refused, m.Refused)
    assert refused.reason.startswith(f"it runs ddp 0.0.1, the coordinator {VERSION}")

    second = Run(worker, tmp_path / "second", out)
    assert coordinator.end(30) == 0, coordinator.text
    assert (first.end(5), second.end(5)) == (0, 0)
    assert "refused a worker (elsewhere, pid 1): it runs ddp 0.0.1" in coordinator.text
    assert json.loads((out / "summary.json").read_text())["workers"] == 2
    assert fingerprint(out) == fingerprint(finished)


def send_bytes(port: int, content: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(content)
        connection.settimeout(0.2)
        try:
            while connection.recv(4096):
                pass
        except OSError:
            pass  # hung up on, or not answered: either will do
