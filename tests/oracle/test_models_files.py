"""Files pass between PyTorch and ddp in both directions."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ddp import nn
from ddp.autograd.tensor import Tensor
from ddp.optim.adam import AdamW
from ddp.serialization import load, save
from ddp.serialization.files import WeightsFileError
from tests.oracle.compare import draw, torch

pytestmark = pytest.mark.oracle

OLD_AND_NEW = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])


def theirs(obj: Any, zipped: bool = True, **options: Any) -> Any:
    """What we read of what PyTorch writes."""
    file = io.BytesIO()
    torch.save(obj, file, _use_new_zipfile_serialization=zipped, **options)
    file.seek(0)
    return load(file)


@OLD_AND_NEW
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_we_read_a_run_that_pytorch_saved(zipped: bool, protocol: int) -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.5)
    model(torch.ones(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    run = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}
    ours = theirs(run, zipped, pickle_protocol=protocol)
    mine = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    mine.load_state_dict(ours["model"])
    AdamW(mine.parameters()).load_state_dict(ours["optimizer"])
    assert ours["epoch"] == 3
    assert ours["model"]._metadata == model.state_dict()._metadata
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(mine.state_dict()[name].array, tensor.numpy(), strict=True)
    for index, state in optimizer.state_dict()["state"].items():
        for name, tensor in state.items():
            mirrored = ours["optimizer"]["state"][index][name].array
            np.testing.assert_array_equal(mirrored, tensor.numpy(), strict=True)


DTYPES = ["float16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool"]


@OLD_AND_NEW
@pytest.mark.parametrize("dtype", DTYPES)
def test_we_read_every_dtype(dtype: str, zipped: bool) -> None:
    tensor = torch.arange(6).reshape(2, 3).to(getattr(torch, dtype))
    np.testing.assert_array_equal(theirs(tensor, zipped).array, tensor.numpy(), strict=True)


@OLD_AND_NEW
def test_we_read_views_bfloat16_and_what_else_a_state_can_hold(zipped: bool) -> None:
    base = torch.arange(12.0)
    values = {
        "transposed": base.reshape(3, 4).t(),
        "slice": base[5:9:2],
        "empty": torch.empty(0, 3),
        "expanded": torch.ones(1).expand(5),
        "brain": base.to(torch.bfloat16),
        "size": torch.Size([1, 2]),
        "frozen": torch.nn.Parameter(base, requires_grad=False),
    }
    ours = theirs(values, zipped)
    for name in ("transposed", "slice", "empty", "expanded"):
        np.testing.assert_array_equal(ours[name].array, values[name].numpy(), strict=True)
    np.testing.assert_array_equal(ours["brain"].array, values["brain"].float().numpy())
    assert ours["size"] == (1, 2)
    assert not ours["frozen"].requires_grad
    assert np.shares_memory(ours["slice"].array, ours["transposed"].array)


@OLD_AND_NEW
def test_a_whole_pickled_model_is_refused(zipped: bool) -> None:
    with pytest.raises(WeightsFileError, match=r"torch\.nn\.modules.*save its state_dict"):
        theirs(torch.nn.Linear(2, 2), zipped)


def test_pytorch_reads_what_we_write(tmp_path: Path) -> None:
    path = tmp_path / "run.pth"
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    optimizer = AdamW(model.parameters(), lr=0.5)
    model(Tensor(draw(1, 2, 3, 8, 8))).sum().backward()
    optimizer.step()
    run = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "list": [1, (2.5, None)],
    }
    save(run, path)
    for options in ({}, {"mmap": True}):
        read = torch.load(path, weights_only=True, **options)
        mirror = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
        mirror.load_state_dict(read["model"])
        torch.optim.AdamW(mirror.parameters()).load_state_dict(read["optimizer"])
        assert read["list"] == [1, (2.5, None)]
        assert read["model"]._metadata == model.state_dict()._metadata
        for name, tensor in model.state_dict().items():
            np.testing.assert_array_equal(read["model"][name].numpy(), tensor.array, strict=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_pytorch_reads_every_dtype_and_shape(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    file = io.BytesIO()
    save([Tensor(array)], file)
    file.seek(0)
    (read,) = torch.load(file, weights_only=True)
    np.testing.assert_array_equal(read.numpy(), array, strict=True)


def test_pytorch_finds_shared_memory_and_parameters_again() -> None:
    tied = nn.Parameter(Tensor(draw(1, 4)))
    file = io.BytesIO()
    save({"a": tied, "b": tied.detach()}, file)
    file.seek(0)
    read = torch.load(file, weights_only=True)
    assert isinstance(read["a"], torch.nn.Parameter)
    assert read["a"].data_ptr() == read["b"].data_ptr()


@pytest.mark.parametrize("version", [None, 1, 2])
def test_batch_norms_of_older_files_are_taken_or_refused_alike(version: int | None) -> None:
    answers = []
    for layer in (torch.nn.BatchNorm2d(2), nn.BatchNorm2d(2)):
        state = layer.state_dict()
        del state["num_batches_tracked"]
        state._metadata[""]["version"] = version
        try:
            answers.append(str(layer.load_state_dict(state)))
        except RuntimeError as error:
            answers.append(str(error))
    assert answers[0] == answers[1]
