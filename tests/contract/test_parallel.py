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


def test_torch_distributed_says_what_takes_its_place() -> None:
    with pytest.raises(AttributeError, match=r"^ddp has no 'distributed': .*ddp train"):
        _ = ddp.distributed


def test_parameters_of_a_bucket_share_memory_and_forget_their_gradients_together() -> None:
    first, second = (ddp.nn.Parameter(ddp.ones(2)) for _ in range(2))
    bucket = ddp.zeros(4)
    first.grad_buffer, second.grad_buffer = bucket.array[:2], bucket.array[2:]
    (first * 3 + second * 5).sum().backward()
    assert bucket.tolist() == [3.0, 3.0, 5.0, 5.0]
