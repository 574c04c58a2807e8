"""Hooks around state dicts, hooks of all modules, and `nn.modules`.

Each test runs on PyTorch too where `-m oracle` asks for it.
"""

from __future__ import annotations

import copy
import importlib
from typing import Any

import pytest


def pair(lib: Any) -> Any:
    return lib.nn.Sequential(lib.nn.Linear(2, 1, bias=False), lib.nn.Linear(1, 1, bias=False))


def test_hooks_around_a_state_dict_see_every_module_in_its_turn(lib: Any) -> None:
    m, seen = pair(lib), []
    m[1].register_state_dict_pre_hook(lambda module, prefix, keep: seen.append((prefix, keep)))
    m[1].register_state_dict_post_hook(
        lambda module, state, prefix, metadata: seen.append((module, list(state), prefix, metadata))
    )
    m.state_dict(keep_vars=True)
    assert seen == [("1.", True), (m[1], ["0.weight", "1.weight"], "1.", {"version": 1})]


def test_a_post_hook_may_change_the_state_dict_but_not_replace_it(lib: Any) -> None:
    m = pair(lib)
    handle = m.register_state_dict_post_hook(lambda _, state, *others: state.pop("1.weight"))
    with pytest.raises(RuntimeError, match="post-hook must return None"):
        m.state_dict()
    handle.remove()

    def without_the_last(module: Any, state: Any, prefix: str, metadata: Any) -> None:
        del state["1.weight"]

    m.register_state_dict_post_hook(without_the_last)
    assert list(m.state_dict()) == ["0.weight"]


def test_the_older_hook_may_replace_the_state_dict(lib: Any) -> None:
    m = pair(lib)
    m._register_state_dict_hook(lambda *_: {"only": 1})
    assert m.state_dict() == {"only": 1}


def test_a_hook_before_loading_renames_keys_of_its_module(lib: Any) -> None:
    m = pair(lib)

    def rename(module: Any, state: Any, prefix: str, *others: Any) -> None:
        state[f"{prefix}weight"] = state.pop(f"{prefix}kernel")

    m[0].register_load_state_dict_pre_hook(rename)
    state = {"0.kernel": lib.ones(1, 2), "1.weight": lib.zeros(1, 1)}
    assert repr(m.load_state_dict(state)) == "<All keys matched successfully>"
    assert m[0].weight.tolist() == [[1, 1]]
    assert list(state) == ["0.kernel", "1.weight"]  # the caller's own is as it was


def test_hooks_before_loading_go_with_a_copy_of_their_module(lib: Any) -> None:
    m, seen = pair(lib), []
    m.register_load_state_dict_pre_hook(lambda module, *others: seen.append(module))
    m._register_load_state_dict_pre_hook(lambda *others: seen.append(len(others)))
    twin = copy.deepcopy(m)
    twin.load_state_dict(m.state_dict())
    assert seen == [twin, 7]


def test_a_hook_after_loading_may_forgive(lib: Any) -> None:
    m, seen = pair(lib), []

    def forgive(module: Any, incompatible: Any) -> None:
        seen.append((list(incompatible.missing_keys), list(incompatible.unexpected_keys)))
        incompatible.missing_keys.clear()
        incompatible.unexpected_keys.clear()

    m.register_load_state_dict_post_hook(forgive)
    m.load_state_dict({"0.weight": lib.ones(1, 2), "2.weight": lib.ones(1)})
    assert seen == [(["1.weight"], ["2.weight"])]
    m.register_load_state_dict_post_hook(lambda *_: 1)
    with pytest.raises(AssertionError, match="not expected to return new values"):
        m.load_state_dict(m.state_dict())


def test_extra_state_is_saved_and_given_back(lib: Any) -> None:
    class Counting(lib.nn.Module):  # type: ignore[misc]
        count = 3

        def get_extra_state(self) -> int:
            return self.count

        def set_extra_state(self, state: int) -> None:
            self.count = state

    m = lib.nn.Sequential(Counting())
    assert dict(m.state_dict()) == {"0._extra_state": 3}
    m.load_state_dict({"0._extra_state": 5})
    assert m[0].count == 5
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "0._extra_state"'):
        m.load_state_dict({})


def test_a_module_may_save_and_load_its_own_way(lib: Any) -> None:
    class Doubled(lib.nn.Linear):  # type: ignore[misc]
        def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
            super()._save_to_state_dict(destination, prefix, keep_vars)
            destination[f"{prefix}weight"] = destination[f"{prefix}weight"] * 2

        def _load_from_state_dict(self, state_dict: Any, prefix: str, *others: Any) -> None:
            halved = {**state_dict, f"{prefix}weight": state_dict[f"{prefix}weight"] / 2}
            super()._load_from_state_dict(halved, prefix, *others)

    m = lib.nn.Sequential(Doubled(1, 1, bias=False))
    before = m[0].weight.item()
    state = m.state_dict()
    assert state["0.weight"].item() == 2 * before
    m.load_state_dict(state)
    assert m[0].weight.item() == before


def test_unexpected_keys_are_told_module_by_module(lib: Any) -> None:
    state = {"1.b": lib.ones(1), "a": lib.ones(1), "0.weight.x": lib.ones(1), "0.c": lib.ones(1)}
    result = pair(lib).load_state_dict(state, strict=False)
    assert result.missing_keys == ["0.weight", "1.weight"]
    assert result.unexpected_keys == ["a", "0.weight.x", "0.c", "1.b"]


def test_hooks_of_all_modules_run_before_a_modules_own(lib: Any) -> None:
    module = importlib.import_module(f"{lib.__name__}.nn.modules.module")
    m, seen = pair(lib), []
    m[0].register_forward_pre_hook(lambda *_: seen.append("own pre"))
    m[0].register_forward_hook(lambda *_: seen.append("own"))
    x = lib.ones(1, 2, requires_grad=True)
    with (
        module.register_module_forward_pre_hook(lambda *_: seen.append("pre")),
        module.register_module_forward_hook(lambda *_: seen.append("hook")),
        module.register_module_full_backward_pre_hook(lambda *_: seen.append("back pre")),
        module.register_module_full_backward_hook(lambda *_: seen.append("back")),
    ):
        m[0](x).backward()
    assert seen == ["pre", "own pre", "hook", "own", "back pre", "back"]
    m[1](lib.ones(1, 1))
    assert len(seen) == 6


def test_a_hook_of_all_modules_may_replace_what_it_sees(lib: Any) -> None:
    module = importlib.import_module(f"{lib.__name__}.nn.modules.module")
    layer = lib.nn.Identity()
    with (
        module.register_module_forward_pre_hook(lambda _, args: (args[0] + 1,)),
        module.register_module_forward_hook(lambda _, args, output: output * 10),
    ):
        assert layer(lib.ones(1)).item() == 20


def test_registration_is_seen_and_may_be_changed(lib: Any) -> None:
    module = importlib.import_module(f"{lib.__name__}.nn.modules.module")
    seen: list[Any] = []

    def note(module: Any, name: str, member: Any) -> None:
        seen.append(name)

    def zeros(module: Any, name: str, param: Any) -> Any:
        return lib.nn.Parameter(lib.zeros(*param.shape))

    with (
        module.register_module_parameter_registration_hook(zeros),
        module.register_module_buffer_registration_hook(note),
        module.register_module_module_registration_hook(note),
    ):
        m = lib.nn.Sequential(lib.nn.Identity())
        m.register_buffer("b", lib.ones(1))
        m.p = lib.nn.Parameter(lib.ones(2))
    assert seen == ["0", "b"]
    assert m.p.tolist() == [0, 0]
    m.q = lib.nn.Parameter(lib.ones(2))
    assert m.q.tolist() == [1, 1]


def test_layers_are_found_where_pytorch_defines_them(lib: Any) -> None:
    modules = importlib.import_module(f"{lib.__name__}.nn.modules")
    assert modules.Linear is lib.nn.Linear
    assert modules.module.Module is lib.nn.Module
    assert isinstance(lib.nn.BatchNorm1d(2), modules.batchnorm._BatchNorm)
    assert isinstance(lib.nn.BatchNorm2d(2), modules.batchnorm._BatchNorm)
    for layer in (lib.nn.Conv1d, lib.nn.Conv2d, lib.nn.ConvTranspose2d):
        assert isinstance(layer(1, 1, 1), modules.conv._ConvNd)
    assert isinstance(lib.nn.MSELoss(), modules.loss._Loss)
    assert modules.utils._pair(3) == (3, 3)
    assert modules.utils._triple((1, 2, 3)) == (1, 2, 3)
