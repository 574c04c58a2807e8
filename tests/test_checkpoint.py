"""A checkpoint exists whole or not at all: killed writers, flipped bytes, two writers at once."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from ddp.checkpoint import (
    Snapshot,
    blas_kernel,
    claim,
    fingerprint,
    load,
    newest,
    prune,
    require_match,
    save,
)
from ddp.checkpoint.store import DiskStore
from ddp.errors import CheckpointError

FILES = ("model.safetensors", "optimizer.safetensors", "state.json")


def snapshot(step: int, value: float = 0.0) -> Snapshot:
    weight = np.arange(6, dtype=np.float32).reshape(2, 3) + np.float32(step + value)
    return Snapshot(
        step=step,
        model={"fc.weight": weight, "bn.num_batches_tracked": np.array(step)},
        optimizer={"fc.weight/exp_avg": weight * weight, "fc.weight/step": np.float32([step])},
        state={"epoch": 1, "position": step, "config": {"model": {"args": {}}}, "shards": 4},
    )


def same(a: Snapshot, b: Snapshot) -> bool:
    return a.step == b.step and (
        fingerprint(a.model, a.optimizer) == fingerprint(b.model, b.optimizer)
    )


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load(path)
    text = str(caught.value)
    assert "\n" not in text
    return text


# ---- the round trip


def test_what_is_saved_comes_back_bit_by_bit(tmp_path: Path) -> None:
    saved = snapshot(1200)
    path = save(tmp_path, saved)
    assert path == tmp_path / "step-00001200"
    loaded = load(path)
    assert same(loaded, saved)
    assert loaded.model["fc.weight"].dtype == np.float32
    assert loaded.model["bn.num_batches_tracked"].shape == ()
    assert loaded.state == saved.state | {
        "fingerprint": fingerprint(saved.model, saved.optimizer),
        "versions": loaded.state["versions"],
        "blas_kernel": blas_kernel(),
    }


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1),
        np.arange(24, dtype=np.float32)[::-2],
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(3, dtype=">f4"),
        np.zeros((0, 3), np.float32),
        np.array(7, np.int64),
        np.array([True, False]),
        np.float32([np.nan, np.inf, -0.0]),
    ],
    ids=["transposed", "strided", "fortran", "big-endian", "empty", "scalar", "bool", "special"],
)
def test_arrays_of_any_layout_keep_their_values(tmp_path: Path, array: np.ndarray) -> None:
    one = Snapshot(step=1, model={"a": array}, optimizer={})
    loaded = load(save(tmp_path, one)).model["a"]
    np.testing.assert_array_equal(loaded, array)
    assert loaded.shape == array.shape
    assert loaded.dtype == array.dtype.newbyteorder("=")


def test_any_safetensors_reader_opens_the_model(tmp_path: Path) -> None:
    path = save(tmp_path, snapshot(3))
    arrays = safetensors.numpy.load_file(path / "model.safetensors")
    assert sorted(arrays) == ["bn.num_batches_tracked", "fc.weight"]


def test_the_same_snapshot_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two = save(tmp_path / "a", snapshot(3)), save(tmp_path / "b", snapshot(3))
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in FILES)


def test_a_loaded_snapshot_can_be_saved_again(tmp_path: Path) -> None:
    path = save(tmp_path / "a", snapshot(3))
    again = save(tmp_path / "b", load(path))
    assert (again / "state.json").read_bytes() == (path / "state.json").read_bytes()


def test_state_keys_that_are_numbers_become_text_as_in_json(tmp_path: Path) -> None:
    one = Snapshot(step=1, model={}, optimizer={}, state={"by_rank": {10: 1, 9: 2}})
    assert load(save(tmp_path, one)).state["by_rank"] == {"10": 1, "9": 2}


# ---- the fingerprint


def test_the_fingerprint_is_what_its_description_says() -> None:
    text = b"model a.b <f4 2x1\n" + np.float32([1.5, 2]).tobytes()
    text += b"model \xc3\xa9 <i8 \n" + (3).to_bytes(8, "little")
    text += b"optimizer a.b/exp_avg <f4 0\n"
    expected = hashlib.sha256(text).hexdigest()
    model = {"é": np.array(3), "a.b": np.float32([[1.5], [2]])}
    assert fingerprint(model, {"a.b/exp_avg": np.zeros(0, np.float32)}) == expected


@pytest.mark.parametrize(
    ("model", "optimizer"),
    [
        ({"b": np.float32([1, 2])}, {}),
        ({"a": np.float32([1, 3])}, {}),
        ({"a": np.float32([[1, 2]])}, {}),
        ({"a": np.float64([1, 2])}, {}),
        ({}, {"a": np.float32([1, 2])}),
        ({"a": np.float32([1, 2])}, {"a": np.float32([1, 2])}),
    ],
    ids=["name", "value", "shape", "dtype", "group", "more"],
)
def test_a_fingerprint_tells_everything_apart(model: Any, optimizer: Any) -> None:
    assert fingerprint(model, optimizer) != fingerprint({"a": np.float32([1, 2])}, {})


def test_a_fingerprint_depends_on_values_not_on_layout_or_order() -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    plain = fingerprint({"a": x, "b": x}, {})
    assert fingerprint({"b": np.asfortranarray(x), "a": x.astype(">f4")}, {}) == plain


# ---- the writer dies


class Killed(BaseException):
    """The process is gone; nobody catches it."""


class DyingStore(DiskStore):
    """Dies at the `fatal`-th changing call: before it, halfway through it, or right after it."""

    def __init__(self, fatal: int, moment: str) -> None:
        self.calls, self.fatal, self.moment = 0, fatal, moment

    def _die_at(self, moment: str) -> None:
        if self.calls == self.fatal and self.moment == moment:
            raise Killed

    def make_directory(self, path: Path) -> None:
        self._do(super().make_directory, lambda: None, path)

    def write(self, path: Path, content: bytes) -> None:
        self._do(
            super().write, lambda: path.write_bytes(content[: len(content) // 2]), path, content
        )

    def sync_directory(self, path: Path) -> None:
        self._do(super().sync_directory, lambda: None, path)

    def rename(self, old: Path, new: Path) -> None:
        self._do(super().rename, lambda: None, old, new)

    def remove_tree(self, path: Path) -> None:
        self._do(super().remove_tree, lambda: next(iter(path.iterdir())).unlink(), path)

    def _do(self, operation: Any, half: Any, *arguments: Any) -> None:
        self.calls += 1
        self._die_at("before")
        if self.calls == self.fatal and self.moment == "halfway":
            half()
            raise Killed
        operation(*arguments)
        self._die_at("after")


MOMENTS = ("before", "halfway", "after")
SAVE_CALLS = 7  # make, write x3, sync, rename, sync


RENAME = 6  # the call with which the new one exists


def test_saving_takes_the_calls_that_the_deaths_below_cover(tmp_path: Path) -> None:
    store = DyingStore(fatal=0, moment="before")
    save(tmp_path, snapshot(2), store)
    assert store.calls == SAVE_CALLS


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("fatal", range(1, SAVE_CALLS + 1))
def test_a_writer_killed_anywhere_leaves_the_newest_whole_one(
    tmp_path: Path, fatal: int, moment: str
) -> None:
    old, new = snapshot(1), snapshot(2)
    save(tmp_path, old)
    with pytest.raises(Killed):
        save(tmp_path, new, DyingStore(fatal, moment))
    found, passed_over = newest(tmp_path)
    assert passed_over == []
    assert found is not None
    exists = fatal > RENAME or (fatal == RENAME and moment == "after")
    assert same(found, new if exists else old)
    # The next run on this directory saves and clears up as if nothing had been.
    save(tmp_path, new)
    prune(tmp_path, keep=5)
    assert sorted(os.listdir(tmp_path)) == ["step-00000001", "step-00000002"]
    assert same(load(tmp_path / "step-00000002"), new)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_pruner_killed_anywhere_leaves_only_whole_ones(tmp_path: Path, moment: str) -> None:
    for fatal in range(1, 7):  # three renames, three removals
        run = tmp_path / f"{fatal}"
        for step in range(1, 5):
            save(run, snapshot(step))
        (run / ".tmp-step-00000009-0").mkdir()
        (run / ".tmp-step-00000009-0" / "x").touch()
        with pytest.raises(Killed):
            prune(run, keep=1, store=DyingStore(fatal, moment))
        kept = [name for name in sorted(os.listdir(run)) if name.startswith("step-")]
        assert kept[-1] == "step-00000004"
        assert all(same(load(run / name), snapshot(int(name[5:]))) for name in kept)
        prune(run, keep=1)
        assert os.listdir(run) == ["step-00000004"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_writer_killed_while_replacing_a_damaged_one_harms_no_other(
    tmp_path: Path, moment: str
) -> None:
    for fatal in range(1, SAVE_CALLS + 2):
        run = tmp_path / f"{fatal}"
        save(run, snapshot(1))
        (save(run, snapshot(2)) / "state.json").unlink()
        with pytest.raises(Killed):
            save(run, snapshot(2), DyingStore(fatal, moment))
        found, _ = newest(run)
        assert found is not None
        save(run, snapshot(2))
        assert same(load(run / "step-00000002"), snapshot(2))


WRITER = """
import os, signal, sys
from pathlib import Path
from ddp.checkpoint import save
from tests.test_checkpoint import DyingStore, Killed, snapshot
try:
    save(Path(sys.argv[1]), snapshot(2), DyingStore(int(sys.argv[2]), "halfway"))
except Killed:
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow  # real processes: each imports NumPy
@pytest.mark.parametrize("fatal", [2, 4, 6])
def test_a_real_process_killed_in_the_middle_leaves_the_older_one(
    tmp_path: Path, fatal: int
) -> None:
    save(tmp_path, snapshot(1))
    root = Path(__file__).parent.parent
    argv = [sys.executable, "-c", WRITER, str(tmp_path), str(fatal)]
    assert subprocess.run(argv, cwd=root, timeout=60).returncode == -9
    found, passed_over = newest(tmp_path)
    assert found is not None
    assert (found.step, passed_over) == (1, [])


def test_every_file_is_on_the_disk_before_the_name_is(tmp_path: Path) -> None:
    """What `write` and `sync_directory` promise is fsync; here is the order of the calls."""
    calls = []

    class Recording(DiskStore):
        def write(self, path: Path, content: bytes) -> None:
            calls.append(f"write {path.name}")
            super().write(path, content)

        def sync_directory(self, path: Path) -> None:
            calls.append(f"sync {path.name}")
            super().sync_directory(path)

        def rename(self, old: Path, new: Path) -> None:
            calls.append(f"rename to {new.name}")
            super().rename(old, new)

    save(tmp_path / "run", snapshot(2), Recording())
    assert calls == [
        *(f"write {name}" for name in FILES),
        "sync .tmp-step-00000002-0",
        "rename to step-00000002",
        "sync run",
    ]


def test_a_full_disk_is_said_in_one_sentence(tmp_path: Path) -> None:
    class Full(DiskStore):
        def write(self, path: Path, content: bytes) -> None:
            raise OSError(28, "No space left on device")

    save(tmp_path, snapshot(1))
    with pytest.raises(CheckpointError, match=r"step-00000002: could not be written: .*No space"):
        save(tmp_path, snapshot(2), Full())
    assert newest(tmp_path)[0] is not None


# ---- damage


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte_anywhere_is_found_and_the_file_named(tmp_path: Path, name: str) -> None:
    path = save(tmp_path, snapshot(1)) / name
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x2A]) + whole[place + 1 :])
        said = refusal(path.parent)
        assert said.startswith(f"{path}: ")
        assert "altered" in said or "newer" in said  # a flipped digit of the format number


def test_a_space_that_became_a_newline_is_found(tmp_path: Path) -> None:
    """The values would be the same; the bytes are not."""
    path = save(tmp_path, snapshot(1)) / "state.json"
    path.write_bytes(path.read_bytes().replace(b" ", b"\n", 1))
    assert refusal(path.parent).startswith(f"{path}: altered")


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_named(tmp_path: Path, name: str) -> None:
    path = save(tmp_path, snapshot(1)) / name
    whole = path.read_bytes()
    for kept in (0, 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:kept])
        said = refusal(path.parent)
        assert said.startswith(f"{path}: ")
        assert "truncated" in said or "altered" in said


def test_a_truncated_file_is_told_in_bytes(tmp_path: Path) -> None:
    path = save(tmp_path, snapshot(1)) / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    assert refusal(path.parent) == (
        f"{path}: truncated: {len(whole) - 5} bytes, state.json says {len(whole)}"
    )


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    path = save(tmp_path, snapshot(1)) / name
    path.unlink()
    assert refusal(path.parent) == f"{path}: missing"


def test_files_of_two_checkpoints_do_not_mix(tmp_path: Path) -> None:
    one, two = save(tmp_path, snapshot(1)), save(tmp_path, snapshot(2))
    shutil.copy(one / "model.safetensors", two / "model.safetensors")
    assert refusal(two).startswith(f"{two / 'model.safetensors'}: altered")


def test_a_renamed_checkpoint_of_another_step_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, snapshot(1)).rename(tmp_path / "step-00000007")
    assert refusal(path) == f"{path}: renamed: its state.json says step 1"


def test_a_checkpoint_copied_under_a_free_name_is_read(tmp_path: Path) -> None:
    path = save(tmp_path, snapshot(1)).rename(tmp_path / "best")
    assert same(load(path), snapshot(1))


def rewrite_state(path: Path, **changes: Any) -> None:
    """Change state.json as a program would that knows its checksum."""
    table = json.loads((path / "state.json").read_text()) | changes
    del table["sha256"]
    digest = hashlib.sha256(canonical(table)).hexdigest()
    (path / "state.json").write_bytes(canonical(table | {"sha256": digest}))


def canonical(table: Any) -> bytes:
    return (json.dumps(table, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def test_a_newer_format_asks_for_an_upgrade(tmp_path: Path) -> None:
    path = save(tmp_path, snapshot(1))
    rewrite_state(path, format=2)
    assert refusal(path) == (
        f"{path / 'state.json'}: format 2 is newer than 1, the newest this version of ddp reads: "
        "upgrade ddp"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"files": {}},
        {"files": 3},
        {"step": "1"},
        {"surprise": 1},
        {"fingerprint": "0"},
        {"format": 0},
    ],
)
def test_a_manifest_that_says_something_else_is_refused(tmp_path: Path, changes: Any) -> None:
    path = save(tmp_path, snapshot(1))
    rewrite_state(path, **changes)
    assert refusal(path).startswith(f"{path}")


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"[" * 100_000, b"\x80\x04N.", b"{}"])
def test_a_state_that_is_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    path = save(tmp_path, snapshot(1)) / "state.json"
    path.write_bytes(content)
    assert refusal(path.parent).startswith(f"{path}: ")


def test_a_file_of_another_kind_with_a_right_checksum_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, snapshot(1))
    content = b"\x80\x04cos\nsystem\n."  # a pickle would be run by some; here it is only bytes
    (path / "model.safetensors").write_bytes(content)
    entry = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    files = json.loads((path / "state.json").read_text())["files"]
    rewrite_state(path, files=files | {"model.safetensors": entry})
    assert refusal(path).startswith(f"{path / 'model.safetensors'}: not a safetensors file: ")


def test_what_is_no_checkpoint_is_said_so(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none") == f"{tmp_path / 'none'}: no such checkpoint"
    save(tmp_path / "run", snapshot(3))
    assert refusal(tmp_path / "run") == (
        f"{tmp_path / 'run'} is a run directory: name a checkpoint in it, as "
        f"{tmp_path / 'run' / 'step-00000003'}"
    )


# ---- generations


def test_the_newest_whole_one_is_found_and_the_damaged_ones_named(tmp_path: Path) -> None:
    for step in (5, 100_000_000, 40):
        save(tmp_path, snapshot(step))
    (tmp_path / "step-100000000" / "state.json").unlink()
    found, passed_over = newest(tmp_path)
    assert found is not None
    assert found.step == 40
    assert passed_over == [f"{tmp_path / 'step-100000000' / 'state.json'}: missing"]


def test_a_directory_without_checkpoints_has_no_newest(tmp_path: Path) -> None:
    assert newest(tmp_path / "none") == (None, [])
    (tmp_path / "step-3").mkdir()
    (tmp_path / "notes.txt").touch()
    assert newest(tmp_path) == (None, [])


def test_pruning_keeps_the_newest_and_what_is_not_ours(tmp_path: Path) -> None:
    for step in range(1, 6):
        save(tmp_path, snapshot(step))
    (tmp_path / ".tmp-metrics.jsonl").touch()
    (tmp_path / "step-best").mkdir()
    prune(tmp_path, keep=2)
    assert sorted(os.listdir(tmp_path)) == [
        ".tmp-metrics.jsonl",
        "step-00000004",
        "step-00000005",
        "step-best",
    ]


def test_pruning_never_takes_the_newest_whole_one(tmp_path: Path) -> None:
    for step in range(1, 6):
        save(tmp_path, snapshot(step))
    for step in (4, 5):
        (tmp_path / f"step-0000000{step}" / "state.json").unlink()
    prune(tmp_path, keep=1)
    assert sorted(os.listdir(tmp_path)) == ["step-00000003", "step-00000005"]


def test_pruning_after_saving_reads_nothing(tmp_path: Path) -> None:
    class Unreadable(DiskStore):
        def read(self, path: Path) -> bytes:
            raise AssertionError(f"read {path}")

    for step in range(1, 4):
        written = save(tmp_path, snapshot(step))
    prune(tmp_path, 1, Unreadable(), whole=written)
    assert os.listdir(tmp_path) == ["step-00000003"]


def test_saving_the_same_again_changes_nothing(tmp_path: Path) -> None:
    path = save(tmp_path, snapshot(1))
    before = (path / "state.json").stat().st_mtime_ns
    assert save(tmp_path, snapshot(1)) == path
    assert (path / "state.json").stat().st_mtime_ns == before


def test_saving_another_result_for_the_same_step_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, snapshot(1))
    with pytest.raises(CheckpointError, match="already holds another result for this step"):
        save(tmp_path, snapshot(1, value=0.5))
    assert same(load(path), snapshot(1))


# ---- does it fit the model?


@pytest.mark.parametrize(
    ("found", "answer"),
    [
        ({}, "no array 'w', which this run's config needs"),
        (
            {"w": np.ones((2, 3), np.float32), "x": np.ones(1)},
            "array 'x' has no place in this run's config",
        ),
        (
            {"w": np.ones((3, 2), np.float32)},
            "'w' is float32 3x2: this run's config needs float32 2x3",
        ),
        ({"w": np.ones((2, 3))}, "'w' is float64 2x3: this run's config needs float32 2x3"),
    ],
)
def test_arrays_that_do_not_fit_are_named(found: Any, answer: str) -> None:
    expected = {"w": np.zeros((2, 3), np.float32)}
    with pytest.raises(CheckpointError) as caught:
        require_match(found, expected, "model.safetensors")
    assert str(caught.value) == f"model.safetensors: {answer}"
    require_match(expected, expected, "model.safetensors")


# ---- the run directory


def test_an_earlier_run_is_never_overwritten(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "digits"
    with claim(run, resume=False):
        save(run, snapshot(1))
    with pytest.raises(CheckpointError) as caught:
        claim(run, resume=False)
    assert str(caught.value) == (
        f"{run} exists and is not empty: --resume goes on with the run in it, or choose another "
        "--out"
    )
    claim(run, resume=True).close()


@pytest.mark.parametrize("resume", [False, True])
def test_a_directory_without_a_run_serves_for_a_new_one(tmp_path: Path, resume: bool) -> None:
    claim(tmp_path / "run", resume).close()
    claim(tmp_path / "run", resume).close()  # a run that ended before it wrote anything
    assert os.listdir(tmp_path / "run") == [".lock"]


def test_a_run_directory_has_one_owner_at_a_time(tmp_path: Path) -> None:
    with claim(tmp_path, resume=True):
        with pytest.raises(CheckpointError) as caught:
            claim(tmp_path, resume=True)
        assert f"{tmp_path} is in use by process {os.getpid()} on host " in str(caught.value)
    claim(tmp_path, resume=True).close()


HOLDER = """
import sys
from pathlib import Path
from ddp.checkpoint import claim
claimed = claim(Path(sys.argv[1]), resume=True)
print("claimed", flush=True)
sys.stdin.read()
"""


@pytest.mark.slow  # a real process: it imports NumPy
def test_a_killed_owner_leaves_no_lock(tmp_path: Path) -> None:
    root = Path(__file__).parent.parent
    argv = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(argv, cwd=root, stdin=-1, stdout=-1) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"claimed\n"
        with pytest.raises(CheckpointError, match=f"in use by process {owner.pid} on host"):
            claim(tmp_path, resume=True)
        owner.kill()
    claim(tmp_path, resume=True).close()


def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(CheckpointError, match="expected a directory to write to"):
        claim(tmp_path / "run", resume=False)


def test_a_closed_claim_may_be_closed_again(tmp_path: Path) -> None:
    claimed = claim(tmp_path / "run", resume=False)
    claimed.close()
    claimed.close()
