"""Module, line by line of PyTorch's contract."""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

from ddp import nn
from ddp.autograd.tensor import Tensor


def tensor(*values: float) -> Tensor:
    return Tensor(np.array(values, np.float32))


class Block(nn.Module):
    """A parameter, two buffers and a child."""

    def __init__(self) -> None:
        super().__init__()
        self.child = nn.Linear(2, 1)
        self.p = nn.Parameter(tensor(1, 2))
        self.register_buffer("kept", tensor(3))
        self.register_buffer("scratch", tensor(4), persistent=False)

    def forward(self, x: Tensor, scale: float = 1.0) -> Tensor:
        return x * scale


# Attributes


def test_parameters_buffers_and_modules_register_themselves() -> None:
    m = Block()
    assert list(m._parameters) == ["p"]
    assert list(m._buffers) == ["kept", "scratch"]
    assert list(m._modules) == ["child"]
    assert m.kept.item() == 3


def test_a_parameter_is_replaced_only_by_a_parameter_or_none() -> None:
    m = Block()
    with pytest.raises(TypeError, match=r"cannot assign '.*Tensor' as parameter 'p'"):
        m.p = tensor(1)
    m.p = None
    assert m.p is None
    assert list(m.parameters(recurse=False)) == []


def test_a_buffer_is_replaced_only_by_a_tensor_or_none() -> None:
    m = Block()
    m.kept = tensor(9)
    assert m._buffers["kept"] is m.kept
    with pytest.raises(TypeError, match="cannot assign 'int' as buffer 'kept'"):
        m.kept = 1


def test_a_child_is_replaced_only_by_a_module_or_none() -> None:
    m = Block()
    with pytest.raises(TypeError, match="cannot assign 'int' as child module 'child'"):
        m.child = 1


def test_assignment_before_init_is_refused() -> None:
    class Early(nn.Module):
        def __init__(self, value: Any) -> None:
            self.x = value
            super().__init__()

    with pytest.raises(AttributeError, match=r"cannot assign parameters before Module.__init__"):
        Early(nn.Parameter(tensor(1)))
    with pytest.raises(AttributeError, match=r"cannot assign module before Module.__init__"):
        Early(nn.Identity())
    assert Early(1).x == 1


def test_a_missing_attribute_is_named() -> None:
    with pytest.raises(AttributeError, match="'Block' object has no attribute 'nothing'"):
        _ = Block().nothing


def test_an_attribute_that_changes_its_kind_changes_its_registry() -> None:
    m = nn.Module()
    m.x = 1
    m.x = nn.Parameter(tensor(1))
    assert "x" not in m.__dict__
    assert list(m._parameters) == ["x"]
    m.x = nn.Identity()
    assert (list(m._parameters), list(m._modules)) == ([], ["x"])
    del m.x
    assert not hasattr(m, "x")


def test_replacing_a_parameter_keeps_its_place() -> None:
    m = nn.Linear(2, 3)
    m.weight = nn.Parameter(tensor(1))
    assert [name for name, _ in m.named_parameters()] == ["weight", "bias"]


def test_a_plain_list_of_modules_is_invisible() -> None:
    m = nn.Module()
    m.layers = [nn.Linear(1, 1)]
    assert list(m.parameters()) == []


@pytest.mark.parametrize(
    ("register", "error", "words"),
    [
        (lambda m: m.register_parameter("a.b", None), KeyError, "contain"),
        (lambda m: m.register_parameter("", None), KeyError, "be empty string"),
        (lambda m: m.register_parameter("forward", None), KeyError, "already exists"),
        (lambda m: m.register_parameter("q", tensor(1)), TypeError, "object to parameter 'q'"),
        (
            lambda m: m.register_buffer("b", 3),
            TypeError,
            "cannot assign 'int' object to buffer 'b'",
        ),
        (lambda m: m.register_buffer("p", tensor(1)), KeyError, "already exists"),
        (lambda m: m.add_module("x", 3), TypeError, "int is not a Module subclass"),
        (lambda m: m.add_module("a.b", nn.Identity()), KeyError, "contain"),
    ],
)
def test_a_registration_that_cannot_be_is_refused(
    register: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        register(Block())


def test_a_parameter_that_was_computed_is_refused() -> None:
    computed = nn.Parameter(tensor(1))
    computed._edge = (nn.Parameter(tensor(1)) * 2)._edge
    with pytest.raises(ValueError, match="Cannot assign non-leaf Tensor to parameter 'q'"):
        nn.Module().register_parameter("q", computed)


def test_parameters_require_grad_and_share_memory() -> None:
    data = tensor(1, 2)
    p = nn.Parameter(data)
    assert p.requires_grad
    assert p.is_leaf
    assert p.array is data.array
    assert repr(p).startswith("Parameter containing:\ntensor(")
    with pytest.raises(RuntimeError, match="floating point"):
        nn.Parameter(Tensor(np.array([1])))


# Iteration


def test_own_members_come_first_then_the_children() -> None:
    m = nn.Sequential(Block(), nn.Linear(1, 1, bias=False))
    names = [name for name, _ in m.named_parameters()]
    assert names == ["0.p", "0.child.weight", "0.child.bias", "1.weight"]
    assert [name for name, _ in m.named_buffers()] == ["0.kept", "0.scratch"]
    assert [name for name, _ in m.named_modules()] == ["", "0", "0.child", "1"]
    assert [name for name, _ in m.named_children()] == ["0", "1"]
    assert [name for name, _ in Block().named_parameters(prefix="x", recurse=False)] == ["x.p"]


def test_tied_parameters_come_once_in_iteration_and_twice_in_the_state_dict() -> None:
    m = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    m[1].weight = m[0].weight
    assert [name for name, _ in m.named_parameters()] == ["0.weight"]
    every = m.named_parameters(remove_duplicate=False)
    assert [name for name, _ in every] == ["0.weight", "1.weight"]
    assert list(m.state_dict()) == ["0.weight", "1.weight"]


def test_a_module_used_twice_is_listed_once() -> None:
    layer = nn.Linear(1, 1)
    m = nn.Sequential(layer, layer)
    assert len(list(m.modules())) == 2
    assert len(list(m.modules(remove_duplicate=False))) == 3
    assert len(list(m.children())) == 1


def test_members_are_found_by_dotted_name() -> None:
    m = nn.Sequential(Block())
    assert m.get_submodule("0.child") is m[0].child
    assert m.get_submodule("") is m
    assert m.get_parameter("0.child.weight") is m[0].child.weight
    assert m.get_buffer("0.kept") is m[0].kept
    with pytest.raises(AttributeError, match="Block has no attribute `nothing`"):
        m.get_submodule("0.nothing")
    with pytest.raises(AttributeError, match="`kept` is not an "):
        m.get_parameter("0.kept")


def test_dir_lists_the_members() -> None:
    assert {"p", "kept", "child", "forward"} <= set(dir(Block()))


# Modes


def test_train_and_eval_reach_all_modules() -> None:
    m = nn.Sequential(Block())
    assert m.eval() is m
    assert not any(module.training for module in m.modules())
    assert all(module.training for module in m.train().modules())
    with pytest.raises(ValueError, match="training mode is expected to be boolean"):
        m.train(1)


def test_apply_visits_children_first() -> None:
    seen: list[str] = []
    nn.Sequential(Block()).apply(lambda module: seen.append(type(module).__name__))
    assert seen == ["Linear", "Block", "Sequential"]


def test_requires_grad_freezes_every_parameter() -> None:
    m = Block().requires_grad_(False)
    assert not any(p.requires_grad for p in m.parameters())


def test_zero_grad_forgets_or_zeroes() -> None:
    m = nn.Linear(1, 1)
    m(tensor(1)).backward()
    m.zero_grad(set_to_none=False)
    assert [p.grad.item() for p in m.parameters() if p.grad is not None] == [0, 0]
    m.zero_grad()
    assert [p.grad for p in m.parameters()] == [None, None]


def test_a_module_without_forward_says_so() -> None:
    with pytest.raises(NotImplementedError, match=r'Module \[Module\] is missing the required "fo'):
        nn.Module()(1)


def test_changing_dtype_keeps_the_parameters() -> None:
    m = nn.BatchNorm1d(2)
    weight = m.weight
    m(tensor(1, 2, 3, 4).reshape(2, 2)).sum().backward()
    assert m.double() is m
    assert m.weight is weight
    assert {name: value.dtype for name, value in m.state_dict().items()} == {
        "weight": np.float64,
        "bias": np.float64,
        "running_mean": np.float64,
        "running_var": np.float64,
        "num_batches_tracked": np.int64,
    }
    assert weight.grad is not None
    assert weight.grad.dtype == np.float64
    assert m.float().weight.dtype == np.float32


# State dicts


def test_a_state_dict_shares_memory_and_leaves_out_what_does_not_persist() -> None:
    m = Block()
    state = m.state_dict()
    assert list(state) == ["p", "kept", "child.weight", "child.bias"]
    assert state["p"].array is m.p.array
    assert not state["p"].requires_grad
    assert m.state_dict(keep_vars=True)["p"] is m.p
    assert list(m.state_dict(prefix="x.")) == [f"x.{name}" for name in state]


def test_a_state_dict_tells_the_versions_of_its_modules() -> None:
    m = nn.Sequential(nn.BatchNorm2d(1), nn.ReLU())
    assert m.state_dict()._metadata == {
        "": {"version": 1},
        "0": {"version": 2},
        "1": {"version": 1},
    }


def test_loading_copies_in_place_and_keeps_the_dtype() -> None:
    m = Block()
    p, memory = m.p, m.p.array
    state = {name: value.array.astype(np.float64) + 1 for name, value in m.state_dict().items()}
    assert repr(m.load_state_dict(state)) == "<All keys matched successfully>"
    assert m.p is p
    assert p.array is memory
    assert p.array.tolist() == [2, 3]
    assert p.dtype == np.float32


def test_assigning_takes_the_given_tensors() -> None:
    m = nn.Linear(2, 1).requires_grad_(False)
    state = nn.Linear(2, 1).state_dict()
    m.load_state_dict(state, assign=True)
    assert m.weight.array is state["weight"].array
    assert isinstance(m.weight, nn.Parameter)
    assert not m.weight.requires_grad


def test_missing_and_unexpected_keys_are_named_in_pytorchs_words() -> None:
    m = Block()
    state = m.state_dict()
    del state["p"]
    state["extra"] = tensor(1)
    with pytest.raises(RuntimeError) as error:
        m.load_state_dict(state)
    assert str(error.value) == (
        "Error(s) in loading state_dict for Block:\n\t"
        'Missing key(s) in state_dict: "p". \n\t'
        'Unexpected key(s) in state_dict: "extra". '
    )
    result = m.load_state_dict(state, strict=False)
    assert (result.missing_keys, result.unexpected_keys) == (["p"], ["extra"])


def test_a_size_mismatch_is_refused_even_when_not_strict() -> None:
    m = Block()
    with pytest.raises(RuntimeError, match=r"size mismatch for p: copying a param with shape"):
        m.load_state_dict({"p": tensor(1)}, strict=False)


def test_a_state_dict_must_be_a_mapping_of_tensors() -> None:
    with pytest.raises(TypeError, match="Expected state_dict to be dict-like, got"):
        Block().load_state_dict([])  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match='parameter named "p", expected a Tensor'):
        Block().load_state_dict({"p": 1}, strict=False)


def test_loading_is_visible_to_the_version_check() -> None:
    m = nn.Linear(1, 1, bias=False)
    x = nn.Parameter(Tensor(np.ones((1, 1), np.float32)))
    y = m(x)
    m.load_state_dict(m.state_dict())
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_a_deep_copy_has_its_own_memory_and_no_gradient() -> None:
    m = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    m(Tensor(np.ones((3, 2), np.float32))).sum().backward()
    twin = copy.deepcopy(m)
    for (name, value), other in zip(
        m.state_dict().items(), twin.state_dict().values(), strict=True
    ):
        assert (value.array == other.array).all(), name
        assert not np.shares_memory(value.array, other.array)
    assert all(p.grad is None and p.requires_grad for p in twin.parameters())


# Hooks


def test_hooks_run_around_forward_in_order() -> None:
    m = Block()
    seen: list[str] = []
    m.register_forward_pre_hook(lambda m, args: seen.append("pre 1"))
    m.register_forward_pre_hook(lambda m, args: seen.append("pre 0"), prepend=True)
    m.register_forward_hook(lambda m, args, out: seen.append("post 1"))
    m.register_forward_hook(lambda m, args, out: seen.append("post 0"), prepend=True)
    m(tensor(1))
    assert seen == ["pre 0", "pre 1", "post 0", "post 1"]
    m.forward(tensor(1))
    assert len(seen) == 4


def test_the_first_hook_of_a_process_runs_and_so_does_a_copy_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registered: list[int] = []
    monkeypatch.setattr("ddp.nn.hooks.REGISTERED", registered)
    monkeypatch.setattr("ddp.nn.module.REGISTERED", registered)
    m = nn.Identity()
    m.register_forward_hook(lambda m, args, out: out + 1)
    assert m(tensor(1)).item() == 2
    registered.clear()
    assert copy.deepcopy(m)(tensor(1)).item() == 2


def test_hooks_replace_arguments_and_output() -> None:
    m = Block()
    m.register_forward_pre_hook(lambda m, args: args[0] * 2)
    m.register_forward_pre_hook(
        lambda m, args, kwargs: (args, {"scale": kwargs["scale"] + 1}), with_kwargs=True
    )
    m.register_forward_hook(lambda m, args, out: out + 0.5)
    m.register_forward_hook(lambda m, args, kwargs, out: out * kwargs["scale"], with_kwargs=True)
    assert m(tensor(1), scale=2.0).item() == (1 * 2 * 3 + 0.5) * 3


def test_a_hook_is_removed_by_its_handle() -> None:
    m = Block()
    handle = m.register_forward_hook(lambda m, args, out: out + 1)
    assert m(tensor(1)).item() == 2
    handle.remove()
    handle.remove()
    assert m(tensor(1)).item() == 1


def test_a_pre_hook_with_kwargs_must_return_a_pair() -> None:
    m = Block()
    m.register_forward_pre_hook(lambda m, args, kwargs: args, with_kwargs=True)
    with pytest.raises(RuntimeError, match="must return None or a tuple of"):
        m(tensor(1))


def test_an_always_called_hook_runs_when_forward_fails() -> None:
    seen: list[Any] = []
    m = nn.Module()
    m.register_forward_hook(lambda m, args, out: seen.append("plain"))
    m.register_forward_hook(lambda m, args, out: seen.append(out), always_call=True)
    with pytest.raises(NotImplementedError):
        m(1)
    assert seen == [None]


# Containers


def test_sequential_is_a_list_of_layers() -> None:
    a, b, c = nn.ReLU(), nn.Tanh(), nn.Sigmoid()
    m = nn.Sequential(a, b)
    assert (len(m), m[0], m[-1], b in m) == (2, a, b, True)
    assert list(m.append(c)) == [a, b, c]
    assert list(m[1:]) == [b, c]
    assert list(m[1:]._modules) == ["1", "2"]
    del m[0]
    assert list(m._modules) == ["0", "1"]
    assert list(m.insert(0, a)) == [a, b, c]
    assert m.pop(1) is b
    assert list(m + nn.Sequential(b)) == [a, c, b]
    assert list(m.extend([b])) == [a, c, b]
    assert len(m * 2) == 6
    m[0] = b
    assert m[0] is b
    with pytest.raises(IndexError, match="index 3 is out of range"):
        m[3]


def test_sequential_takes_names() -> None:
    m = nn.Sequential(OrderedDict(first=nn.Linear(1, 1), second=nn.ReLU()))
    assert list(m.state_dict()) == ["first.weight", "first.bias"]
    assert m.first is m[0]


def test_sequential_calls_one_after_another() -> None:
    assert nn.Sequential(nn.ReLU(), nn.Tanh())(tensor(-1)).item() == 0
    assert nn.Sequential()(tensor(3)).item() == 3


def test_a_module_list_registers_and_is_not_callable() -> None:
    m = nn.ModuleList([nn.Linear(1, 1)])
    m += [nn.ReLU()]
    assert list(m.state_dict()) == ["0.weight", "0.bias"]
    assert list(m[:1]) == [m[0]]
    with pytest.raises(NotImplementedError, match="ModuleList"):
        m(1)


def test_a_module_dict_registers_by_name() -> None:
    m = nn.ModuleDict({"a": nn.ReLU()})
    m["b"] = nn.Linear(1, 1)
    m.update([("c", nn.Tanh())])
    assert (list(m), len(m), "b" in m) == (["a", "b", "c"], 3, True)
    assert [type(v).__name__ for v in m.values()] == ["ReLU", "Linear", "Tanh"]
    assert list(m.state_dict()) == ["b.weight", "b.bias"]
    m.pop("a")
    del m["c"]
    assert list(m.keys()) == ["b"]
    m.clear()
    assert list(m.items()) == []


def test_repr_nests_by_two_spaces() -> None:
    m = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU()))
    assert repr(m) == (
        "Sequential(\n"
        "  (0): Linear(in_features=2, out_features=3, bias=True)\n"
        "  (1): Sequential(\n"
        "    (0): ReLU()\n"
        "  )\n"
        ")"
    )


def test_a_batch_norm_from_before_it_counted_batches_is_loaded() -> None:
    layer = nn.Sequential(nn.BatchNorm2d(2))
    old = layer.state_dict()
    del old["0.num_batches_tracked"]
    with pytest.raises(RuntimeError, match=r'Missing key.*"0\.num_batches_tracked"'):
        layer.load_state_dict(old)  # it says version 2
    old._metadata["0"]["version"] = None
    layer.load_state_dict(old)
    layer.load_state_dict(dict(old))
    del old["0.running_mean"]
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "0.running_mean"\. $'):
        layer.load_state_dict(old)
