"""PyTorch's `nn.Module`: members, iteration, state dicts, hooks, containers, printed form."""

from __future__ import annotations

import copy
import warnings
from collections import OrderedDict
from typing import Any

import pytest

Lib = Any


def make(lib: Lib, **members: Any) -> Any:
    """A module with these attributes, assigned in order."""
    module = lib.nn.Module()
    for name, value in members.items():
        setattr(module, name, value)
    return module


def tree(lib: Lib) -> Any:
    """Own parameter p, child a (a Linear), buffers kept and lost."""
    module = make(lib, a=lib.nn.Linear(2, 3), p=lib.nn.Parameter(lib.ones(1)))
    module.register_buffer("kept", lib.zeros(2))
    module.register_buffer("lost", lib.zeros(2), persistent=False)
    return module


# -- members ------------------------------------------------------------------------------------

# How a hook wants to be called stands beside it here, in PyTorch in dictionaries of its own.
KEYS = {
    "training", "_parameters", "_buffers", "_non_persistent_buffers_set", "_modules",
    "_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks",
    "_state_dict_hooks", "_state_dict_pre_hooks", "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
}  # fmt: skip


def test_the_dictionary_of_a_module_has_pytorchs_keys(lib: Lib) -> None:
    assert set(lib.nn.Module().__dict__) >= KEYS


def test_attributes_are_registered_by_what_they_are(lib: Lib) -> None:
    module = make(lib, p=lib.nn.Parameter(lib.ones(1)), m=lib.nn.ReLU(), t=lib.ones(1), l=[1])
    assert list(module._parameters) == ["p"]
    assert list(module._modules) == ["m"]
    assert {"t", "l"} <= set(module.__dict__)


def test_a_tensor_does_not_take_the_place_of_a_parameter(lib: Lib) -> None:
    module = make(lib, p=lib.nn.Parameter(lib.ones(1)))
    with pytest.raises(
        TypeError,
        match=r"cannot assign '.*FloatTensor' as parameter 'p' \(\w+.nn.Parameter or None",
    ):
        module.p = lib.ones(1)
    module.p = None
    assert list(module.parameters()) == []
    assert "p" in module._parameters


def test_nothing_is_registered_before_init(lib: Lib) -> None:
    class Early(lib.nn.Module):
        def __init__(self, value: Any) -> None:
            self.member = value

    with pytest.raises(AttributeError, match=r"cannot assign module before Module.__init__\(\) c"):
        Early(lib.nn.ReLU())
    with pytest.raises(AttributeError, match=r"cannot assign parameters before Module.__init__\("):
        Early(lib.nn.Parameter(lib.ones(1)))


def test_what_is_missing_is_named(lib: Lib) -> None:
    class M(lib.nn.Module):
        pass

    with pytest.raises(AttributeError, match="'M' object has no attribute 'x'"):
        _ = M().x
    with pytest.raises(
        NotImplementedError, match=r'Module \[M\] is missing the required "forward" function'
    ):
        M()(1)


def test_a_list_of_modules_is_invisible(lib: Lib) -> None:
    assert list(make(lib, layers=[lib.nn.Linear(1, 1)]).parameters()) == []


@pytest.mark.parametrize(
    ("register", "error"),
    [
        (lambda lib, m: m.register_parameter("a.b", None), KeyError),
        (lambda lib, m: m.register_parameter("", None), KeyError),
        (lambda lib, m: m.register_buffer("a.b", None), KeyError),
        (lambda lib, m: m.add_module("a.b", None), KeyError),
        (lambda lib, m: m.register_buffer("b", 3), TypeError),
        (lambda lib, m: m.register_parameter("p", lib.ones(1)), TypeError),
        (lambda lib, m: m.register_module("m", lib.ones(1)), TypeError),
        (lambda lib, m: m.register_parameter("training", None), KeyError),
    ],
)
def test_names_and_kinds_are_checked(lib: Lib, register: Any, error: Any) -> None:
    with pytest.raises(error):
        register(lib, lib.nn.Module())


def test_a_parameter_is_a_leaf_of_floating_dtype(lib: Lib) -> None:
    with pytest.raises(RuntimeError, match="nly Tensors of floating point"):
        lib.nn.Parameter(lib.tensor([1, 2]))
    assert not lib.nn.Parameter(lib.tensor([1, 2]), requires_grad=False).requires_grad
    with lib.no_grad():
        assert lib.nn.Parameter(lib.ones(1)).requires_grad
    computed = lib.nn.Parameter(lib.ones(1)) * 2
    assert lib.nn.Parameter(computed).is_leaf


# -- iteration ----------------------------------------------------------------------------------


def test_own_parameters_come_before_those_of_children(lib: Lib) -> None:
    assert [n for n, _ in tree(lib).named_parameters()] == ["p", "a.weight", "a.bias"]
    assert len(list(tree(lib).parameters(recurse=False))) == 1
    assert [n for n, _ in tree(lib).named_modules()] == ["", "a"]
    assert [n for n, _ in tree(lib).named_children()] == ["a"]


def test_what_is_tied_is_iterated_once_and_saved_twice(lib: Lib) -> None:
    module = make(lib, a=lib.nn.Linear(2, 2), b=lib.nn.Linear(2, 2))
    module.b.weight = module.a.weight
    assert [n for n, _ in module.named_parameters()] == ["a.weight", "a.bias", "b.bias"]
    every = [n for n, _ in module.named_parameters(remove_duplicate=False)]
    assert every == ["a.weight", "a.bias", "b.weight", "b.bias"]
    assert list(module.state_dict()) == every


def test_a_buffer_that_does_not_persist_is_listed_but_not_saved(lib: Lib) -> None:
    assert [n for n, _ in tree(lib).named_buffers()] == ["kept", "lost"]
    assert list(tree(lib).state_dict()) == ["p", "kept", "a.weight", "a.bias"]


# -- state dicts --------------------------------------------------------------------------------


def test_a_state_dict_is_ordered_versioned_and_shares_memory(lib: Lib) -> None:
    module = make(lib, norm=lib.nn.BatchNorm1d(2), layer=lib.nn.Linear(2, 2))
    state = module.state_dict()
    assert isinstance(state, OrderedDict)
    versions = {name: entry.get("version") for name, entry in state._metadata.items()}
    assert versions == {"": 1, "norm": 2, "layer": 1}
    assert not state["layer.weight"].requires_grad
    state["layer.weight"].zero_()
    assert module.layer.weight.abs().sum().item() == 0
    assert module.state_dict(keep_vars=True)["layer.weight"] is module.layer.weight


def test_loading_copies_into_the_same_objects(lib: Lib) -> None:
    layer = lib.nn.Linear(2, 2)
    before = layer.weight
    answer = layer.load_state_dict(
        {"weight": lib.ones(2, 2, dtype=lib.float64), "bias": lib.zeros(2)}
    )
    assert str(answer) == "<All keys matched successfully>"
    assert (answer.missing_keys, answer.unexpected_keys) == ([], [])
    assert layer.weight is before
    assert layer.weight.dtype == lib.float32
    assert layer.weight.tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_keys_that_do_not_match_are_told(lib: Lib) -> None:
    class M(lib.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.p = lib.nn.Parameter(lib.ones(1))

    with pytest.raises(RuntimeError) as raised:
        M().load_state_dict({"extra": lib.ones(1)})
    assert str(raised.value) == (
        "Error(s) in loading state_dict for M:\n"
        '\tMissing key(s) in state_dict: "p". \n'
        '\tUnexpected key(s) in state_dict: "extra". '
    )
    answer = M().load_state_dict({"extra": lib.ones(1)}, strict=False)
    assert (answer.missing_keys, answer.unexpected_keys) == (["p"], ["extra"])


def test_another_size_is_refused_even_when_not_strict(lib: Lib) -> None:
    layer = lib.nn.Linear(2, 2)
    with pytest.raises(RuntimeError, match=r"size mismatch for weight: copying a param with shape"):
        layer.load_state_dict({"weight": lib.ones(3, 2)}, strict=False)
    with pytest.raises(TypeError, match="Expected state_dict to be dict-like, got"):
        layer.load_state_dict([1])


def test_assigning_takes_the_tensors_themselves(lib: Lib) -> None:
    layer, weight = lib.nn.Linear(2, 2), lib.ones(2, 2)
    layer.load_state_dict({"weight": weight, "bias": lib.zeros(2)}, assign=True)
    weight.zero_()
    assert layer.weight.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert isinstance(layer.weight, lib.nn.Parameter)


def test_a_copy_of_a_module_has_no_gradients(lib: Lib) -> None:
    layer = lib.nn.Linear(2, 1)
    layer(lib.ones(1, 2)).backward()
    twin = copy.deepcopy(layer)
    assert twin.weight.grad is None
    assert copy.deepcopy(layer.weight).grad is None
    twin.weight.data.zero_()
    assert layer.weight.abs().sum().item() > 0


# -- modes and conversions ----------------------------------------------------------------------


def test_train_and_eval_return_the_module_and_reach_all(lib: Lib) -> None:
    net = lib.nn.Sequential(lib.nn.Dropout(), lib.nn.Sequential(lib.nn.ReLU()))
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    assert net.train(True) is net
    assert all(m.training for m in net.modules())
    with pytest.raises(ValueError, match="training mode is expected to be boolean"):
        net.train("yes")


def test_apply_visits_children_first(lib: Lib) -> None:
    net, seen = lib.nn.Sequential(lib.nn.ReLU(), lib.nn.Tanh()), []
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert seen == ["ReLU", "Tanh", "Sequential"]


def test_zero_grad_forgets_or_zeroes(lib: Lib) -> None:
    layer = lib.nn.Linear(2, 1)
    layer(lib.ones(1, 2)).backward()
    gradient = layer.weight.grad
    layer.zero_grad(set_to_none=False)
    assert layer.weight.grad is gradient
    assert gradient.tolist() == [[0.0, 0.0]]
    layer.zero_grad()
    assert layer.weight.grad is None


def test_conversion_keeps_the_parameter_objects(lib: Lib) -> None:
    layer = lib.nn.Linear(2, 1)
    weight = layer.weight
    assert layer.double() is layer
    assert layer.weight is weight
    assert weight.dtype == lib.float64
    assert layer.to(lib.float32).weight is weight
    assert weight.dtype == lib.float32
    assert not any(p.requires_grad for p in layer.requires_grad_(False).parameters())


# -- containers ---------------------------------------------------------------------------------


def test_sequential_behaves_as_a_list(lib: Lib) -> None:
    nn = lib.nn
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    assert isinstance(net[-2], nn.ReLU)
    assert isinstance(net[:2], nn.Sequential)
    assert len(net[:2]) == 2
    del net[1]
    assert list(net._modules) == ["0", "1"]
    net.append(nn.Tanh()).insert(0, nn.ReLU())
    net.extend([nn.Sigmoid()])
    assert [type(m).__name__ for m in net] == ["ReLU", "Linear", "Linear", "Tanh", "Sigmoid"]
    assert isinstance(net.pop(0), nn.ReLU)
    assert list(net._modules) == ["0", "1", "2", "3"]
    both = nn.Sequential(nn.ReLU()) + nn.Sequential(nn.Tanh())
    both += nn.Sequential(nn.Sigmoid())
    assert [type(m).__name__ for m in both] == ["ReLU", "Tanh", "Sigmoid"]
    assert len(both * 2) == 6
    named = nn.Sequential(OrderedDict([("first", nn.ReLU())]))
    assert named.first is named[0]


def test_lists_and_dicts_of_modules_register_and_are_not_called(lib: Lib) -> None:
    nn = lib.nn
    layers = nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1)])
    named = nn.ModuleDict({"a": nn.Linear(1, 1)})
    assert [n for n, _ in make(lib, l=layers, d=named).named_parameters()] == [
        "l.0.weight", "l.0.bias", "l.1.weight", "l.1.bias", "d.a.weight", "d.a.bias",
    ]  # fmt: skip
    for container in (layers, named):
        with pytest.raises(NotImplementedError, match='is missing the required "forward" function'):
            container(lib.ones(1))


PRINTED = """Sequential(
  (0): Linear(in_features=2, out_features=3, bias=True)
  (1): Sequential(
    (0): ReLU()
    (act): Dropout(p=0.5, inplace=False)
  )
  (2): Conv2d(3, 6, kernel_size=(5, 5), stride=(1, 1))
  (3): BatchNorm2d(6, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
  (4): ModuleList(
    (0-1): 2 x MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
  )
  (5): Embedding(10, 3)
  (6): LayerNorm((3,), eps=1e-05, elementwise_affine=True, bias=True)
)"""


def test_modules_print_their_tree(lib: Lib) -> None:
    nn = lib.nn
    inner = nn.Sequential(nn.ReLU())
    inner.add_module("act", nn.Dropout())
    pools = nn.ModuleList([nn.MaxPool2d(2), nn.MaxPool2d(2)])
    net = nn.Sequential(
        nn.Linear(2, 3), inner, nn.Conv2d(3, 6, 5), nn.BatchNorm2d(6), pools, nn.Embedding(10, 3),
        nn.LayerNorm(3),
    )  # fmt: skip
    assert repr(net) == PRINTED


# -- hooks --------------------------------------------------------------------------------------


def test_forward_hooks_run_in_order_and_may_replace(lib: Lib) -> None:
    layer, seen = lib.nn.Identity(), []
    layer.register_forward_pre_hook(lambda m, args: seen.append("pre") or args[0] * 2)
    layer.register_forward_pre_hook(lambda m, args: (args[0] + 1,))
    layer.register_forward_pre_hook(lambda m, args: seen.append("first"), prepend=True)
    layer.register_forward_hook(lambda m, args, out: seen.append(args[0].item()))
    layer.register_forward_hook(lambda m, args, out: out * 10)
    assert layer(lib.tensor(3.0)).item() == 70.0
    assert seen == ["first", "pre", 7.0]
    assert layer.forward(lib.tensor(3.0)).item() == 3.0


def test_forward_hooks_may_ask_for_keywords_and_to_be_called_always(lib: Lib) -> None:
    class Scale(lib.nn.Module):
        def forward(self, x: Any, factor: float = 1.0) -> Any:
            return x * factor

    layer, seen = Scale(), []
    layer.register_forward_pre_hook(
        lambda m, args, kwargs: (args, {"factor": kwargs["factor"] + 1}), with_kwargs=True
    )
    layer.register_forward_hook(
        lambda m, args, kwargs, out: seen.append(kwargs), with_kwargs=True, always_call=True
    )
    assert layer(lib.ones(1), factor=2.0).item() == 3.0
    with pytest.raises(TypeError):
        layer(None, factor=2.0)
    assert seen == [{"factor": 3.0}, {"factor": 3.0}]


def test_backward_hooks_see_and_change_gradients(lib: Lib) -> None:
    layer, seen = lib.nn.Linear(1, 1, bias=False), []
    layer.weight.data.fill_(5.0)
    layer.register_full_backward_hook(
        lambda m, into, out: seen.append((into, out)) or (into[0] * 3,)
    )
    x = lib.ones(1, 1, requires_grad=True)
    layer(x).backward()
    (((into,), (out,)),) = seen
    assert (into.item(), out.item()) == (5.0, 1.0)
    assert (x.grad.item(), layer.weight.grad.item()) == (15.0, 1.0)
    x.grad = layer.weight.grad = None
    layer.register_full_backward_pre_hook(lambda m, out: (out[0] * 100,))
    layer(x).backward()
    assert (x.grad.item(), layer.weight.grad.item()) == (1500.0, 100.0)


def test_a_backward_hook_without_an_input_to_differentiate_sees_none_and_warns(lib: Lib) -> None:
    layer, seen = lib.nn.Linear(1, 1), []
    layer.register_full_backward_hook(lambda m, into, out: seen.append(into))
    with pytest.warns(UserWarning, match="Full backward hook is firing when gradients are compute"):
        layer(lib.ones(1, 1)).backward()
    assert seen == [(None,)]


def test_the_output_of_a_module_with_backward_hooks_is_not_written_to(lib: Lib) -> None:
    layer = lib.nn.Linear(1, 1)
    layer.register_full_backward_hook(lambda m, into, out: None)
    y = layer(lib.ones(1, 1, requires_grad=True))
    with pytest.raises(
        RuntimeError,
        match=r"Output 0 of BackwardHookFunction(Backward)? is a view and is being mod",
    ):
        y.add_(1)


def test_hooks_of_all_modules(lib: Lib) -> None:
    registry, seen = lib.nn.modules.module, []
    handles = [
        registry.register_module_forward_pre_hook(lambda m, args: seen.append("pre")),
        registry.register_module_forward_hook(lambda m, args, out: seen.append("forward")),
        registry.register_module_full_backward_pre_hook(lambda m, out: seen.append("pre-back")),
        registry.register_module_full_backward_hook(lambda m, into, out: seen.append("back")),
        registry.register_module_parameter_registration_hook(lambda m, n, p: seen.append(n)),
        registry.register_module_buffer_registration_hook(lambda m, n, b: seen.append(n)),
        registry.register_module_module_registration_hook(lambda m, n, c: seen.append(n)),
    ]
    try:
        layer = lib.nn.Linear(1, 1)
        layer.register_buffer("statistics", lib.ones(1))
        make(lib, child=layer)
        layer(lib.ones(1, 1, requires_grad=True)).backward()
    finally:
        for handle in handles:
            handle.remove()
    assert seen == [
        "weight", "bias", "statistics", "child", "pre", "forward", "pre-back", "back",
    ]  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lib.nn.Linear(1, 1)(lib.ones(1, 1))
    assert len(seen) == 8
