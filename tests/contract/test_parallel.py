"""PyTorch's data parallelism: its names are refused here with what takes their place.

What `DistributedDataParallel` does to gradients is in `tests/parallel` and `tests/workers`.
"""

from __future__ import annotations

import pytest

import ddp


@pytest.mark.parametrize("name", ["DataParallel", "SyncBatchNorm"])
def test_a_module_that_trains_on_several_devices_is_not_there(name: str) -> None:
    with pytest.raises(AttributeError, match=f"no attribute '{name}'"):
        getattr(ddp.nn, name)


def test_a_program_that_asks_first_finds_itself_alone() -> None:
    assert not ddp.distributed.is_available()
    assert not ddp.distributed.is_initialized()


def test_process_groups_and_wrappers_say_what_takes_their_place() -> None:
    from ddp.nn.parallel import DataParallel, DistributedDataParallel

    for refused in (ddp.distributed.init_process_group, ddp.distributed.destroy_process_group):
        with pytest.raises(NotImplementedError, match=r"^ddp has no process groups: .*ddp train"):
            refused(backend="gloo")
    for wrapper in (DataParallel, DistributedDataParallel):
        with pytest.raises(NotImplementedError, match=r"^ddp has no \w+Parallel: .*ddp train"):
            wrapper(ddp.nn.Linear(1, 1))


def test_parameters_of_a_bucket_share_memory_and_forget_their_gradients_together() -> None:
    first, second = (ddp.nn.Parameter(ddp.ones(2)) for _ in range(2))
    bucket = ddp.zeros(4)
    first.grad_buffer, second.grad_buffer = bucket.array[:2], bucket.array[2:]
    (first * 3 + second * 5).sum().backward()
    assert bucket.tolist() == [3.0, 3.0, 5.0, 5.0]
