"""Files of tensors: what is written comes back, what is not tensors is refused unexecuted."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

import ddp
from ddp import nn
from ddp.autograd.tensor import Tensor
from ddp.optim.adam import Adam
from ddp.serialization import load, save
from ddp.serialization.files import WeightsFileError
from ddp.serialization.reading import LEGACY_MAGIC, LEGACY_VERSION
from ddp.serialization.storages import STORAGE_TYPES, Storage, view

DTYPES = ["float16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool"]


def through_memory(obj: Any) -> Any:
    file = io.BytesIO()
    save(obj, file)
    file.seek(0)
    return load(file)


def torch_zip(program: bytes, byteorder: bytes = b"little", **members: bytes) -> io.BytesIO:
    """A zip file as PyTorch's, around any pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", program)
        archive.writestr("archive/byteorder", byteorder)
        for name, content in members.items():
            archive.writestr(f"archive/data/{name[1:]}", content)
    file.seek(0)
    return file


# ---- what is written comes back


def test_a_state_dict_comes_back_with_its_order_and_versions(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    save(model.state_dict(), tmp_path / "model.pth")
    state = load(tmp_path / "model.pth")
    assert isinstance(state, OrderedDict)
    assert list(state) == list(model.state_dict())
    assert state._metadata == model.state_dict()._metadata  # type: ignore[attr-defined]
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(state[name].array, tensor.array, strict=True)


def test_a_script_finds_both_where_pytorch_has_them(tmp_path: Path) -> None:
    ddp.save({"w": ddp.ones(2)}, tmp_path / "w.pth")
    assert ddp.load(tmp_path / "w.pth")["w"].tolist() == [1, 1]


def test_an_optimizer_goes_on_from_its_saved_state(tmp_path: Path) -> None:
    parameter = nn.Parameter(Tensor(np.ones(3, np.float32)))
    optimizer = Adam([parameter], lr=0.5)
    parameter.sum().backward()
    optimizer.step()
    save({"optimizer": optimizer.state_dict(), "epoch": 7}, tmp_path / "run.pth")
    saved = load(tmp_path / "run.pth")
    fresh = Adam([parameter], lr=0.1)
    fresh.load_state_dict(saved["optimizer"])
    assert saved["epoch"] == 7
    assert fresh.param_groups[0]["lr"] == 0.5
    np.testing.assert_array_equal(
        fresh.state[parameter]["exp_avg"].array, optimizer.state[parameter]["exp_avg"].array
    )


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(plain)
def test_plain_data_come_back_as_they_were(value: Any) -> None:
    assert through_memory(value) == value


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3, 4)])
def test_every_dtype_and_shape_comes_back(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    tensor = through_memory([Tensor(array)])[0]
    np.testing.assert_array_equal(tensor.array, array, strict=True)


def test_a_transposed_array_comes_back_with_its_values() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3).T
    np.testing.assert_array_equal(through_memory(array).array, array, strict=True)


def test_what_was_read_can_be_written_to() -> None:
    tensor = through_memory(Tensor(np.zeros(3, np.float32)))
    tensor.array += 1
    np.testing.assert_array_equal(tensor.array, np.ones(3))


def test_parameters_stay_parameters_and_tensors_keep_requires_grad() -> None:
    frozen = nn.Parameter(Tensor(np.ones(2, np.float32)), requires_grad=False)
    leaf = Tensor(np.ones(2, np.float32), requires_grad=True)
    values = through_memory([frozen, leaf, Tensor(np.ones(2, np.float32))])
    assert [type(v) for v in values] == [nn.Parameter, Tensor, Tensor]
    assert [v.requires_grad for v in values] == [False, True, False]


def test_tensors_that_share_memory_share_it_again() -> None:
    tied = Tensor(np.ones(1000, np.float32))
    file = io.BytesIO()
    save({"a": tied, "b": tied}, file)
    assert len(file.getvalue()) < 2 * 4000
    values = load(io.BytesIO(file.getvalue()))
    assert np.shares_memory(values["a"].array, values["b"].array)


def test_the_same_object_gives_the_same_bytes() -> None:
    first, second = io.BytesIO(), io.BytesIO()
    for file in (first, second):
        save({"w": Tensor(np.ones((2, 3), np.float32))}, file)
    assert first.getvalue() == second.getvalue()


def test_storages_lie_at_multiples_of_64_bytes() -> None:
    file = io.BytesIO()
    save([Tensor(np.full(n, n, np.float32)) for n in (3, 5, 7)], file)
    with zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            header = file.getvalue()[entry.header_offset :][:30]
            name, extra = struct.unpack("<HH", header[26:])
            assert (entry.header_offset + 30 + name + extra) % 64 == 0


def test_safetensors_by_the_suffix(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save({"w": Tensor(np.arange(6, dtype=np.float32).reshape(3, 2).T)}, path)
    assert safetensors.numpy.load_file(path)["w"].tolist() == [[0, 2, 4], [1, 3, 5]]
    np.testing.assert_array_equal(load(path)["w"].array, [[0, 2, 4], [1, 3, 5]])


def test_bfloat16_becomes_float32(tmp_path: Path) -> None:
    storage = Storage(STORAGE_TYPES["BFloat16Storage"], 2)
    storage.fill(bytes.fromhex("803f00c0"))
    assert storage.array.dtype == np.float32
    assert storage.array.tolist() == [1.0, -2.0]
    head = b'{"w":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    path = tmp_path / "w.safetensors"
    path.write_bytes(struct.pack("<Q", len(head)) + head + bytes.fromhex("803f00c0"))
    assert load(path)["w"].tolist() == [1.0, -2.0]


# ---- what cannot be written


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        ({"model": {"f": print}}, r"the object\['model'\]\['f'\] is a builtin_function_or_method"),
        ([b"bytes"], r"the object\[0\] is a bytes"),
        (Tensor(np.zeros(2, np.uint16)), "a tensor is uint16"),
    ],
)
def test_what_is_neither_data_nor_tensor_is_not_written(obj: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        save(obj, io.BytesIO())


def test_a_list_in_itself_is_not_written() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(ValueError, match=r"the object\[0\] contains itself"):
        save(circle, io.BytesIO())


@pytest.mark.parametrize("obj", [[1], {"step": 3}, {1: Tensor(np.zeros(1, np.float32))}])
def test_safetensors_hold_a_flat_dict_of_tensors_only(obj: Any, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="dict of"):
        save(obj, tmp_path / "w.safetensors")


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    save({"epoch": 1}, path)
    with pytest.raises(TypeError):
        save({"epoch": print}, path)
    assert load(path) == {"epoch": 1}
    assert os.listdir(tmp_path) == ["w.pth"]


# ---- what is refused


class Attack:
    """Pickled, it is a call of `touch` when read."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_would_run_a_program_is_refused_unexecuted(
    protocol: int, tmp_path: Path
) -> None:
    target = tmp_path / "owned"
    program = pickle.dumps({"w": Attack(os.mkdir, str(target))}, protocol)
    pickle.loads(program)
    assert target.exists()  # the attack works where it is allowed to
    target.rmdir()
    for file in (torch_zip(program), io.BytesIO(program)):
        with pytest.raises(WeightsFileError, match=r"the file: refused: it .*nothing was run"):
            load(file)
    assert not target.exists()


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        (b"\x80\x02ctorch.nn.modules.linear\nLinear\n.", "asks for 'torch.nn.modules.linear.Lin"),
        (b"\x80\x02cbuiltins\neval\nX\x01\x00\x00\x001\x85R.", "asks for 'builtins.eval'"),
        (b"\x80\x02ccollections\nOrderedDict\n)R}X\x01\x00\x00\x00xK\x01sb.", "sets the attri"),
        (b"\x80\x02]}b.", "sets the state of a list"),
        (b"\x80\x02ccollections\nOrderedDict\n)\x81.", "uses the instruction NEWOBJ"),
        (b"\x80\x02K\x01)R.", "calls a int"),
        (b"\x80\x02})K\x01s.", "has a tuple as a key"),
        (b"(ios\nsystem\n.", "uses the instruction INST"),
    ],
)
def test_each_way_out_of_the_list_is_refused(program: bytes, sentence: str) -> None:
    with pytest.raises(WeightsFileError, match=sentence):
        load(torch_zip(program))


def stored(kind: str, key: str, numel: int, size: Any, stride: Any, offset: int = 0) -> bytes:
    """The pickle of one tensor."""
    identity = [f"ctorch\n{kind}\n".encode(), *map(opcodes, (key, "cpu", numel))]
    arguments = map(opcodes, (offset, size, stride, False, None))
    call = b"ctorch._utils\n_rebuild_tensor_v2\n(("
    return (
        b"\x80\x02" + call + opcodes("storage") + b"".join([*identity, b"tQ", *arguments, b"tR."])
    )


def opcodes(value: Any) -> bytes:
    """The part of a pickle that makes a value: without version and end."""
    return pickle.dumps(value, 2)[2:-1]


def test_a_tensor_as_a_view_of_its_storage() -> None:
    program = stored("FloatStorage", "0", 6, (2, 2), (1, 3), offset=1)
    file = torch_zip(program, _0=np.arange(6, dtype="<f4").tobytes())
    assert load(file).tolist() == [[1, 4], [2, 5]]


def test_a_file_from_a_machine_of_the_other_byte_order() -> None:
    program = stored("ShortStorage", "0", 2, (2,), (1,))
    assert load(torch_zip(program, byteorder=b"big", _0=bytes([0, 1, 1, 0]))).tolist() == [1, 256]


def before_1_6(program: bytes, *keys: str, little_endian: bool = True) -> bytes:
    """The head of a file in PyTorch's older format; the storages follow."""
    system = {"little_endian": little_endian}
    head = [pickle.dumps(value, 2) for value in (LEGACY_MAGIC, LEGACY_VERSION, system)]
    return b"".join([*head, program, pickle.dumps(list(keys), 2)])


@pytest.mark.parametrize("order", ["little", "big"])
def test_the_format_from_before_1_6(order: Literal["little", "big"]) -> None:
    program = stored("FloatStorage", "7", 2, (2,), (1,)).replace(b"tQ", b"NtQ")
    values = np.array([1, 2], "<f4" if order == "little" else ">f4").tobytes()
    head = before_1_6(program, "7", little_endian=order == "little")
    content = head + (2).to_bytes(8, order) + values
    assert load(io.BytesIO(content)).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (pickle.dumps(3), "nor begins with PyTorch's magic number"),
        (pickle.dumps(LEGACY_MAGIC, 2) + pickle.dumps(1000, 2), "its version is not the one"),
        (before_1_6(stored("FloatStorage", "0", 2, (2,), (1,))), "1 storages are missing"),
        (before_1_6(stored("FloatStorage", "0", 2, (2,), (1,)), "0") + bytes(8), "it says 0"),
        (before_1_6(stored("FloatStorage", "0", 2**30, (2,), (1,)), "0"), "it ends before a stor"),
        (before_1_6(pickle.dumps(3, 2), "0"), "lists a storage '0' that no tensor has"),
        (
            before_1_6(stored("FloatStorage", "0", 2, (2,), (1,)), "0") + b"\2" + bytes(10),
            "has 3 bytes",
        ),
    ],
)
def test_a_damaged_file_from_before_1_6_is_refused(content: bytes, sentence: str) -> None:
    with pytest.raises(WeightsFileError, match=sentence):
        load(io.BytesIO(content))


@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [
        ((7,), (1,), 0),
        ((2,), (1,), 5),
        ((2, 2), (5, 1), 0),
        ((2,), (-1,), 3),
        ((-1,), (1,), 0),
        ((2, 2), (1,), 0),
        ((2**62, 2**62), (1, 1), 0),
        ((1,), (1,), -1),
        ("ab", (1, 1), 0),
    ],
)
def test_a_tensor_that_reaches_outside_its_storage_is_refused(
    size: Any, stride: Any, offset: int
) -> None:
    program = stored("FloatStorage", "0", 6, size, stride, offset)
    with pytest.raises(WeightsFileError, match="not a whole file"):
        load(torch_zip(program, _0=bytes(24)))


@pytest.mark.parametrize("size", [0, 23, 25])
def test_a_storage_of_the_wrong_length_is_refused(size: int) -> None:
    program = stored("FloatStorage", "0", 6, (6,), (1,))
    with pytest.raises(WeightsFileError, match="expected 24 bytes"):
        load(torch_zip(program, _0=bytes(size)))


def test_a_tensor_that_repeats_one_element_is_read() -> None:
    storage = Storage(STORAGE_TYPES["FloatStorage"], 1)
    assert view(storage, 0, (3,), (0,)).tolist() == [0, 0, 0]


def test_a_compressed_storage_is_refused_unread() -> None:
    """A few bytes that unfold to gigabytes are not unfolded."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", stored("FloatStorage", "0", 6, (6,), (1,)))
        archive.writestr("archive/data/0", bytes(24))
    file.seek(0)
    with pytest.raises(WeightsFileError, match="stored as they are"):
        load(file)


def whole_file() -> bytes:
    file = io.BytesIO()
    save({"w": Tensor(np.arange(4, dtype=np.float32)), "n": 3}, file)
    return file.getvalue()


@pytest.mark.parametrize("keep", [0, 1, 4, 100, -200, -1])
def test_a_cut_off_file_gets_a_sentence_with_its_name(keep: int, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(whole_file()[:keep])
    with pytest.raises(WeightsFileError, match=r"w\.pth: not a whole file of torch\.save"):
        load(path)


@given(st.integers(0, len(whole_file()) - 1), st.integers(1, 255))
def test_a_changed_byte_is_found_or_changes_nothing(position: int, change: int) -> None:
    content = bytearray(whole_file())
    content[position] ^= change
    try:
        value = load(io.BytesIO(bytes(content)))
    except WeightsFileError:
        return
    assert value["w"].tolist() == [0, 1, 2, 3]
    assert value["n"] == 3


@given(st.binary(max_size=200))
def test_any_pickle_is_read_or_refused(program: bytes) -> None:
    for file in (torch_zip(program), io.BytesIO(program)):
        with contextlib.suppress(WeightsFileError):
            load(file)


def test_a_damaged_safetensors_file_gets_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"\xff" * 40)
    with pytest.raises(WeightsFileError, match="not a whole safetensors file"):
        load(path)


def test_a_missing_file_is_pythons_own_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.pth")


def test_there_is_no_place_but_the_cpu() -> None:
    assert load(io.BytesIO(whole_file()), map_location="cpu")["n"] == 3
    with pytest.raises(RuntimeError, match="expected 'cpu'"):
        load(io.BytesIO(whole_file()), map_location="cuda:0")
