"""`DataLoader`: PyTorch's orders, batches, lengths, and worker processes that die cleanly."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import Counter
from typing import Any

import numpy as np
import pytest

import ddp
from ddp.autograd.creation import rand
from ddp.autograd.random import Generator, manual_seed
from ddp.autograd.tensor import Tensor
from ddp.utils.data import DataLoader, Subset, SubsetRandomSampler, TensorDataset, get_worker_info
from tests.helpers.runs import assert_all_gone, is_alive
from tests.helpers.spawn import spawn, start
from tests.utils.data_sets import Broken, Count, Squares, WhoAmI, name_of_no_class

pytestmark = [
    # Python 3.12 and later say so of NumPy's threads too.
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
]
WORKERS = pytest.mark.parametrize("num_workers", [0, 2])


def targets(loader: Any) -> list[Any]:
    return [y.tolist() for _, y in loader]


@WORKERS
def test_shuffled_epochs_are_pytorchs(num_workers: int) -> None:
    manual_seed(5)
    loader = DataLoader(Squares(10), 3, shuffle=True, num_workers=num_workers)
    roots = [[[round(value**0.5) for value in batch] for batch in targets(loader)] for _ in "ab"]
    # From PyTorch 2.13, which draws the next random numbers from the same place then.
    assert roots[0] == [[8, 3, 0], [5, 9, 1], [6, 2, 4], [7]]
    assert roots[1] == [[5, 8, 9], [7, 2, 0], [4, 1, 3], [6]]
    assert rand(2).tolist() == pytest.approx([0.0332, 0.9942], abs=1e-4)


@WORKERS
def test_batches_come_in_order_with_the_last_one_short(num_workers: int) -> None:
    loader = DataLoader(Squares(5), 2, num_workers=num_workers)
    batches = list(loader)
    assert [x.shape for x, _ in batches] == [(2, 3), (2, 3), (1, 3)]
    assert batches[0][0].dtype == np.float32
    assert [y.tolist() for _, y in batches] == [[0, 1], [4, 9], [16]]
    assert len(loader) == 3
    assert len(DataLoader(Squares(5), 2, drop_last=True, num_workers=num_workers)) == 2
    assert targets(DataLoader(Squares(5), 2, drop_last=True)) == [[0, 1], [4, 9]]


@WORKERS
def test_samplers_generators_and_collate_functions_are_used(num_workers: int) -> None:
    def run(**arguments: Any) -> list[Any]:
        return list(DataLoader(range(6), num_workers=num_workers, collate_fn=tuple, **arguments))

    assert run(sampler=[3, 1], batch_size=2) == [(3, 1)]
    assert run(batch_sampler=[[0, 2], [5]]) == [(0, 2), (5,)]
    again = run(shuffle=True, generator=Generator(3), batch_size=6)
    assert again == run(shuffle=True, generator=Generator(3), batch_size=6)
    order = SubsetRandomSampler(range(6), generator=Generator(3))
    assert sorted(run(sampler=order, batch_size=6)[0]) == list(range(6))


def test_without_batches_samples_are_converted_only() -> None:
    samples = list(DataLoader(Squares(2), batch_size=None))
    assert [(type(x), y) for x, y in samples] == [(Tensor, 0), (Tensor, 1)]


@WORKERS
def test_an_iterable_data_set_is_read_to_its_end(num_workers: int) -> None:
    loader = DataLoader(Count(7), 2, num_workers=num_workers)
    expected = [[0, 1], [2, 3], [4, 5], [6]] if num_workers == 0 else [[0, 2], [1, 3], [4, 6], [5]]
    assert [batch.tolist() for batch in loader] == expected
    assert len(loader) == 4
    dropped = DataLoader(Count(7), 2, drop_last=True, num_workers=num_workers)
    assert [batch.tolist() for batch in dropped] == expected[:3]


def test_every_worker_reads_a_whole_iterable_that_does_not_ask() -> None:
    loader = DataLoader(Count(3, in_parts=False), None, num_workers=2)
    assert [int(sample) for sample in loader] == [0, 0, 1, 1, 2, 2]


def test_a_batch_of_tensors_is_that_of_its_samples() -> None:
    x = Tensor(np.arange(12, dtype=np.float32).reshape(6, 2))
    dataset = Subset(Subset(TensorDataset(x, Tensor(np.arange(6))), [5, 3, 1, 0]), [3, 1, 0])
    (quick,) = list(DataLoader(dataset, 3))
    samples = [dataset[i] for i in range(3)]
    assert isinstance(quick, list)
    assert quick[0].tolist() == [sample[0].tolist() for sample in samples]
    assert quick[1].tolist() == [sample[1].item() for sample in samples] == [0, 3, 5]
    quick[0].array[...] = 0  # a batch is memory of its own
    assert x.array[5, 1] == 11


def test_a_derived_tensor_data_set_says_what_a_sample_is() -> None:
    class Doubled(TensorDataset):
        def __getitem__(self, index: Any) -> Any:
            return tuple(2 * tensor for tensor in super().__getitem__(index))

    assert [y.tolist() for (y,) in DataLoader(Doubled(Tensor(np.arange(3))), 3)] == [[0, 2, 4]]


def test_workers_have_names_processes_and_seeds_of_their_own() -> None:
    def run() -> list[dict[str, Any]]:
        manual_seed(1)
        return list(DataLoader(WhoAmI(6), batch_size=None, num_workers=2))

    first, again = run(), run()
    assert [sample["worker"] for sample in first] == [0, 1, 0, 1, 0, 1]
    assert len({sample["pid"] for sample in first} | {os.getpid()}) == 3
    for source in ("python", "numpy", "ddp"):
        values = [sample[source] for sample in first]
        assert len(set(values)) == 6
        assert values == [sample[source] for sample in again]
    assert get_worker_info() is None


def test_workers_end_with_the_iteration_unless_they_persist() -> None:
    def pids(loader: Any) -> set[int]:
        return {int(sample["pid"]) for sample in loader}

    loader = DataLoader(WhoAmI(4), batch_size=None, num_workers=2)
    first, second = pids(loader), pids(loader)
    assert not first & second
    assert not any(is_alive(pid) for pid in first | second)
    persistent = DataLoader(WhoAmI(4), batch_size=None, num_workers=2, persistent_workers=True)
    kept = pids(persistent)
    next(iter(persistent))  # an epoch given up half-way
    assert pids(persistent) == kept
    del persistent
    assert not any(is_alive(pid) for pid in kept)


def test_an_iteration_given_up_leaves_no_process() -> None:
    iterator = iter(DataLoader(WhoAmI(100), batch_size=None, num_workers=2))
    pids = [int(next(iterator)["pid"]) for _ in range(2)]
    del iterator
    assert not any(is_alive(pid) for pid in pids)
    assert not multiprocessing.active_children()


def test_an_exception_in_a_worker_is_raised_again_with_its_traceback() -> None:
    loader = DataLoader(Broken(8, "raise"), 2, num_workers=2)
    with pytest.raises(ValueError, match="Caught ValueError in DataLoader worker process 1") as e:
        list(loader)
    assert "no sample 3" in str(e.value)
    assert "in __getitem__" in str(e.value)
    assert not multiprocessing.active_children()


def test_a_worker_that_cannot_begin_says_why() -> None:
    loader = DataLoader(Squares(4), num_workers=1, worker_init_fn=name_of_no_class)
    with pytest.raises(RuntimeError, match="Caught Odd in DataLoader worker process 0") as error:
        list(loader)
    assert "worker 0 could not begin" in str(error.value)


def test_a_worker_that_is_killed_is_named_and_the_others_end() -> None:
    with pytest.raises(
        RuntimeError, match=r"worker \(pid \d+\) exited unexpectedly with exit .*-9"
    ):
        list(DataLoader(Broken(8, "die"), 2, num_workers=2))
    assert not multiprocessing.active_children()


def test_a_worker_that_hangs_runs_into_the_timeout() -> None:
    with pytest.raises(RuntimeError, match=r"timed out after 0\.2 seconds"):
        list(DataLoader(Broken(4, "hang"), 1, num_workers=1, timeout=0.2))


STARTED_ANEW = """
from ddp.utils.data import DataLoader
from tests.utils.data_sets import Squares
loader = DataLoader(Squares(5), 2, num_workers=2, multiprocessing_context="spawn")
print([y.tolist() for _, y in loader])
"""


@pytest.mark.slow  # three Pythons are started, in a process that ends with multiprocessing's helper
def test_workers_may_be_started_anew_instead_of_forked() -> None:
    done = spawn([sys.executable, "-c", STARTED_ANEW])
    assert (done.stdout, done.stderr) == ("[[0, 1], [4, 9], [16]]\n", "")


LOADING_FOREVER = """
import signal
from ddp.utils.data import DataLoader
from tests.utils.data_sets import WhoAmI
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
first = iter(DataLoader(WhoAmI(10**6), None, num_workers=2))
second = iter(DataLoader(WhoAmI(10**6), None, num_workers=2))
print(*(int(next(it)["pid"]) for it in (first, first, second, second)), flush=True)
while True:
    next(first), next(second)
"""


@pytest.mark.slow  # a Python of its own is started
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_the_process_that_started_them(end: int) -> None:
    with start([sys.executable, "-W", "ignore", "-c", LOADING_FOREVER]) as process:
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        assert len(set(pids)) == 4
        process.send_signal(end)
        process.wait(20)
    assert_all_gone(dict(enumerate(pids)))


REFUSED: list[tuple[Any, str]] = [
    (lambda: DataLoader([1], num_workers=-1), "num_workers option should be non-negative"),
    (lambda: DataLoader([1], timeout=-1), "timeout option should be non-negative"),
    (lambda: DataLoader([1], prefetch_factor=2), "prefetch_factor option needs num_workers > 0"),
    (lambda: DataLoader([1], persistent_workers=True), "persistent_workers option needs"),
    (lambda: DataLoader([1], sampler=[0], shuffle=True), "mutually exclusive with shuffle"),
    (lambda: DataLoader([1], 2, batch_sampler=[[0]]), "mutually exclusive with batch_size"),
    (lambda: DataLoader([1], None, drop_last=True), "mutually exclusive with drop_last"),
    (lambda: DataLoader([1], 0), "batch_size should be a positive integer"),
    (lambda: DataLoader(Count(1), shuffle=True), "unspecified shuffle option"),
    (lambda: DataLoader(Count(1), sampler=[0]), "unspecified sampler option"),
    (lambda: DataLoader(Count(1), batch_sampler=[[0]]), "unspecified batch_sampler option"),
    (lambda: setattr(DataLoader([1]), "batch_size", 2), "batch_size attribute should not be set"),
]


@pytest.mark.parametrize(("build", "words"), REFUSED)
def test_what_cannot_be_is_refused(build: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build()


def test_it_is_found_where_scripts_look_for_it() -> None:
    assert ddp.utils.data.DataLoader is DataLoader
    assert ddp.utils.data.distributed.DistributedSampler is ddp.utils.data.DistributedSampler


def test_pinned_memory_is_not_there_and_said_so() -> None:
    with pytest.warns(UserWarning, match="no accelerator is found"):
        DataLoader([1], pin_memory=True)


def test_a_loader_may_be_read_from_another_thread() -> None:
    seen: Counter[int] = Counter()

    def read() -> None:
        for batch in DataLoader(range(4), num_workers=1):
            seen.update(batch.tolist())

    thread = threading.Thread(target=read)
    thread.start()
    thread.join(20)
    assert seen == Counter(range(4))
