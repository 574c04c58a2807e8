"""`ParameterList` and `ParameterDict`; on PyTorch too where `-m oracle` asks for it."""

from __future__ import annotations

from typing import Any

import pytest


def test_a_list_registers_what_it_holds(lib: Any) -> None:
    first, second = (lib.nn.Parameter(lib.zeros(2, n)) for n in (1, 2))
    module = lib.nn.Module()
    module.weights = lib.nn.ParameterList([first])
    module.weights.append(second)
    module.weights += [lib.zeros(3)]
    assert [name for name, _ in module.named_parameters()] == [f"weights.{i}" for i in range(3)]
    assert list(module.state_dict()) == ["weights.0", "weights.1", "weights.2"]
    assert len(module.weights) == 3
    assert module.weights[-2] is second
    assert isinstance(module.weights[2], lib.nn.Parameter)
    assert [p is q for p, q in zip(module.weights[:2], (first, second), strict=True)] == [True] * 2
    module.weights[0] = second
    assert next(iter(module.weights)) is second
    with pytest.raises(IndexError, match="index 3 is out of range"):
        module.weights[3]


def test_a_dict_registers_what_it_holds(lib: Any) -> None:
    left, right = (lib.nn.Parameter(lib.zeros(2, n)) for n in (1, 2))
    choices = lib.nn.ParameterDict({"left": left})
    choices["right"] = right
    choices.update({"more": lib.zeros(3)})
    assert list(choices) == list(choices.keys()) == ["left", "right", "more"]
    assert [name for name, _ in choices.named_parameters()] == ["left", "right", "more"]
    assert choices["left"] is left
    assert choices.pop("left") is left
    assert "left" not in choices
    assert "right" in choices
    assert choices.get("left") is None
    assert [key for key, _ in choices.items()] == ["right", "more"]
    choices.clear()
    assert (len(choices), list(choices.values())) == (0, [])


def test_containers_are_not_called(lib: Any) -> None:
    with pytest.raises(RuntimeError, match="ParameterList should not be called"):
        lib.nn.ParameterList()()
    with pytest.raises(RuntimeError, match="ParameterDict should not be called"):
        lib.nn.ParameterDict()(1)


def test_containers_print_their_values(lib: Any) -> None:
    module = lib.nn.ParameterList([lib.zeros(2, 3), "label"])
    shown = repr(module).replace("torch", "ddp").replace("FloatTensor", "float32")
    assert shown == (
        "ParameterList(\n    (0): Parameter containing: [ddp.float32 of size 2x3]\n"
        "    (1): Object of type: str\n)"
    )


def test_a_tensor_is_no_list(lib: Any) -> None:
    with pytest.raises(TypeError, match=r"ParameterList.extend should be called with an iterable"):
        lib.nn.ParameterList().extend(3)
